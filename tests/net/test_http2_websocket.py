"""Sockets over HTTP/2 (RFC 8441): the same session on a stream in place of a connection."""

from __future__ import annotations

import asyncio

from tests.wire.http2.client import GET

from tidegate.asgi import Message, Receive, Scope, Send
from tidegate.exchange.service import Policy
from tidegate.net.timeouts import Timeouts
from tidegate.testing.peer import turns
from tidegate.testing.websocket import CLOSE, TEXT, closing, frames_in, masked
from tidegate.wire.http2 import frames
from tidegate.wire.http2.frames import Code
from tidegate.wire.http2.hpack import Pair

from .applications import Held, hello
from .http2_peer import Answer, Http2Peer, opened
from .memory import nothing_left

CONNECT: list[Pair] = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"http"),
    (b":path", b"/chat?a=b"),
    (b":authority", b"test"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-protocol", b"one, two"),
]


class Echo:
    """Accepts and sends back; keeps the scope and what it receives."""

    def __init__(self) -> None:
        self.scope: Scope = {}
        self.messages: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "two"})
        while True:
            message = await receive()
            self.messages.append(message)
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": message["text"]})


async def connected(peer: Http2Peer, number: int = 1) -> Answer:
    await peer.send(peer.head(number, CONNECT, False))
    return peer.answer(number)


async def test_messages_go_both_ways_beside_requests() -> None:
    echo = Echo()
    peer = await opened(echo)
    answer = await connected(peer)
    assert answer.heads[0][0] == (b":status", b"200")
    assert (b"sec-websocket-protocol", b"two") in answer.heads[0]
    assert not any(name == b"sec-websocket-accept" for name, _ in answer.heads[0])
    assert (echo.scope["type"], echo.scope["http_version"]) == ("websocket", "2")
    assert (echo.scope["path"], echo.scope["scheme"]) == ("/chat", "ws")
    await peer.send(peer.content(1, masked(TEXT, b"hi"), False))
    (frame,) = frames_in(peer.answer(1).body)
    assert frame.payload == b"hi"
    peer.service.application = hello
    assert (await peer.request(3)).body == b"hello"


async def test_the_closing_handshake_ends_the_stream() -> None:
    echo = Echo()
    peer = await opened(echo)
    await connected(peer)
    await peer.send(peer.content(1, closing(1000, "bye"), False))
    answer = peer.answer(1)
    assert answer.ended
    assert answer.reset is None
    assert echo.messages[-1]["code"] == 1000
    await peer.send(peer.content(1, b""))
    assert peer.connection.core.streams == {}  # type: ignore[attr-defined]


async def test_who_does_not_end_its_half_is_reset() -> None:
    peer = await opened(Echo(), timeouts=Timeouts(linger=2))
    await connected(peer)
    await peer.send(peer.content(1, closing(1000), False))
    await peer.wait(4)
    assert peer.answer(1).reset == Code.CANCEL


async def test_a_stream_that_ends_without_a_word_is_a_loss() -> None:
    echo = Echo()
    peer = await opened(echo)
    await connected(peer)
    await peer.send(peer.content(1, b""))
    assert echo.messages[-1]["code"] == 1006
    assert peer.answer(1).ended
    assert peer.connection.core.streams == {}  # type: ignore[attr-defined]


async def test_a_reset_is_a_loss() -> None:
    echo = Echo()
    peer = await opened(echo)
    await connected(peer)
    await peer.send(frames.reset(1, Code.CANCEL))
    assert echo.messages[-1]["code"] == 1006


async def test_a_lost_connection_is_a_loss() -> None:
    echo = Echo()
    peer = await opened(echo)
    await connected(peer)
    await peer.leave()
    assert echo.messages[-1]["code"] == 1006


async def test_what_comes_before_it_is_accepted_is_kept() -> None:
    echo = Echo()
    peer = await opened(echo)
    await peer.send(peer.head(1, CONNECT, False) + peer.content(1, masked(TEXT, b"early"), False))
    (frame,) = frames_in(peer.answer(1).body)
    assert frame.payload == b"early"


