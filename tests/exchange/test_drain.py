"""The server is to stop: which applications hear of it, and how (tidegate.drain)."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.asgi import Message, Receive, Scope, Send
from tidegate.testing.peer import Peer, turns
from tidegate.testing.websocket import WebSocketPeer

from .applications import body, start
from .sockets import Listening


class Stream:
    """Streams, keeps what it receives, and says good-bye when it hears of the end."""

    def __init__(self, **more: object) -> None:
        self.more = more
        self.messages: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, **self.more))
        await send(body(b"begun", True))
        while (message := await receive())["type"] not in ("http.disconnect", "http.drain"):
            self.messages.append(message)
        self.messages.append(message)
        if message["type"] == "http.drain":
            await send(body(b"good-bye"))


async def streaming(stream: Stream, head: str = "") -> Peer:
    peer = Peer(stream)
    await peer.send(f"GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n")
    return peer


async def test_a_stream_that_asked_is_told_while_it_can_still_send() -> None:
    stream = Stream(drain=True)
    peer = await streaming(stream)
    (call,) = peer.service.running
    call.on_drain(5.0)
    await turns()
    assert stream.messages[1:] == [{"type": "http.drain", "seconds": 5.0}]
    assert peer.response().body == b"begungood-bye"
    assert not peer.service.running


async def test_who_did_not_ask_is_told_nothing() -> None:
    stream = Stream()
    peer = await streaming(stream)
    (call,) = peer.service.running
    call.on_drain(5.0)
    await turns()
    assert len(stream.messages) == 1
    call.cut()
    await turns()
    assert peer.transport.aborted
    assert stream.messages[1:] == [{"type": "http.disconnect"}]


async def test_content_that_has_come_is_received_first() -> None:
    stream = Stream(drain=True)
    peer = await streaming(stream, "Content-Length: 5\r\n")
    (call,) = peer.service.running

    def both() -> None:
        peer.connection.data_received(b"hello")
        call.on_drain(1.0)

    asyncio.get_running_loop().call_soon(both)
    await turns()
    assert [message["type"] for message in stream.messages] == ["http.request", "http.drain"]


@pytest.mark.parametrize(
    ("headers", "more_body", "is_stream"),
    [([], True, True), ([(b"content-length", b"9")], True, False), ([], False, False)],
)
async def test_a_stream_has_begun_and_does_not_say_where_it_ends(
    headers: list[tuple[bytes, bytes]], more_body: bool, is_stream: bool
) -> None:
    go = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await send({**start(), "headers": headers})
        await send(body(b"begun", more_body))
        await asyncio.Event().wait()

    peer = Peer(application)
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    (call,) = peer.service.running
    assert not call.is_stream
    go.set()
    await turns()
    assert call.is_stream == is_stream
    call.task.cancel()
    await turns()


async def test_a_socket_is_no_stream_and_hears_from_its_connection() -> None:
    listening = Listening(drain=True)
    peer = WebSocketPeer(listening)
    await peer.open()
    (call,) = peer.service.running
    assert not call.is_stream
    call.on_drain(5.0)
    await turns()
    assert [event["type"] for event in listening.events] == ["websocket.connect"]
