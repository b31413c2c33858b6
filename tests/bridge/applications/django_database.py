"""Serve requests to a Django ASGI application with a database; print what it took.

Usage: ``python django_database.py kept|plain DATABASE LOOP``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

import django
import uvloop
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import connection
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from django.urls import path

from tidegate.bridge import django_threads

MODE, DATABASE, LOOP = sys.argv[1:]

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATABASE,
            "CONN_MAX_AGE": None,
        }
    },
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="of no use",
)
django.setup()

opened = 0
threads: set[int] = set()


def count(**_: Any) -> None:
    global opened
    opened += 1


connection_created.connect(count)


def view(request: HttpRequest) -> HttpResponse:
    threads.add(threading.get_ident())
    with connection.cursor() as cursor:
        cursor.execute("select 6 * 7")
        return HttpResponse(str(cursor.fetchone()[0]))


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("async")


urlpatterns = [path("", view), path("async", async_view)]


async def get(application: Any, target: str, body: bytes) -> None:
    """One request; nothing but the expected answer is accepted."""
    sent: list[Any] = []
    received = False

    async def receive() -> Any:
        nonlocal received
        if received:
            await asyncio.Event().wait()
        received = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": target, "headers": [], "query_string": b""}
    scope |= {"asgi": {"version": "3.0"}, "http_version": "1.1", "root_path": ""}
    await application(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    if sent[0]["status"] != 200 or content != body:
        raise SystemExit(f"{sent[0]['status']}: {content!r}")


async def several(application: Any, count: int) -> None:
    for _ in range(count):
        await get(application, "/", b"42")
        await get(application, "/async", b"async")


async def main() -> None:
    application: Any = get_asgi_application()
    if MODE == "kept":
        application = django_threads(application, threads=4)
    await several(application, 1)
    warm = opened
    await several(application, 100)
    one_by_one = opened - warm
    await asyncio.gather(*(several(application, 25) for _ in range(4)))
    four = opened
    await asyncio.gather(*(several(application, 25) for _ in range(12)))
    result = {"one by one": one_by_one, "four": four, "twelve": opened, "threads": len(threads)}
    if MODE == "kept":
        result["stuck"] = len(application.close(20))
    print(json.dumps(result))


with asyncio.Runner(
    loop_factory={"asyncio": None, "uvloop": uvloop.new_event_loop}[LOOP]
) as runner:
    runner.run(main())