async def test_a_socket_may_be_denied() -> None:
    async def denies(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close"})

    peer = await opened(denies)
    answer = await connected(peer)
    assert (answer.status, answer.ended) == (403, True)
    assert (await peer.request(3, [*CONNECT[:1], *CONNECT[2:]])).reset == Code.PROTOCOL_ERROR


async def test_another_version_of_websocket_is_refused() -> None:
    peer = await opened(Echo())
    pairs = [*CONNECT[:5], (b"sec-websocket-version", b"8")]
    await peer.send(peer.head(1, pairs, False))
    assert peer.answer(1).status == 426


async def test_a_socket_is_pinged_and_told_of_a_shutdown() -> None:
    peer = await opened(Echo())
    peer.worker.websocket.ping_interval = 2.0
    await connected(peer)
    await peer.wait(5)
    assert [frame.opcode for frame in frames_in(peer.answer(1).body)] == [9]
    peer.connection.drain()
    await peer.wait(3)
    await turns()
    frame = list(frames_in(peer.answer(1).body))[-1]
    assert (frame.opcode, frame.close_code) == (CLOSE, 1012)
    assert peer.goodbyes() == [Code.NO_ERROR, Code.NO_ERROR]
    await peer.send(peer.content(1, closing(1012)))
    assert peer.left


async def test_a_broken_frame_ends_the_socket_only() -> None:
    echo = Echo()
    peer = await opened(echo)
    await connected(peer)
    await peer.send(peer.content(1, b"\xff\xff\xff", False))
    assert list(frames_in(peer.answer(1).body))[-1].close_code == 1002
    peer.service.application = hello
    assert (await peer.request(3)).body == b"hello"


async def test_a_socket_that_is_aborted_is_reset() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    peer = await opened(application, timeouts=Timeouts(linger=1))
    peer.worker.websocket.close_timeout = 2.0
    await connected(peer)
    stream = peer.connection.core.streams[1]  # type: ignore[attr-defined]
    stream.session.abort()
    await turns()
    assert peer.answer(1).reset == Code.INTERNAL_ERROR
    stream.abort()


async def test_messages_wait_for_the_window() -> None:
    async def flooding(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "bytes": b"x" * 10_000})

    peer = await opened(flooding)
    await connected(peer)
    assert len(peer.answer(1).body) == 65535
    await peer.send(frames.window_update(1, 100_000) + frames.window_update(0, 100_000))
    await turns(100)
    assert len(peer.answer(1).body) == 165_535
    await peer.leave()


async def test_a_plain_get_is_no_socket() -> None:
    peer = await opened(hello)
    assert (await peer.request(1, [*GET, (b"sec-websocket-version", b"13")])).body == b"hello"


class Late:
    """Accepts when it is told to; keeps what it receives."""

    def __init__(self) -> None:
        self.may_accept = asyncio.Event()
        self.messages: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await self.may_accept.wait()
        await send({"type": "websocket.accept"})
        while not self.messages or self.messages[-1]["type"] == "websocket.receive":
            self.messages.append(await receive())


async def test_what_comes_before_a_late_accept_is_received_after_it() -> None:
    late = Late()
    peer = await opened(late)
    await connected(peer)
    await peer.send(peer.content(1, masked(TEXT, b"one"), False))
    await peer.send(peer.content(1, masked(TEXT, b"two"), False))
    assert not peer.answer(1).heads
    late.may_accept.set()
    await turns()
    assert [message["text"] for message in late.messages] == ["one", "two"]
    await peer.leave()


async def test_a_client_may_leave_before_it_is_accepted() -> None:
    late = Late()
    peer = await opened(late)
    await connected(peer)
    await peer.send(peer.content(1, b""))
    assert peer.answer(1).reset == Code.CANCEL
    late.may_accept.set()
    await turns()
    assert not peer.answer(1).heads
    assert not peer.service.running
    await peer.leave()


async def test_a_lost_connection_leaves_nothing_behind() -> None:
    echo, held = Echo(), Held()
    with nothing_left():
        peer = await opened(echo, Policy(on_disconnect="raise"))
        await connected(peer)
        peer.service.application = held
        await peer.request(3)
        peer.service.application = hello
        await peer.request(5)
        held.release()
        await peer.leave()
        del peer
        await turns()


async def test_a_finished_request_is_freed_while_its_connection_lives() -> None:
    peer = await opened(hello)
    await peer.request(1)
    with nothing_left():
        for number in (3, 5, 7):
            await peer.request(number)
        await turns()
    await peer.leave()
