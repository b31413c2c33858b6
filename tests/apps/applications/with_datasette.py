"""Datasette over a database that the test makes, and a plugin with the routes of these tests.

``DATABASE`` names the SQLite file; ``BASE_URL`` is Datasette's own setting for a mount point.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import notebook
from datasette import Request, Response, hookimpl
from datasette.app import Datasette
from datasette.plugins import pm
from datasette.utils.asgi import AsgiStream

Messages = Callable[[], Awaitable[dict[str, Any]]]


async def home_of_plugin(request: Request) -> Response:
    return Response.json({"framework": "datasette"})


async def item(request: Request) -> Response:
    # Datasette routes on the path as it was sent.
    name = unquote(request.url_vars["name"])
    return Response.json({"name": name, "q": request.args.getlist("q")})


async def receive_json(request: Request) -> Response:
    return Response.json({"received": json.loads(await request.post_body())})


async def large_headers(request: Request) -> Response:
    value = request.headers["x-large"]
    return Response.json({"size": len(value)}, headers={"x-large": value})


async def upload(receive: Messages) -> Response:
    async def body() -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            yield message.get("body", b"")

    return Response.json(await notebook.digest(body()))


def streamed(source: AsyncIterator[bytes], content_type: str = "text/plain") -> AsgiStream:
    async def write(writer: Any) -> None:
        async for piece in source:
            await writer.write(piece.decode())

    return AsgiStream(write, content_type=content_type)


async def download(request: Request) -> AsgiStream:
    return streamed(notebook.megabytes(request.url_vars["key"], int(request.url_vars["count"])))


async def pieces(request: Request) -> AsgiStream:
    return streamed(notebook.pieces(request.url_vars["key"]))


async def endless(request: Request) -> AsgiStream:
    return streamed(notebook.endless(request.url_vars["key"]))


async def idle(request: Request) -> AsgiStream:
    return streamed(notebook.idle(request.url_vars["key"]), "text/event-stream")


async def meet(request: Request) -> Response:
    parties = int(request.url_vars["parties"])
    return Response.json(await notebook.meet(request.url_vars["key"], parties))


async def where(datasette: Datasette, request: Request) -> Response:
    return Response.json({"link": datasette.absolute_url(request, datasette.urls.path("/where"))})


async def where_below(datasette: Datasette, request: Request) -> Response:
    link = datasette.absolute_url(request, datasette.urls.path("/sub/where"))
    return Response.json({"link": link})


async def broken() -> Response:
    raise RuntimeError("this view is broken")


async def open_gate(request: Request) -> Response:
    return Response.json(notebook.open_gate(request.url_vars["key"]))


async def read_notes(request: Request) -> Response:
    return Response.json(notebook.read_notes(request.url_vars["key"]))


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    return [
        (r"^/plugin$", home_of_plugin),
        (r"^/items/(?P<name>[^/]+)$", item),
        (r"^/json$", receive_json),
        (r"^/headers$", large_headers),
        (r"^/upload$", upload),
        (r"^/download/(?P<key>\w+)/(?P<count>\d+)$", download),
        (r"^/pieces/(?P<key>\w+)$", pieces),
        (r"^/endless/(?P<key>\w+)$", endless),
        (r"^/idle/(?P<key>\w+)$", idle),
        (r"^/meet/(?P<key>\w+)/(?P<parties>\d+)$", meet),
        (r"^/where$", where),
        (r"^/sub/where$", where_below),
        (r"^/broken$", broken),
        (r"^/gates/(?P<key>\w+)$", open_gate),
        (r"^/notes/(?P<key>\w+)$", read_notes),
    ]


@hookimpl
def startup() -> None:
    notebook.write_diary("startup")


@hookimpl
def skip_csrf(scope: dict[str, Any]) -> bool:
    return True


# With rich installed Datasette answers every unknown path 500: rich cannot print
# an exception that is not being handled.
pm.get_plugin("datasette.handle_exception").rich = None
pm.register(sys.modules[__name__], "tests")
app = Datasette(
    [os.environ["DATABASE"]],
    settings={"base_url": os.environ.get("BASE_URL", "/"), "max_csv_mb": 0},
).app()
