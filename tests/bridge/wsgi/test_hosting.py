"""What hosting adds to the checks: the pool, the lifespan, sockets, frameworks."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from tests.bridge.wsgi.conftest import Serve
from tests.bridge.wsgi.hosting import SECONDS, Answer, Host, read_all, read_one, request

from tidegate.asgi import Message
from tidegate.bridge.wsgi import Wsgi, WsgiSettings, wsgi
from tidegate.bridge.wsgi.log import ErrorLog
from tidegate.errors import ClientDisconnected, UsageError

Environ = dict[str, Any]


def hello(environ: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


# The pool.


def test_requests_that_find_no_thread_and_no_place_to_wait_are_answered_503(serve: Serve) -> None:
    inside = threading.Semaphore(0)
    go_on = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        inside.release()
        go_on.wait(SECONDS)
        return hello(environ, start_response)

    host = serve(app, threads=1, max_queue=1)
    clients = [host.connect() for _ in range(2)]
    clients[0].sendall(request("GET", "/", "Connection: close"))
    assert inside.acquire(timeout=SECONDS)
    # One waits; whether it is this one or the one below does not matter.
    clients[1].sendall(request("GET", "/", "Connection: close"))
    refused = host.ask()
    while refused.status != 503:
        refused = host.ask()
    assert int(refused.header(b"retry-after") or 0) >= 1
    go_on.set()
    with clients[0], clients[1]:
        assert {Answer(read_all(client)).status for client in clients} <= {200, 503}


def test_a_call_that_does_not_end_is_reported_at_shutdown(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    inside = threading.Event()
    go_on = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        inside.set()
        go_on.wait(SECONDS)
        return []

    config = {"timeout_graceful_shutdown": 0.1}
    host = serve(app, close_timeout=0.1, config=config)
    with host.connect() as client:
        client.sendall(request("GET", "/"))
        assert inside.wait(SECONDS)
        host.stop()
    go_on.set()
    assert "A WSGI call is still in progress" in caplog.text
    assert "go_on.wait(SECONDS)" in caplog.text


def test_an_exception_in_close_is_logged_and_the_answer_stands(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    closed = threading.Event()

    class Closing(list[bytes]):
        def close(self) -> None:
            closed.set()
            raise ZeroDivisionError

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        hello(environ, start_response)
        return Closing([b"hello"])

    host = serve(app, threads=1)
    assert host.ask().body == b"hello"
    assert closed.wait(SECONDS)
    assert host.ask().body == b"hello"
    assert "ZeroDivisionError" in caplog.text


def test_an_exception_in_close_does_not_hide_the_first(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Closing:
        def __iter__(self) -> Iterator[bytes]:
            raise ZeroDivisionError

        def close(self) -> None:
            raise LookupError

    assert serve(lambda environ, start_response: Closing()).ask().status == 500
    assert "ZeroDivisionError" in caplog.text
    assert "Exception in close() of a response" in caplog.text


# What is no plain request.


def test_a_request_for_a_socket_is_not_accepted(serve: Serve, carrier: str) -> None:
    upgrade = [
        *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    with serve(hello).connect() as client:
        client.sendall(request("GET", "/", *upgrade))
        # Natively the wish is ignored, as by a server that knows of no sockets.
        assert read_one(client).status == (200 if carrier == "native" else 403)


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def test_other_scopes_are_refused() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(UsageError, match="'carrier-pigeon'"):
        await wsgi(hello)({"type": "carrier-pigeon"}, never, send)


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="chunked must be"):
        Wsgi(hello, WsgiSettings(chunked="sometimes"))  # type: ignore[arg-type]


# The component, on a server that does things in its own way.


def scope(**more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [],
        "asgi": {"version": "3.0"},
        **more,
    }


async def call(application: Any, scope: dict[str, Any], *content: bytes) -> list[Message]:
    """Serve one request and return what was sent; the client stays."""
    sent: list[Message] = []
    events = [
        {"type": "http.request", "body": piece, "more_body": i < len(content) - 1}
        for i, piece in enumerate(content or [b""])
    ]

    async def receive() -> Message:
        return events.pop(0) if events else await never()

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(SECONDS):
        await wsgi(application)(scope, receive, send)
    return sent


async def environ_of(**more: Any) -> Environ:
    seen: list[Environ] = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        seen.append(environ)
        return hello(environ, start_response)

    await call(app, scope(**more))
    return seen[0]


async def test_a_scope_may_leave_out_what_is_optional() -> None:
    environ = await environ_of()
    assert environ["SERVER_NAME"] == "localhost"
    assert environ["SERVER_PORT"] == "80"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["QUERY_STRING"] == ""
    assert "REMOTE_ADDR" not in environ
    assert environ["asgi.scope"]["type"] == "http"


async def test_a_scope_of_tls_and_a_unix_socket() -> None:
    environ = await environ_of(scheme="https", server=("/run/socket", None), client=("x", None))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "443")
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    assert "REMOTE_ADDR" not in environ


@pytest.mark.parametrize(
    ("path", "root_path", "expected"),
    [
        ("/app/page", "/app", ("/app", "/page")),
        ("/app", "/app", ("/app", "")),
        ("/application", "/app", ("/app", "/application")),
        ("/page", "/app", ("/app", "/page")),
        ("/caf\xe9/\xe9", "/caf\xe9", ("/caf\xc3\xa9", "/\xc3\xa9")),
    ],
)
async def test_the_mount_point_is_taken_off_at_a_slash(
    path: str, root_path: str, expected: tuple[str, str]
) -> None:
    environ = await environ_of(path=path, root_path=root_path)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == expected


async def test_a_path_that_was_changed_on_the_way_counts() -> None:
    environ = await environ_of(path="/changed path", raw_path=b"/original")
    assert environ["PATH_INFO"] == "/changed path"
    assert environ["RAW_URI"] == "/changed%20path"


async def test_contradicting_lengths_are_refused() -> None:
    headers = [(b"content-length", b"1"), (b"content-length", b"2")]
    sent = await call(hello, scope(headers=headers))
    assert sent[0]["status"] == 400
    headers = [(b"content-length", b"1"), (b"content-length", b"1")]
    sent = await call(hello, scope(headers=headers))
    assert sent[0]["status"] == 200


async def test_content_of_http_2_needs_no_length() -> None:
    def echo(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    sent = await call(echo, scope(method="POST", http_version="2"), b"hel", b"lo")
    assert sent[1]["body"] == b"hello"


async def test_a_call_that_is_cancelled_lets_its_thread_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inside, over = threading.Event(), threading.Event()
    raised = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        try:
            while True:
                write(bytes(65536))
                inside.set()
        except ClientDisconnected as error:
            raised.append(error)
            raise ZeroDivisionError from None
        finally:
            over.set()

    async def send(message: Message) -> None:
        await never()

    application = wsgi(app)
    calling = asyncio.ensure_future(application(scope(), never, send))
    await asyncio.to_thread(inside.wait, SECONDS)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await asyncio.to_thread(over.wait, SECONDS)
    assert len(raised) == 1
    await asyncio.to_thread(application.pool.close, SECONDS)
    async with asyncio.timeout(SECONDS):
        while "Exception in a WSGI application" not in caplog.text:
            await asyncio.sleep(0)


async def test_a_server_that_raises_ends_the_call() -> None:
    async def send(message: Message) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await wsgi(hello)(scope(), never, send)


# The error log.


def test_the_error_log_takes_lines_in_any_pieces(caplog: pytest.LogCaptureFixture) -> None:
    log = ErrorLog()
    log.write("one\ntwo\nth")
    log.write("ree")
    log.flush()
    log.flush()
    log.writelines(["four\n", "five"])
    log.write("\n")
    log.write("\n")
    assert [record.getMessage() for record in caplog.records] == [
        *("one\ntwo", "three", "four", "five")
    ]


def test_the_error_log_does_not_mix_threads(caplog: pytest.LogCaptureFixture) -> None:
    log = ErrorLog()
    log.write("main ")
    thread = threading.Thread(target=log.write, args=("other\n",))
    thread.start()
    thread.join()
    log.write("thread\n")
    assert [record.getMessage() for record in caplog.records] == ["other", "main thread"]


# Frameworks.


def make_flask() -> flask.Flask:
    app = flask.Flask(__name__)
    loops: list[int] = []

    @app.post("/echo")
    def echo() -> bytes:
        return flask.request.get_data()

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response(str(i) for i in range(3))

    @app.get("/async")
    async def asynchronous() -> str:
        await asyncio.sleep(0)
        loops.append(id(asyncio.get_running_loop()))
        return str(len(set(loops)))

    return app


def test_flask_reads_content_of_unknown_length(serve: Serve) -> None:
    host = serve(make_flask())
    chunked = b"5\r\nhello\r\n0\r\n\r\n"
    answer = host.ask("POST", "Transfer-Encoding: chunked", body=chunked, path="/echo")
    assert answer.body == b"hello"
    assert host.ask(path="/stream").body == b"012"


def test_async_views_run_on_the_loop_of_the_server(serve: Serve) -> None:
    # Flask imports asgiref late, for its first async view.
    assert "asgiref.sync" in sys.modules or __import__("asgiref.sync")
    host = serve(make_flask())
    assert [host.ask(path="/async").body for _ in range(3)] == [b"1", b"1", b"1"]


DJANGO = """
from django.conf import settings
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="secret")
from django.core.wsgi import get_wsgi_application
from django.core.signals import request_finished
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

