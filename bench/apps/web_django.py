"""The framework rows on Django: nothing is validated but the numbers, no middleware."""

from __future__ import annotations

import json

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

__all__ = ["app", "urlpatterns"]

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="bench")


async def plain(request: HttpRequest) -> HttpResponse:
    """Answer with text."""
    return HttpResponse("Hello, world!", content_type="text/plain")


async def typed(request: HttpRequest, id: int) -> JsonResponse:
    """Answer with two parameters."""
    return JsonResponse({"id": id, "page": int(request.GET.get("page", 1))})


async def create(request: HttpRequest) -> JsonResponse:
    """Answer with the content."""
    return JsonResponse(json.loads(request.body))


def sync(request: HttpRequest) -> JsonResponse:
    """Answer from a plain function."""
    return JsonResponse({"id": int(request.GET.get("id", 0))})


urlpatterns = [
    path("plain", plain),
    path("items/<int:id>", typed),
    path("items", create),
    path("sync", sync),
]

app = get_asgi_application()
