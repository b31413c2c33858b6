"""Django with its admin, sessions and ORM, over SQLite or PostgreSQL.

``app`` is the WSGI application, ``asgi_app`` the same under ASGI.  The
environment says where the database is.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from hashlib import sha256

import django
from django.conf import settings

if "POSTGRESQL" in os.environ:
    host, user, name = os.environ["POSTGRESQL"].split()
    database = {"ENGINE": "django.db.backends.postgresql", "HOST": host, "USER": user}
else:
    database = {"ENGINE": "django.db.backends.sqlite3"}
    name = os.environ["DATABASE"]

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {**database, "NAME": name, "CONN_MAX_AGE": None}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    # A good one takes a tenth of a second each time.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    STATIC_URL="/static/",
    USE_TZ=True,
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import transaction  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402
from django.http import (  # noqa: E402
    FileResponse,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import redirect  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django.views.static import serve  # noqa: E402

from tidegate.bridge import django_threads  # noqa: E402

FILES = os.environ.get("FILES", "")

# Held on to, so that none takes the place of another in memory.
loops: list[asyncio.AbstractEventLoop] = []

opened = 0
opening = threading.Lock()


def on_connection(**_: object) -> None:
    global opened
    with opening:
        opened += 1


connection_created.connect(on_connection)


def prepare() -> None:
    """Fill an empty database."""
    call_command("migrate", verbosity=0)
    User.objects.create_superuser("admin", "admin@shop.example", "secret")
    Group.objects.bulk_create(Group(name=f"Gruppe für {n}") for n in range(30))


def home(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"query": dict(request.GET), "url": request.build_absolute_uri()})


@csrf_exempt
def form(request: HttpRequest) -> HttpResponse:
    files = {n: [f.name, sha256(f.read()).hexdigest()] for n, f in request.FILES.items()}
    return JsonResponse({"form": dict(request.POST), "files": files})


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"size": len(request.body), "sha256": sha256(request.body).hexdigest()})


def groups(request: HttpRequest) -> HttpResponse:
    found = Group.objects.filter(name__contains=request.GET.get("q", "")).order_by("name")
    return JsonResponse({"groups": list(found.values_list("name", flat=True))})


@csrf_exempt
def rename(request: HttpRequest) -> HttpResponse:
    """Change all, and undo it if the form says so."""
    try:
        with transaction.atomic():
            changed = Group.objects.filter(name__endswith=" 7").update(name=request.POST["name"])
            if "undo" in request.POST:
                raise InterruptedError
    except InterruptedError:
        changed = 0
    return JsonResponse({"changed": changed})


def count(request: HttpRequest) -> HttpResponse:
    request.session["count"] = request.session.get("count", 0) + 1
    return JsonResponse({"count": request.session["count"]})


def leave(request: HttpRequest) -> HttpResponse:
    return redirect("home")


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(open(os.path.join(FILES, "large.bin"), "rb"))


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        for n in range(50):
            yield b"%d\n" % n * 1000

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def connections(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"opened": opened})


async def loop(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    running = asyncio.get_running_loop()
    if running not in loops:
        loops.append(running)
    return JsonResponse({"loop": loops.index(running), "groups": await Group.objects.acount()})


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("this view is broken")


urlpatterns = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("form", form),
    path("upload", upload),
    path("groups", groups),
    path("rename", rename),
    path("count", count),
    path("leave", leave),
    path("file", file),
    path("stream", stream),
    path("connections", connections),
    path("loop", loop),
    path("broken", broken),
    path("files/<path:path>", serve, {"document_root": FILES}),
]
app = get_wsgi_application()
asgi_app = django_threads(get_asgi_application(), threads=4)