finished = []
request_finished.connect(lambda **more: finished.append(1), weak=False)

@csrf_exempt
def echo(request):
    return HttpResponse(f"{request.body.decode()} {len(finished)}")

urlpatterns = [path("echo", echo)]
application = get_wsgi_application()
"""


def test_django_reads_content_of_unknown_length_and_finishes_requests(tmp_path: Path) -> None:
    # In a process of its own: Django is configured once.
    from tests.server.process import answer, connect, launched

    (tmp_path / "shop.py").write_text(DJANGO)
    chunked = b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
    chunked += b"Connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    with launched(tmp_path, "shop:application", "--threads", "1") as process:
        answers = []
        for _ in range(2):
            client = connect(process.port())
            client.sendall(chunked)
            answers.append(answer(client))
        assert answers == [b"hello 0", b"hello 1"]
        assert process.stop() == 0


def test_a_host_that_cannot_start_says_so() -> None:
    with pytest.raises(Exception, match="root_path"):
        Host(wsgi(hello), asyncio.new_event_loop, root_path="x")


def test_errors_are_logged_at_the_level_error(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        environ["wsgi.errors"].write("a problem\n")
        return hello(environ, start_response)

    serve(app).ask()
    assert [r.levelno for r in caplog.records if "a problem" in r.getMessage()] == [logging.ERROR]
