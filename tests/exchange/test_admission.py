"""Limits that every request passes: how many at once, how many wait, how long, how much."""

from __future__ import annotations

import asyncio
from typing import Any

from tidegate.asgi import Receive, Scope, Send
from tidegate.exchange.service import Policy
from tidegate.testing.peer import Peer, turns

from .applications import body, hello, start

POST = "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{content}"


class Gate:
    """Answers with the path, once it is open; keeps the paths in the order of the calls."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.open = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        await self.open.wait()
        await send(start())
        await send(body(scope["path"].encode()))


def get(path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"


async def asked(gate: Gate, *paths: str, **policy: Any) -> tuple[Peer, list[Any]]:
    """Ask for each path on a connection of its own; return what they got, when looked at."""
    peer = Peer(gate, Policy(limit_concurrency=1, **policy))
    transports = []
    for path in paths:
        await peer.send(get(path))
        transports.append(peer.transport)
        peer.connect()
    return peer, transports


def status(transport: Any) -> int:
    return int(transport.output.split(b" ")[1]) if transport.output else 0


async def test_requests_above_the_limit_wait_in_their_order() -> None:
    gate = Gate()
    peer, transports = await asked(gate, "/1", "/2", "/3", "/4", limit_queue=3)
    assert gate.paths == ["/1"]
    gate.open.set()
    await turns(50)
    assert gate.paths == ["/1", "/2", "/3", "/4"]
    admission = peer.service.entrance.admission
    assert (admission.waiting, admission.waits) == (0, 3)
    assert admission.waited >= 0  # some loops count whole milliseconds
    assert [status(each) for each in transports] == [200] * 4


async def test_who_finds_no_room_is_told_to_come_again() -> None:
    gate = Gate()
    peer, transports = await asked(gate, "/1", "/2", "/3", limit_queue=1)
    assert [status(each) for each in transports] == [0, 0, 503]
    assert b"retry-after: 1\r\n" in transports[2].output.lower()
    assert peer.service.refusals == {"503": 1}
    gate.open.set()
    await turns(50)
    assert [status(each) for each in transports] == [200, 200, 503]


async def test_who_has_waited_too_long_is_told_to_come_again() -> None:
    gate = Gate()
    peer, transports = await asked(gate, "/1", "/2", "/3", limit_queue=5, queue_timeout=0)
    async with asyncio.timeout(20):
        while not all(transport.output for transport in transports[1:]):
            await asyncio.sleep(0)
    assert [status(each) for each in transports] == [0, 503, 503]
    assert peer.service.entrance.admission.waiting == 0
    gate.open.set()
    await turns(50)
    assert gate.paths == ["/1"]


async def test_only_those_whose_time_is_over_are_sent_away() -> None:
    gate = Gate()
    peer, transports = await asked(gate, "/1", "/2", limit_queue=5, queue_timeout=1000)
    admission = peer.service.entrance.admission
    (first,) = admission._line
    admission._line[first] = 0.0  # as if it had come long ago
    await peer.send(get("/3"))
    admission._on_timer()
    await turns()
    assert status(transports[1]) == 503
    assert admission.waiting == 1
    gate.open.set()
    await turns(50)
    assert gate.paths == ["/1", "/3"]


async def test_a_client_that_left_is_not_told_that_it_waited_too_long() -> None:
    gate = Gate()
    peer = Peer(gate, Policy(limit_concurrency=1, limit_queue=5, queue_timeout=1000))
    await peer.send(get("/1"))
    peer.connect()
    await peer.send(get("/2"))
    admission = peer.service.entrance.admission
    (waiting,) = admission._line
    await peer.leave()
    admission._line[waiting] = 0.0  # as if it had come long ago
    admission._on_timer()
    assert admission.waiting == 0
    assert peer.transport.output == b""
    gate.open.set()
    await turns(50)
    assert gate.paths == ["/1"]


async def test_a_client_that_left_while_it_waited_is_passed_over() -> None:
    gate = Gate()
    peer = Peer(gate, Policy(limit_concurrency=1, limit_queue=5))
    await peer.send(get("/1"))
    peer.connect()
    await peer.send(get("/2"))
    await peer.leave()
    peer.connect()
    await peer.send(get("/3"))
    gate.open.set()
    await turns(50)
    assert gate.paths == ["/1", "/3"]


async def test_nobody_overtakes_those_who_wait() -> None:
    gate = Gate()
    peer, transports = await asked(gate, "/1", "/2", limit_queue=5)
    gate.open.set()
    # In the same turn as the end of the first: before the second is let in.
    asyncio.get_running_loop().call_soon(peer.connection.data_received, get("/3").encode())
    await turns(50)
    assert gate.paths == ["/1", "/2", "/3"]
    assert [status(each) for each in transports] == [200, 200]


async def test_calls_that_never_wait_take_no_place() -> None:
    peer = Peer(hello, Policy(limit_concurrency=1))
    for _ in range(3):
        assert (await peer.get()).status == 200
        peer.connect()


async def test_announced_content_above_the_limit_is_refused_unread() -> None:
    gate = Gate()
    peer = Peer(gate, Policy(max_body_size=4))
    await peer.send(POST.format(path="/", length=5, content=""))
    assert peer.response().status == 413
    assert gate.paths == []


async def test_content_of_unknown_length_is_refused_when_it_is_too_much() -> None:
    messages = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        while not messages or messages[-1]["type"] != "http.disconnect":
            messages.append(await receive())

    peer = Peer(application, Policy(max_body_size=4))
    await peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await peer.send("3\r\ndef\r\n")
    assert peer.response().status == 413
    assert messages[0]["body"] == b"abc"
    assert messages[1:] == [{"type": "http.disconnect"}]


async def test_content_within_the_limit_is_served() -> None:
    peer = Peer(hello, Policy(max_body_size=4))
    await peer.send(POST.format(path="/", length=4, content="abcd"))
    assert peer.response().status == 200
