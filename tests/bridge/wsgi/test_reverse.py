"""An ASGI application under a WSGI server: that of the standard library, in threads."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from tests.bridge.wsgi.hosting import SECONDS, Answer, read_all, read_until, request, reset

from tidegate.asgi import Application, Message, Receive, Scope, Send
from tidegate.bridge.wsgi import asgi_as_wsgi
from tidegate.errors import AppError, ClientDisconnected

TEXT = (b"content-type", b"text/plain")
START: Message = {"type": "http.response.start", "status": 200, "headers": [TEXT]}


def body(data: bytes, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None: ...


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, *args: Any) -> None: ...


@contextmanager
def under_wsgiref(application: Application) -> Iterator[int]:
    """Serve; the validator stands between the server and us."""
    adapter = asgi_as_wsgi(application)
    with Threaded(("127.0.0.1", 0), Quiet) as server:
        server.set_app(validator(adapter))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(SECONDS)
            adapter.close()


@pytest.fixture
def serve() -> Iterator[Any]:
    with ExitStack() as stack:
        yield lambda application: stack.enter_context(under_wsgiref(application))


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def ask(port: int, data: bytes = b"") -> Answer:
    with connect(port) as client:
        client.sendall(data or request("GET", "/"))
        return Answer(read_all(client))


def test_a_request_is_answered(serve: Any) -> None:
    scopes = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        scopes.append(scope)
        message = await receive()
        assert message == {"type": "http.request", "body": b"", "more_body": False}
        await send(
            dict(START, status=404, headers=[TEXT, (b"x-a", b"1"), (b"connection", b"close")])
        )
        await send(body(b"not here"))

    answer = ask(serve(app), request("GET", "/caf%C3%A9?q=%20", "X-B: 2"))
    assert (answer.status, answer.body) == (404, b"not here")
    assert answer.header(b"x-a") == b"1"
    (scope,) = scopes
    assert scope["path"] == "/caf\xe9"
    assert scope["raw_path"] == b"/caf%C3%A9"
    assert scope["query_string"] == b"q=%20"
    assert (b"x-b", b"2") in scope["headers"]
    assert scope["client"][0] == "127.0.0.1"


def test_the_lifespan_runs_once_and_its_state_is_seen() -> None:
    events = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            events.append("startup")
            scope["state"]["answer"] = b"42"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            events.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send(START)
        await send(body(scope["state"]["answer"]))

    with under_wsgiref(app) as port:
        assert [ask(port).body for _ in range(2)] == [b"42", b"42"]
        assert events == ["startup"]
    assert events == ["startup", "shutdown"]


def test_an_application_that_does_not_start_is_an_error(serve: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    adapter = asgi_as_wsgi(app)
    with pytest.raises(AppError, match="no database"):
        adapter({}, lambda *args: None)


async def passing_lifespan(scope: Scope, receive: Receive, send: Send) -> bool:
    """Take part in the lifespan; False for another scope."""
    if scope["type"] != "lifespan":
        return False
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
    return True


def test_content_is_read_as_it_is_asked_for(serve: Any) -> None:
    sizes = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await passing_lifespan(scope, receive, send):
            return
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await send(START)
        await send(body(b"%d" % sum(sizes)))

    data = bytes(200_000)
    answer = ask(serve(app), request("POST", "/", "Content-Length: 200000", body=data))
    assert answer.body == b"200000"
    assert len(sizes) == 4


def test_content_cut_off_is_a_disconnect(serve: Any) -> None:
    seen = []
    over = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await passing_lifespan(scope, receive, send):
            return
        try:
            while not seen or seen[-1] == "http.request":
                seen.append((await receive())["type"])
        finally:
            over.set()

    with connect(serve(app)) as client:
        client.sendall(request("POST", "/", "Content-Length: 100", body=b"short"))
        client.shutdown(socket.SHUT_WR)
        assert over.wait(SECONDS)
    assert seen[-1] == "http.disconnect"


def test_a_response_is_streamed(serve: Any) -> None:
    go_on = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await passing_lifespan(scope, receive, send):
            return
        await send(START)
        await send(body(b"first", more=True))
        await asyncio.to_thread(go_on.wait, SECONDS)
        await send(body(b"second", more=True))
        await send(body(b""))

    with connect(serve(app)) as client:
        client.sendall(request("GET", "/"))
        begun = read_until(client, b"first")
        go_on.set()
        assert Answer(begun + read_all(client)).body == b"firstsecond"


def test_the_application_waits_for_a_client_that_does_not_read(serve: Any) -> None:
    sent = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await passing_lifespan(scope, receive, send):
            return
        await send(START)
        for _ in range(1024):
            await send(body(bytes(65536), more=True))
            sent.append(1)
        await send(body(b"end"))
        finished.set()

    finished = threading.Event()
    with connect(serve(app)) as client:
        client.sendall(request("GET", "/"))
        assert not finished.wait(1.0)
        assert len(sent) < 512
        assert len(Answer(read_all(client)).body) == 65536 * 1024 + 3


def test_the_application_hears_that_the_client_has_left(serve: Any) -> None:
    raised = []
    over = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await passing_lifespan(scope, receive, send):
            return
        await send(START)
        try:
            while True:
                await send(body(bytes(65536), more=True))
        except ClientDisconnected as error:
            raised.append(error)
            assert (await receive())["type"] == "http.disconnect"
            raise
        finally:
            over.set()

    client = connect(serve(app))
    client.sendall(request("GET", "/"))
    read_until(client, bytes(1024))
    reset(client)
    assert over.wait(SECONDS)
    assert len(raised) == 1


@pytest.mark.parametrize("what", ["raise", "return", "nonsense", "begun"])
def test_an_application_that_fails_is_answered_500(serve: Any, what: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await passing_lifespan(scope, receive, send):
            return
        if what == "raise":
            raise ZeroDivisionError
        if what == "nonsense":
            await send({"type": "nonsense"})
        if what == "begun":
            await send(START)

    assert ask(serve(app)).status in (500, 0)


def test_work_after_the_response_goes_on(serve: Any) -> None:
    over = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await passing_lifespan(scope, receive, send):
            return
        await send(START)
        await send(body(b"done"))
        assert (await receive())["type"] in ("http.disconnect", "http.request")
        over.set()

    assert ask(serve(app)).body == b"done"
    assert over.wait(SECONDS)


def test_a_whole_response_is_a_list_so_that_servers_know_its_length() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await passing_lifespan(scope, receive, send):
            return
        await send(dict(START, headers=[TEXT, (b"connection", b"close")]))
        await send(body(b"whole"))

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    started = []
    adapter = asgi_as_wsgi(app)
    assert adapter(environ, lambda *args: started.append(args)) == [b"whole"]
    assert started == [("200 OK", [("content-type", "text/plain")])]
    adapter.close()
    adapter.close()


def test_all_requests_share_a_loop(serve: Any) -> None:
    loops = set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await passing_lifespan(scope, receive, send):
            return
        loops.add(id(asyncio.get_running_loop()))
        await send(START)
        await send(body(b"done"))

    port = serve(app)
    for _ in range(3):
        ask(port)
    assert len(loops) == 1
