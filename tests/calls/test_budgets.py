"""How many Python calls a request costs: a budget that is the same on every machine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import FrameType

import pytest

import tidegate
from tidegate._pure import speed
from tidegate.asgi import Receive, Scope, Send
from tidegate.testing.peer import Peer, turns
from tidegate.testing.transport import FakeTransport

pytestmark = pytest.mark.skipif(
    speed() != "pure", reason="calls of compiled functions cannot be counted"
)

PACKAGE = str(Path(tidegate.__file__).parent)

GET = b"GET /path?query HTTP/1.1\r\nHost: test\r\nAccept: */*\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello"

TO_THE_APPLICATION = 8
TO_THE_TRANSPORT = 5


class Calls:
    """The names of the package's functions that were called since the last ``restart``."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def restart(self) -> None:
        self.names.clear()

    def profile(self, frame: FrameType, event: str, _arg: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            self.names.append(frame.f_code.co_qualname)


async def receive(peer: Peer, data: bytes, calls: Calls) -> None:
    """Let bytes arrive as an event loop does it: outside of any task."""

    def arrive() -> None:
        previous = sys.getprofile()
        sys.setprofile(calls.profile)
        try:
            peer.connection.data_received(data)
        finally:
            sys.setprofile(previous)

    asyncio.get_running_loop().call_soon(arrive)
    await turns()


class Probe(FakeTransport):
    """Keeps what was called before each write."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls
        self.before_write: list[list[str]] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:  # type: ignore[type-arg]
        self.before_write.append(self._calls.names.copy())
        super().write(data)
        self._calls.restart()


async def test_a_plain_get_reaches_the_application_in_eight_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Other tests may have filled it.
    monkeypatch.setattr("tidegate.wire.http1.head._known_lines", {})
    calls = Calls()
    reached: list[list[str]] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(calls.names.copy())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    peer = Peer(application)
    await peer.send(GET)  # what is seen for the first time costs more
    for _ in range(2):
        calls.restart()
        await receive(peer, GET, calls)
    assert len(reached) == 3
    for names in reached[1:]:
        assert names[0] == "BareHttp1.data_received"
        assert len(names[1:]) <= TO_THE_APPLICATION, names


async def test_a_response_reaches_the_transport_in_five_calls() -> None:
    calls = Calls()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        calls.restart()
        await send({"type": "http.response.body", "body": b"hello"})

    transport = Probe(calls)
    peer = Peer(application, transport=transport)
    await peer.get()
    transport.before_write.clear()
    await receive(peer, GET, calls)
    (names,) = transport.before_write
    assert names[0] == "HttpExchange.send"
    assert len(names[1:]) <= TO_THE_TRANSPORT, names


async def test_every_piece_of_a_stream_reaches_the_transport_in_five_calls() -> None:
    calls = Calls()
    pieces = 10

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(pieces):
            calls.restart()
            await send({"type": "http.response.body", "body": b"hello", "more_body": True})
        calls.restart()
        await send({"type": "http.response.body", "body": b"end"})

    transport = Probe(calls)
    peer = Peer(application, transport=transport)
    await receive(peer, GET, calls)
    assert len(transport.before_write) == pieces + 1
    for names in transport.before_write:
        assert names[0] == "HttpExchange.send"
        assert len(names[1:]) <= TO_THE_TRANSPORT, names


async def test_a_post_with_its_body_in_the_same_read_is_one_call_of_on_request() -> None:
    calls = Calls()
    bodies = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    peer = Peer(application)
    await receive(peer, POST, calls)
    assert bodies == [{"type": "http.request", "body": b"hello", "more_body": False}]
    names = [name for name in calls.names if name.startswith("BareHttp1.on_")]
    assert names == ["BareHttp1.on_request"]


async def test_head_and_content_of_a_small_response_are_one_write() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 65_536})

    peer = Peer(application)
    assert (await peer.get()).body == b"x" * 65_536
    assert peer.transport.writes == 1


async def test_a_request_that_never_waits_takes_no_turn_of_the_loop() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})

    peer = Peer(application)
    at_once = []

    def arrive() -> None:
        peer.connection.data_received(POST)
        at_once.append(peer.transport.output)

    asyncio.get_running_loop().call_soon(arrive)
    await turns()
    assert at_once == [peer.transport.output]
    assert peer.response().body == b"hello"
    assert peer.service.running == set()
