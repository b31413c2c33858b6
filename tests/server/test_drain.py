"""What a stopping server says to probes, idle clients, streams and sockets, and in which order."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as open_socket

from tidegate.asgi import Receive, Scope, Send
from tidegate.bridge.wsgi import Wsgi
from tidegate.testing.peer import turns

from .process import SECONDS, launched
from .running import Client, Diary, Running, running

PROBES = {"health_path": "/healthz", "ready_path": "/readyz"}

# Streams events and holds sockets; notes what it hears, in the order of hearing.
PROGRAM = """
from pathlib import Path

def note(text):
    with open("diary", "a") as diary:
        diary.write(text + "\\n")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        note("shutdown")
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "drain": True})
        while True:
            message = await receive()
            note(message["type"])
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": "good-bye"})
    else:
        headers = [(b"content-type", b"text/event-stream")]
        drain = scope["path"] == "/told"
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        await send({**start, "drain": drain})
        event = {"type": "http.response.body", "more_body": True}
        await send({**event, "body": b"data: begun\\n\\n"})
        while True:
            message = await receive()
            if message["type"] == "http.drain":
                note("http.drain")
                await send({**event, "body": b"data: good-bye\\n\\n", "more_body": False})
                return
            if message["type"] == "http.disconnect":
                note("http.disconnect")
                return
"""


class Begun:
    """Begins a stream and does not end it, whatever it is told."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def begun(server: Running, path: str = "/") -> Client:
    client = await server.connect()
    client.ask(path)
    await client.reader.readuntil(b"begun")
    return client


async def until_told(server: Running) -> None:
    """Ask the server to stop, and wait until it knows."""
    server.server.should_exit = True
    assert server.server.worker is not None
    while server.server.worker.ready:
        await asyncio.sleep(0)


# Probes.


async def test_probes_are_answered_without_the_application() -> None:
    diary = Diary()
    async with running(diary, **PROBES) as server:
        assert (await server.get("/healthz")).body == b"ok\n"
        assert (await server.get("/readyz")).status == 200
        assert diary.scopes == []
        assert (await server.get("/healthz/more")).body == b"/healthz/more"


async def test_probes_are_answered_when_everything_else_is_not() -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary, limit_concurrency=1, **PROBES) as server:
        client = await server.connect()
        client.ask("/slow")
        while not diary.scopes:
            await asyncio.sleep(0)
        assert (await server.get("/other")).status == 503
        assert (await server.get("/readyz")).status == 200
        diary.may_answer.set()


async def test_probes_are_not_in_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tidegate")
    async with running(Diary(), **PROBES) as server:
        await server.get("/healthz")
        await server.get("/page")
    assert "/page" in caplog.text
    assert "healthz" not in caplog.text


async def test_probes_of_a_wsgi_application_need_no_thread() -> None:
    def application(environ, start_response):  # type: ignore[no-untyped-def]
        start_response("200 OK", [("Content-Length", "4")])
        return [b"wsgi"]

    async with running(Wsgi(application), lifespan="off", **PROBES) as server:
        assert (await server.get("/readyz")).body == b"ok\n"
        assert (await server.get("/page")).body == b"wsgi"


async def test_until_the_delay_is_over_everybody_is_served_but_nobody_is_sent() -> None:
    async with running(Diary(), drain_delay=1000, drain_linger=0, **PROBES) as server:
        await until_told(server)
        assert (await server.get("/readyz")).status == 503
        assert (await server.get("/healthz")).status == 200
        assert (await server.get("/page")).body == b"/page"
        assert not server.task.done()
        signal.raise_signal(signal.SIGINT)
        await server.task


# Idle clients.


async def test_a_request_that_was_on_its_way_is_answered_and_the_connection_closed() -> None:
    async with running(Diary(), drain_linger=1000) as server:
        client, new = await server.connect(), await server.connect()
        client.ask("/first")
        assert (await client.answer()).header("connection") is None
        while len(server.server.worker.connections) < 2:  # type: ignore[union-attr]
            await asyncio.sleep(0)
        server.server.should_exit = True
        while not server.server.worker.draining:  # type: ignore[union-attr]
            await asyncio.sleep(0)
        for one in (client, new):
            one.ask("/last")
            answer = await one.answer()
            assert (answer.body, answer.header("connection")) == (b"/last", "close")
            await one.close()
        await server.task


async def test_an_idle_connection_is_closed_when_the_time_is_over() -> None:
    async with running(Diary(), drain_linger=0.1, timeout_keep_alive=1000) as server:
        client = await server.connect()
        client.ask()
        await client.answer()
        await server.stop()
        assert await client.rest() == b""


# Streams.


async def test_a_stream_is_ended_before_a_request() -> None:
    diary, stream = Diary(), Begun()
    diary.may_answer.clear()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await (stream if scope.get("path") == "/stream" else diary)(scope, receive, send)

    async with running(application, timeout_stream_drain=0, drain_linger=0) as server:
        client = await begun(server, "/stream")
        other = await server.connect()
        other.ask("/request")
        while not diary.scopes:
            await asyncio.sleep(0)
        server.server.should_exit = True
        await client.rest()
        await stream.cancelled.wait()
        assert not server.task.done()
        diary.may_answer.set()
        assert (await other.answer()).body == b"/request"
        await other.close()
        await server.task
    assert diary.entries[-1] == "shutdown"


async def test_who_asks_again_does_not_wait_for_streams() -> None:
    stream = Begun()
    async with running(stream, lifespan="off", timeout_stream_drain=1000) as server:
        await begun(server)
        await until_told(server)
        await turns(50)
        assert not stream.cancelled.is_set()
        signal.raise_signal(signal.SIGINT)
        await server.task
    assert stream.cancelled.is_set()


# A real process, and real clients.


@pytest.mark.parametrize("told", [True, False])
def test_sigterm_ends_an_open_stream_and_an_open_socket_and_the_lifespan_last(
    tmp_path: Path, told: bool
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    budgets = ("--timeout-stream-drain", "0.5", "--timeout-ws-drain", "0.5")
    with launched(tmp_path, "program:app", *budgets) as server:
        port = server.port()
        path = "told" if told else "untold"
        with (
            httpx.stream("GET", f"http://127.0.0.1:{port}/{path}", timeout=SECONDS) as stream,
            open_socket(f"ws://127.0.0.1:{port}/", open_timeout=SECONDS) as socket,
        ):
            lines = stream.iter_lines()
            assert next(lines) == "data: begun"
            server.send_signal(signal.SIGTERM)
            assert socket.recv(SECONDS) == "good-bye"
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(SECONDS)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
            if told:
                assert [line for line in lines if line] == ["data: good-bye"]
            else:
                with pytest.raises(httpx.TransportError):
                    list(lines)
        assert server.wait() == 0
    heard = (tmp_path / "diary").read_text().split()
    assert heard[-1] == "shutdown"
    stream_heard = "http.drain" if told else "http.disconnect"
    assert sorted(heard[:-1]) == sorted([stream_heard, "websocket.drain", "websocket.disconnect"])
