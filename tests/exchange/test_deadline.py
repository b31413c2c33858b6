"""How long a whole request may take, and who says so."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.deadline import DEADLINE, time_left
from tidegate.exchange.deadline import Deadlines
from tidegate.exchange.service import Policy
from tidegate.testing.peer import Peer, turns

from .applications import body, start

HEADER = b"request-timeout"


class Slow:
    """Begins its answer if it is told to, and never ends it."""

    def __init__(self, begins: bool = False) -> None:
        self.begins = begins
        self.cancelled = asyncio.Event()
        self.left: list[float | None] = []
        self.extensions: list[dict[str, object]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.left.append(time_left())
        self.extensions.append(scope["extensions"])
        if self.begins:
            await send(start())
            await send(body(b"begun", True))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def until(event: asyncio.Event) -> None:
    async with asyncio.timeout(20):
        await event.wait()
    await turns()


async def test_a_request_that_takes_too_long_is_answered_504_and_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = Slow()
    peer = Peer(slow, Policy(timeout_request=0.01))
    await peer.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(slow.cancelled)
    assert peer.response().status == 504
    assert "No answer within 0.01 s, GET /slow" in caplog.text
    assert peer.service.running == set()


async def test_a_response_that_has_begun_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow(begins=True)
    peer = Peer(slow, Policy(timeout_request=0.01))
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(slow.cancelled)
    assert peer.transport.aborted
    assert peer.transport.output.endswith(b"begun\r\n")


async def test_who_answers_in_time_hears_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    go = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/later":
            await go.wait()
        await send(start())
        await send(body(b"done"))

    peer = Peer(application, Policy(timeout_request=1000))
    assert (await peer.get("/now")).body == b"done"
    await peer.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
    go.set()
    await turns()
    deadlines = peer.service.entrance.deadlines
    assert deadlines._timers == {}
    assert caplog.text == ""


async def test_the_application_knows_what_time_is_left() -> None:
    slow = Slow()
    peer = Peer(slow, Policy(timeout_request=1000))
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    (left,) = slow.left
    assert left is not None
    assert 900 < left <= 1000
    assert slow.extensions[0]["tidegate.deadline"]["seconds"] == 1000
    assert time_left() is None
    await peer.leave()


def test_no_less_than_nothing_is_left() -> None:
    token = DEADLINE.set(0.0)
    assert time_left() == 0.0
    DEADLINE.reset(token)


@pytest.mark.parametrize(
    ("most", "asked", "seconds"),
    [
        (10.0, "Request-Timeout: 3\r\n", 3.0),
        (10.0, "Request-Timeout: 2.5\r\n", 2.5),
        (10.0, "Request-Timeout: 30\r\n", 10.0),
        (10.0, "Request-Timeout: soon\r\n", 10.0),
        (10.0, "Request-Timeout: -1\r\n", 10.0),
        (10.0, "", 10.0),
        (None, "Request-Timeout: 30\r\n", 30.0),
        (None, "", None),
    ],
)
async def test_a_client_may_ask_for_less_never_for_more(
    most: float | None, asked: str, seconds: float | None
) -> None:
    slow = Slow()
    peer = Peer(slow, Policy(timeout_request=most, timeout_header=HEADER))
    await peer.send(f"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n{asked}\r\n")
    extension = slow.extensions[0].get("tidegate.deadline")
    assert (extension and extension["seconds"]) == seconds
    await peer.leave()


async def test_nobody_asks_clients_unless_the_header_is_named() -> None:
    slow = Slow()
    peer = Peer(slow, Policy(timeout_request=10))
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\nRequest-Timeout: 1\r\n\r\n")
    assert slow.extensions[0]["tidegate.deadline"]["seconds"] == 10
    await peer.leave()


async def test_who_waits_for_a_turn_is_answered_too() -> None:
    slow = Slow()
    policy = Policy(timeout_header=HEADER, limit_concurrency=1, limit_queue=5, queue_timeout=1000)
    peer = Peer(slow, policy)
    await peer.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.connect()
    await peer.send("GET /2 HTTP/1.1\r\nHost: a\r\nRequest-Timeout: 0.01\r\n\r\n")
    async with asyncio.timeout(20):
        while not peer.transport.output:
            await asyncio.sleep(0)
    assert peer.response().status == 504
    assert len(slow.left) == 1


async def test_a_client_that_left_is_told_nothing(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    peer = Peer(slow, Policy(timeout_request=1000, on_disconnect="raise"))
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    deadlines: Deadlines = peer.service.entrance.deadlines
    (exchange,) = deadlines._timers
    await peer.leave()
    deadlines._expire(exchange, 1000)
    assert "No answer" not in caplog.text
    exchange.task.cancel()
    await turns()
