"""The application of these tests, written for Django and its ASGI handler."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import django
import notebook
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path, reverse

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    USE_TZ=True,
)
django.setup()


async def home(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"framework": "django"})


async def item(request: HttpRequest, name: str) -> HttpResponse:
    return JsonResponse({"name": name, "q": request.GET.getlist("q")})


async def receive_json(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"received": json.loads(request.body)})


async def large_headers(request: HttpRequest) -> HttpResponse:
    value = request.headers["x-large"]
    return JsonResponse({"size": len(value)}, headers={"x-large": value})


async def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"field": request.POST["field"], "file_size": request.FILES["file"].size})


async def upload(request: HttpRequest) -> HttpResponse:
    async def body() -> AsyncIterator[bytes]:
        while piece := request.read(65536):
            yield piece

    return JsonResponse(await notebook.digest(body()))


async def download(request: HttpRequest, key: str, count: int) -> StreamingHttpResponse:
    return StreamingHttpResponse(notebook.megabytes(key, count))


async def pieces(request: HttpRequest, key: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(notebook.pieces(key))


async def endless(request: HttpRequest, key: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(notebook.endless(key))


async def idle(request: HttpRequest, key: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(notebook.idle(key), content_type="text/event-stream")


def in_thread(request: HttpRequest, key: str) -> HttpResponse:
    return JsonResponse({"passed": notebook.pass_gate_in_thread(key)})


async def meet(request: HttpRequest, key: str, parties: int) -> HttpResponse:
    return JsonResponse(await notebook.meet(key, parties))


async def where(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"link": request.build_absolute_uri(reverse("where"))})


async def where_below(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"link": request.build_absolute_uri(reverse("sub:where"))})


async def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("this view is broken")


async def open_gate(request: HttpRequest, key: str) -> HttpResponse:
    return JsonResponse(notebook.open_gate(key))


async def read_notes(request: HttpRequest, key: str) -> HttpResponse:
    return JsonResponse(notebook.read_notes(key))


below = ([path("where", where_below, name="where")], "sub")
urlpatterns = [
    path("", home),
    path("items/<str:name>", item),
    path("json", receive_json),
    path("headers", large_headers),
    path("form", form),
    path("upload", upload),
    path("download/<str:key>/<int:count>", download),
    path("pieces/<str:key>", pieces),
    path("endless/<str:key>", endless),
    path("idle/<str:key>", idle),
    path("sync/<str:key>", in_thread),
    path("meet/<str:key>/<int:parties>", meet),
    path("where", where, name="where"),
    path("sub/", include(below)),
    path("broken", broken),
    path("gates/<str:key>", open_gate),
    path("notes/<str:key>", read_notes),
]
app = get_asgi_application()
