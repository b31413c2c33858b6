"""The native way to a WSGI application, on a connection in memory."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tidegate.bridge.wsgi import Wsgi, WsgiSettings
from tidegate.bridge.wsgi.call import Application
from tidegate.deadline import time_left
from tidegate.exchange.access import AccessLog
from tidegate.exchange.forwarded import FIELDS, Proxies
from tidegate.exchange.service import Policy
from tidegate.exchange.wsgi import WsgiExchange, WsgiService
from tidegate.net.clock import Clock
from tidegate.net.timeouts import Timeouts
from tidegate.net.worker import Worker
from tidegate.testing.peer import Peer, turns

SECONDS = 20.0

GET = "GET / HTTP/1.1\r\nHost: test\r\n{}\r\n"

Environ = dict[str, Any]


class WsgiPeer(Peer):
    """A client of a WSGI application, connected."""

    def __init__(
        self,
        application: Application,
        policy: Policy | None = None,
        access_log: AccessLog | None = None,
        **settings: Any,
    ) -> None:
        wsgi = Wsgi(application, WsgiSettings(**settings))
        loop = asyncio.get_running_loop()
        self.service = WsgiService(wsgi, policy or Policy(), loop, access_log)
        self.clock = Clock(self.service)
        self.worker = Worker(self.service, self.clock, Timeouts(), exchange=WsgiExchange)
        self.connect()

    async def until(self, wanted: Callable[[], object]) -> None:
        """Let the loop turn until something is so."""
        async with asyncio.timeout(SECONDS):
            while not wanted():
                await asyncio.sleep(0)

    async def answered(self, *wanted: bytes) -> bytes:
        """Wait until all of this was received, and no call is in progress."""
        await self.until(
            lambda: all(one in self.transport.output for one in wanted) and not self.service.running
        )
        return self.transport.output

    async def close(self) -> None:
        """End the threads."""
        await asyncio.to_thread(self.service.wsgi.pool.close, SECONDS)
        await turns()


def hello(environ: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


class Stream:
    """Yields a chunk for each permission."""

    def __init__(self) -> None:
        self.permits = threading.Semaphore(0)
        self.closed = threading.Event()
        self.over = False

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return self

    def __iter__(self) -> Iterator[bytes]:
        while self.permits.acquire(timeout=SECONDS) and not self.over:
            yield b"PIECE"

    def close(self) -> None:
        self.closed.set()


async def test_a_small_response_is_one_write() -> None:
    peer = WsgiPeer(hello)
    await peer.send(GET.format(""))
    await peer.answered(b"hello")
    assert peer.transport.writes == 1
    assert peer.response().header("content-length") == "5"
    await peer.close()


async def test_the_requests_of_one_turn_go_to_work_together() -> None:
    peer = WsgiPeer(hello)
    submitted: list[int] = []
    submit = peer.service.wsgi.pool.submit
    peer.service.wsgi.pool.submit = (  # type: ignore[method-assign]
        lambda job: (submitted.append(len(peer.service.running)), submit(job))[1]
    )
    first = peer.connection
    peer.connect()
    second = peer.connection
    for connection in (first, second):
        connection.data_received(GET.format("").encode())
    assert submitted == []
    await peer.answered(b"hello")
    assert submitted == [2, 2]
    await peer.close()


async def test_the_access_log_knows_the_client(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate.access")
    seen = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        seen.append((environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]))
        return hello(environ, start_response)

    policy = Policy(proxies=Proxies(["127.0.0.1"]))
    peer = WsgiPeer(app, policy, AccessLog())
    await peer.send(GET.format("X-Forwarded-For: 9.8.7.6\r\nX-Forwarded-Proto: https\r\n"))
    await peer.answered(b"hello")
    assert seen == [("9.8.7.6", "https")]
    assert caplog.messages[0].startswith('9.8.7.6:0 - "GET / HTTP/1.1" 200')
    await peer.close()


async def test_what_a_proxy_may_say_besides_is_in_the_environment() -> None:
    seen = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        seen.append([environ.get(name) for name in ("HTTP_HOST", "SCRIPT_NAME", "PATH_INFO")])
        return hello(environ, start_response)

    lines = GET.format("X-Forwarded-Host: shop.example\r\nX-Forwarded-Prefix: /caf%C3%A9\r\n")
    for trusted in ("127.0.0.1", "10.0.0.1"):
        peer = WsgiPeer(app, Policy(proxies=Proxies([trusted], FIELDS)))
        await peer.send(lines)
        await peer.answered(b"hello")
        await peer.close()
    assert seen == [["shop.example", "/cafÃ©", "/"], ["test", "", "/"]]


@pytest.mark.parametrize(
    ("mode", "path", "expected"),
    [("keep", "/app/page", "/page"), ("strip", "/page", "/page"), ("strip", "/app/x", "/app/x")],
)
async def test_the_mount_point_is_not_part_of_the_path(mode: Any, path: str, expected: str) -> None:
    seen = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        seen.append([environ[key] for key in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")])
        return hello(environ, start_response)

    peer = WsgiPeer(app, Policy(root_path="/app", root_path_mode=mode))
    await peer.send(f"GET {path}?q HTTP/1.1\r\nHost: test\r\n\r\n")
    await peer.answered(b"hello")
    assert seen == [["/app", expected, "q"]]
    await peer.close()


async def test_content_that_came_later_is_fed_when_it_is_asked_for() -> None:
    sizes = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        sizes.append(len(environ["wsgi.input"].read()))
        return hello(environ, start_response)

    peer = WsgiPeer(app)
    await peer.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\nxx")
    await peer.send(bytes(100_000))
    await peer.until(lambda: peer.transport.reading)
    await peer.send(bytes(99_998))
    await peer.answered(b"hello")
    assert sizes == [200_000]
    await peer.close()


async def test_a_client_that_leaves_while_its_content_is_read_is_an_error() -> None:
    raised = []
    reading = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"].read(1)
        reading.set()
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            raised.append(type(error).__name__)
            raise
        return []

    peer = WsgiPeer(app)
    await peer.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nxx")
    await peer.until(reading.is_set)
    await peer.until(lambda: peer.connection.exchange._hungry)  # type: ignore[union-attr]
    await peer.leave()
    await peer.answered()
    assert raised == ["ClientDisconnected"]
    await peer.close()


async def test_content_nobody_reads_does_not_hold_the_answer() -> None:
    peer = WsgiPeer(hello)
    await peer.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\nxx")
    await peer.answered(b"hello")
    await peer.close()


async def test_reading_after_the_response_raises() -> None:
    raised = []

    class Late:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"hello"])

        def close(self) -> None:
            try:
                self.stream.read()
            except OSError as error:
                raised.append(error)

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        return Late(environ["wsgi.input"])

    peer = WsgiPeer(app)
    await peer.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\nxx")
    await peer.answered(b"hello")
    assert len(raised) == 1
    await peer.close()


async def test_a_client_that_takes_nothing_holds_the_thread_not_the_memory() -> None:
    stream = Stream()
    peer = WsgiPeer(stream)
    await peer.send(GET.format(""))
    stream.permits.release()
    await peer.until(lambda: b"PIECE" in peer.transport.output)
    peer.connection.pause_writing()
    received = peer.transport.output
    stream.permits.release()
    await peer.until(lambda: peer.connection.exchange._ready)  # type: ignore[union-attr]
    assert peer.transport.output == received
    peer.connection.resume_writing()
    await peer.until(lambda: peer.transport.output.count(b"PIECE") == 2)
    stream.over = True
    stream.permits.release()
    await peer.answered(b"0\r\n\r\n")
    assert stream.closed.is_set()
    await peer.close()


async def test_the_stream_of_a_client_that_is_gone_ends(caplog: pytest.LogCaptureFixture) -> None:
    stream = Stream()
    peer = WsgiPeer(stream)
    await peer.send(GET.format(""))
    stream.permits.release()
    await peer.until(lambda: b"PIECE" in peer.transport.output)
    await peer.leave()
    stream.permits.release()
    await peer.answered()
    assert stream.closed.is_set()
    assert "Exception" not in caplog.text
    await peer.close()


async def test_a_half_closed_client_gets_its_answer() -> None:
    go_on = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        go_on.wait(SECONDS)
        return hello(environ, start_response)

    peer = WsgiPeer(app, Policy(disconnect_grace=0.0))
    await peer.send(GET.format(""))
    await peer.half_close()
    await turns(100)
    go_on.set()
    assert b"200 OK" in await peer.answered(b"hello")
    await peer.close()


async def test_the_stream_of_a_half_closed_client_is_cut_after_the_grace() -> None:
    stream = Stream()
    peer = WsgiPeer(stream, Policy(disconnect_grace=0.0))
    await peer.send(GET.format(""))
    stream.permits.release()
    await peer.until(lambda: b"PIECE" in peer.transport.output)
    await peer.half_close()
    await peer.until(lambda: peer.transport.closed)
    stream.permits.release()
    await peer.answered()
    assert stream.closed.is_set()
    await peer.close()


async def test_a_request_whose_client_left_before_a_thread_was_free_is_not_answered() -> None:
    go_on = threading.Event()
    calls = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        calls.append(1)
        go_on.wait(SECONDS)
        return hello(environ, start_response)

    peer = WsgiPeer(app, threads=1, max_queue=0)
    await peer.send(GET.format(""))
    await peer.until(lambda: calls)
    peer.connect()
    # Refused, and gone, in the same turn.
    peer.connection.data_received(GET.format("").encode())
    peer.connection.connection_lost(None)
    await turns()
    assert peer.transport.output == b""
    await peer.send("")
    peer.connect()
    await peer.send(GET.format(""))
    await peer.until(lambda: b"503 Service Unavailable" in peer.transport.output)
    assert b"retry-after: " in peer.transport.output
    go_on.set()
    await peer.answered()
    assert calls == [1]
    await peer.close()


async def test_a_response_that_becomes_impossible_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go_on = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Length", "9")])
        write(b"hello")
        go_on.wait(SECONDS)
        return []

    peer = WsgiPeer(app)
    await peer.send(GET.format(""))
    await peer.until(lambda: b"hello" in peer.transport.output)
    go_on.set()
    await peer.answered()
    assert peer.transport.aborted
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1
    await peer.close()


async def test_what_follows_an_impossible_response_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    over = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        # Only the exchange sees that two lengths cannot both be right.
        write = start_response("200 OK", [("Content-Length", "9"), ("Content-Length", "8")])
        try:
            while True:
                write(b"")
        finally:
            over.set()

    peer = WsgiPeer(app)
    await peer.send(GET.format(""))
    await peer.answered(b"500 Internal Server Error")
    assert over.is_set()
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1
    await peer.close()


async def test_an_application_can_be_served_again() -> None:
    wsgi = Wsgi(hello)
    for _ in range(2):
        events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent: list[Any] = []

        async def receive() -> Any:
            return events.pop(0)  # noqa: B023

        async def send(message: Any) -> None:
            sent.append(message["type"])  # noqa: B023

        await wsgi({"type": "lifespan"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    done = threading.Event()
    wsgi.pool.submit(done.set)
    assert await asyncio.to_thread(done.wait, SECONDS)
    await asyncio.to_thread(wsgi.pool.close, SECONDS)


async def test_content_that_is_too_short_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "9")])
        return [b"hello"]

    peer = WsgiPeer(app)
    await peer.send(GET.format(""))
    await peer.answered(b"500 Internal Server Error")
    assert "5 bytes where content-length announced 9" in caplog.text
    await peer.close()


async def test_more_than_the_client_takes_at_once_arrives_whole() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 Quite All Right", [])
        for _ in range(20):
            yield bytes(65_536)

    peer = WsgiPeer(app)
    peer.transport.stall()
    await peer.send(GET.format("Connection: close\r\n"))
    await peer.until(lambda: peer.connection.congested)
    peer.transport.flow()
    await peer.answered(b"0\r\n\r\n")
    assert peer.transport.output.startswith(b"HTTP/1.1 200 Quite All Right\r\n")
    assert len(peer.response().body) == 20 * 65_536
    await peer.close()


# Files and early hints.


def sending(path: Path, length: int | None = None) -> Application:
    """Return an application that returns a file."""

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", str(length))] if length else [])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    return app


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_file_whose_client_has_left_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1_000_000))
    before = descriptors()
    go_on, held = threading.Event(), threading.Event()
    send = sending(path)

    def app(environ: Environ, start_response: Any) -> Any:
        held.set()
        go_on.wait(SECONDS)
        return send(environ, start_response)

    peer = WsgiPeer(app)
    await peer.send(GET.format(""))
    await peer.until(held.is_set)
    await peer.leave()
    go_on.set()
    await peer.until(lambda: not peer.service.running)
    await peer.close()
    assert descriptors() == before


async def test_a_file_that_was_handed_over_to_nobody_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1_000_000))
    before = descriptors()
    peer = WsgiPeer(sending(path))
    peer.transport.stall()
    await peer.send(GET.format(""))
    await peer.leave()
    await peer.until(lambda: not peer.service.running)
    await peer.close()
    await peer.until(lambda: descriptors() == before)


async def test_an_impossible_start_lets_the_file_go(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    before = descriptors()
    wrap: list[Any] = []

    def app(environ: Environ, start_response: Any) -> Any:
        headers = [("Content-Length", "100"), ("Content-Length", "100000")]
        start_response("200 OK", headers)
        wrap.append(environ["wsgi.file_wrapper"](path.open("rb")))
        return wrap[0]

    peer = WsgiPeer(app)
    await peer.send(GET.format(""))
    await peer.answered(b"500 Internal Server Error")
    await peer.close()
    assert descriptors() == before


async def test_a_hint_for_nobody_is_dropped() -> None:
    held, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        held.set()
        go_on.wait(SECONDS)
        environ["wsgi.early_hints"]([("Link", "</a.css>")])
        environ["wsgi.early_hints"]([("X-Link", "</a.css>")])
        done.set()
        return hello(environ, start_response)

    peer = WsgiPeer(app)
    await peer.send(GET.format(""))
    await peer.until(held.is_set)
    await peer.leave()
    go_on.set()
    await peer.until(lambda: done.is_set() and not peer.service.running)
    assert b"103" not in peer.transport.output
    await peer.close()


async def test_an_old_client_is_offered_no_hints() -> None:
    seen = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        seen.append("wsgi.early_hints" in environ)
        return hello(environ, start_response)

    peer = WsgiPeer(app)
    await peer.send("GET / HTTP/1.0\r\n\r\n")
    await peer.answered(b"hello")
    assert seen == [False]
    await peer.close()


# on_disconnect = "ignore".


async def test_a_thread_may_run_to_its_end_without_noticing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1_000_000))
    before = descriptors()
    held, go_on = threading.Event(), threading.Event()
    ends = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"first")
        held.set()
        go_on.wait(SECONDS)
        # More than would be held for a client that is there.
        for _ in range(20):
            write(b"x" * 100_000)
        ends.append("written")
        if environ["PATH_INFO"] == "/file":
            return environ["wsgi.file_wrapper"](path.open("rb"))  # type: ignore[no-any-return]
        return [b"last"]

    for target in ("/", "/file"):
        peer = WsgiPeer(app, Policy(on_disconnect="ignore"))
        await peer.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
        await peer.until(held.is_set)
        await peer.half_close()
        await peer.wait(10)
        assert not peer.transport.closed
        await peer.leave()
        go_on.set()
        await peer.until(lambda peer=peer: not peer.service.running)  # type: ignore[misc]
        await peer.close()
        held.clear()
        go_on.clear()
    assert ends == ["written", "written"]
    assert descriptors() == before


async def test_hints_come_before_the_response() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>")])
        return hello(environ, start_response)

    peer = WsgiPeer(app)
    await peer.send(GET.format(""))
    raw = await peer.answered(b"hello")
    assert raw.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK")
    await peer.close()


async def test_a_call_that_takes_too_long_is_answered_in_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go = threading.Event()

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        go.wait(SECONDS)
        return hello(environ, start_response)

    peer = WsgiPeer(application, Policy(timeout_request=0.01))
    await peer.send(GET.format(""))
    await peer.until(lambda: b" 504 " in peer.transport.output)
    go.set()
    await peer.until(lambda: not peer.service.running)
    assert peer.response().status == 504
    assert peer.transport.output.count(b"HTTP/1.1") == 1
    assert "No answer within 0.01 s, GET /" in caplog.text
    await peer.close()


@pytest.mark.parametrize(
    "policy", [Policy(), Policy(timeout_header=b"time"), Policy(timeout_request=1000)]
)
async def test_a_call_knows_how_much_time_is_left(policy: Policy) -> None:
    left = []

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        left.append(time_left())
        return hello(environ, start_response)

    peer = WsgiPeer(application, policy)
    await peer.send(GET.format(""))
    await peer.answered(b"hello")
    (seconds,) = left
    if policy.timeout_request is None:
        assert seconds is None
    else:
        assert seconds is not None
        assert 0 < seconds <= 1000
    await peer.close()


async def test_a_mounted_application_shares_what_is_in_progress() -> None:
    seen = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        seen.append((environ["SCRIPT_NAME"], environ["PATH_INFO"]))
        return hello(environ, start_response)

    peer = WsgiPeer(app, Policy(root_path="/shop"))
    mounted = WsgiService.mounted(peer.service, peer.service.wsgi, "/old")
    peer.worker.exchange = lambda out, _, head, body, ended: WsgiExchange(
        out, mounted, head, body, ended
    )
    changes = []
    mounted.on_change = lambda: changes.append(len(peer.service.running))
    await peer.send("GET /old/page HTTP/1.1\r\nHost: test\r\n\r\n")
    await peer.answered(b"hello")
    assert seen == [("/shop/old", "/page")]
    assert changes == [0]
    await peer.close()


async def test_a_file_is_sent_after_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1_000_000)
    before = descriptors()
    for size in (None, 1_000_000):
        peer = WsgiPeer(sending(path, size))
        await peer.send(GET.format(""))
        # The call is over before the file is out.
        await peer.until(lambda peer=peer: peer.connection.exchange is None)  # type: ignore[misc]
        assert peer.response().body == b"x" * 1_000_000
        await peer.close()

    def app(environ: Environ, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        write(b"before")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    peer = WsgiPeer(app)
    await peer.send(GET.format(""))
    await peer.until(lambda: peer.connection.exchange is None)
    assert peer.response().body == b"before" + b"x" * 1_000_000
    await peer.close()
    assert descriptors() == before


async def test_a_file_that_breaks_the_announced_length_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1_000_000)
    before = descriptors()
    peer = WsgiPeer(sending(path, 2_000_000))
    await peer.send(GET.format(""))
    await peer.answered(b"500 Internal Server Error")
    await peer.close()
    assert descriptors() == before
