"""Around applications of other frameworks middleware works as around ours."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import fastapi
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tidegate.web.middleware import (
    CORS,
    Compress,
    MemorySessions,
    RequestID,
    SecurityHeaders,
    Sessions,
    Timeout,
    request_id,
)

from .driver import ask, shake

FRIEND = "https://a.example"
GZIP = {"accept-encoding": "gzip"}


async def count(request: Request):
    request.session["count"] = request.session.get("count", 0) + 1
    return PlainTextResponse(f"{request.session['count']} {request.state.request_id}")


async def fails(request: Request):
    raise KeyError("a")


async def stuck(request: Request):
    await asyncio.Event().wait()


async def stream(request: Request):
    async def lines():
        for number in range(3):
            yield f"{number}\n"

    return StreamingResponse(lines(), media_type="text/plain")


async def file(request: Request):
    return FileResponse(Path(__file__), media_type="text/plain")


async def greet(socket: WebSocket):
    await socket.accept()
    await socket.send_text(f"{dict(socket.session)} {socket.state.request_id}")
    await socket.close()


def in_thread():
    return request_id.get()


def starlette():
    paths = {"/count": count, "/fails": fails, "/stuck": stuck, "/stream": stream, "/file": file}
    routes = [Route(path, endpoint) for path, endpoint in paths.items()]
    return Starlette(routes=[*routes, WebSocketRoute("/socket", greet)])


def fast():
    app = fastapi.FastAPI(routes=starlette().routes)
    app.get("/thread")(in_thread)
    return app


@pytest.fixture(params=[starlette, fast], ids=["starlette", "fastapi"])
def app(request):
    return request.param()


async def test_the_session_and_the_id_are_where_its_users_look(app):
    wrapped = RequestID()(Sessions(MemorySessions())(app))
    answer = await ask(wrapped, "/count", {"x-request-id": "a"})
    assert answer.body == b"1 a"
    cookie = (answer["set-cookie"] or "").partition(";")[0]
    headers = {"x-request-id": "b", "cookie": cookie}
    assert (await ask(wrapped, "/count", headers)).body == b"2 b"
    sent = await shake(wrapped, "/socket", headers)
    assert sent[1]["text"] == "{'count': 2} b"


async def test_the_context_reaches_its_threads():
    answer = await ask(RequestID()(fast()), "/thread", {"x-request-id": "a"})
    assert answer.body == b'"a"'


async def test_its_500_is_marked(app):
    sent = []

    async def server(scope, receive, send):
        try:
            await CORS(allow_origins=[FRIEND])(SecurityHeaders()(app))(scope, receive, send)
        except KeyError as error:
            sent.append(error)

    answer = await ask(server, "/fails", {"origin": FRIEND})
    assert answer.status == 500
    assert answer["access-control-allow-origin"] == FRIEND
    assert answer["x-content-type-options"] == "nosniff"
    assert len(sent) == 1


async def test_its_streams_and_files_are_compressed(app):
    answer = await ask(Compress()(app), "/stream", GZIP)
    assert gzip.decompress(answer.body) == b"0\n1\n2\n"
    answer = await ask(Compress()(app), "/file", GZIP)
    assert gzip.decompress(answer.body) == Path(__file__).read_bytes()
    assert (answer["etag"] or "").startswith('W/"')


async def test_its_endpoints_can_be_timed_out(app):
    assert (await ask(Timeout(0.01)(app), "/stuck")).status == 504
