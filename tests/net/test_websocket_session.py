"""A session on a stream that is not a connection of its own, and rare turns of one that is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.exchange.sockets import Listening, Manual, echo

from tidegate.exchange.service import Policy
from tidegate.http import Field, Head
from tidegate.net.websocket import Stream, WebSocketConnection, WebSocketSession
from tidegate.net.worker import WebSocketSettings
from tidegate.testing.peer import turns
from tidegate.testing.websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    WebSocketPeer,
    closing,
    frames_in,
    handshake,
    masked,
)
from tidegate.wire.http1.head import parse_head
from tidegate.wire.http1.limits import Http1Limits
from tidegate.wire.websocket.handshake import read_handshake


class Multiplexed:
    """A stream among others, as HTTP/2 has them; carries the handshake, then the socket."""

    scheme = "https"
    tls = None
    client = ("192.0.2.1", 5)
    server = ("192.0.2.2", 443)
    trusted = False

    def __init__(self) -> None:
        self.congested = False
        self.answer: list[tuple[bytes, bytes]] | None = None
        self.refusal: tuple[int, bytes] | None = None
        self.output = b""
        self.events: list[str] = []

    # As a carrier.

    def switch(self, session: WebSocketSession, fields: Sequence[Field]) -> Stream:
        self.answer = [(one.name, one.value) for one in fields]
        return self

    def respond(
        self,
        status: int,
        fields: Sequence[Field],
        roles: int,
        length: int | None,
        body: bytes,
        ended: bool,
    ) -> None:
        self.refusal = status, body

    def send_body(self, data: bytes, ended: bool) -> None:
        raise NotImplementedError

    def want_body(self) -> None:
        raise NotImplementedError

    # As a stream.

    def write(self, data: bytes) -> None:
        self.output += data

    def pause_reading(self) -> None:
        self.events.append("pause")

    def resume_reading(self) -> None:
        self.events.append("resume")

    def end(self) -> None:
        self.events.append("end")

    def abort(self) -> None:
        self.events.append("abort")


def head() -> Head:
    """Return the head of an extended CONNECT: no key, no upgrade (RFC 8441 section 5)."""
    lines = b"GET /chat HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\n"
    lines += b"Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate"
    return parse_head(lines, Http1Limits())


def begin(application: Any, **more: Any) -> tuple[Multiplexed, WebSocketSession]:
    """Start an application on a stream; the peer is there for its worker only."""
    peer = WebSocketPeer(application, **more)
    stream = Multiplexed()
    session = WebSocketSession(stream, peer.worker, head(), read_handshake(head(), keyed=False))
    exchange = session.exchange
    exchange.task = peer.service.start(exchange.run(), peer.service.context.copy())
    return stream, session


async def test_a_socket_without_a_key_is_accepted_without_an_answer_to_it() -> None:
    application = Manual()
    stream, _ = begin(application, settings=WebSocketSettings(deflate=False))
    await turns()
    assert application.scope["scheme"] == "wss"
    assert application.scope["client"] == ("192.0.2.1", 5)
    await application.accept(subprotocol="b")
    assert stream.answer == [(b"sec-websocket-protocol", b"b")]
    await application.end()


async def test_a_socket_works_on_any_stream() -> None:
    stream, session = begin(echo)
    await turns()
    session.receive(masked(TEXT, b"hello") + masked(PING, b"x"))
    await turns()
    assert sorted(frames_in(stream.output), key=lambda frame: frame.opcode) == [
        Frame(TEXT, b"hello"),
        Frame(PONG, b"x"),
    ]
    stream.output = b""
    session.receive(closing(1000))
    assert list(frames_in(stream.output)) == [Frame(CLOSE, b"\x03\xe8")]
    assert stream.events == ["end"]
    await turns()


async def test_a_congested_stream_is_not_read() -> None:
    stream, session = begin(echo)
    await turns()
    stream.congested = True
    session.receive(masked(PING, b"a"))
    session.receive(masked(PING, b"b"))
    assert stream.events == ["pause"]
    stream.congested = False
    session.may_write()
    assert stream.events == ["pause", "resume"]
    session.lost()
    await turns()


async def test_a_handshake_on_a_stream_can_be_refused() -> None:
    application = Manual()
    stream, _ = begin(application)
    await turns()
    await application.send({"type": "websocket.close"})
    assert stream.refusal == (403, b"Forbidden")
    await application.end()


async def test_a_handshake_on_a_stream_can_be_given_up() -> None:
    application = Manual()
    stream, session = begin(application, policy=Policy(on_disconnect="raise"))
    await turns()
    session.exchange.peer_left()
    assert stream.events == ["abort"]
    await application.end()


@pytest.mark.parametrize("data", [closing(1000), b"\xff\xff", masked(TEXT, b"x") * 100])
async def test_what_comes_before_the_socket_is_accepted_is_answered_by_nothing(data: bytes) -> None:
    application = Manual()
    stream, session = begin(application, policy=Policy(on_disconnect="raise"))
    await turns()
    session.receive(data)
    assert (stream.output, stream.events, stream.answer) == (b"", [], None)
    await application.end()


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_session_whose_stream_was_lost_does_nothing_any_more(accepted: bool) -> None:
    application = Manual()
    stream, session = begin(application, policy=Policy(on_disconnect="raise"))
    await turns()
    if accepted:
        await application.accept()
    session.lost()
    stream.answer = None
    session.respond(200, [], 0, 0, b"", True)
    session.send_body(b"x", True)
    session.accept(None, [])
    session.send_message("late")
    session.receive(masked(TEXT, b"late"))
    session.go_away()
    session.close(1000, "")
    session.pause_reading()
    session.resume_reading()
    session.abort()
    assert not session.congested
    assert (stream.answer, stream.refusal, stream.output, stream.events) == (None, None, b"", [])
    await application.end()


# One that is a connection.


async def opened(**more: Any) -> tuple[WebSocketPeer, Manual, WebSocketConnection]:
    application = Manual()
    peer = WebSocketPeer(application, **more)
    await peer.send(handshake())
    await application.accept()
    peer.answer()
    connection = peer.transport.protocol
    assert isinstance(connection, WebSocketConnection)
    return peer, application, connection


async def test_a_connection_that_served_requests_may_become_a_socket() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await echo(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    peer = WebSocketPeer(application)
    for _ in range(2):
        assert (await peer.get()).body == b"hello"
    await peer.wait(1)
    assert (await peer.open()).status == 101
    assert await peer.ask(masked(TEXT, b"hello")) == [Frame(TEXT, b"hello")]
    # The deadlines of HTTP are not those of sockets.
    await peer.wait(15)
    assert not peer.transport.closed


async def test_a_handshake_may_wait_behind_a_request() -> None:
    application = Manual()

    async def either(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await echo(scope, receive, send)
            return
        await application(scope, receive, send)

    peer = WebSocketPeer(either)
    await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + handshake() + masked(TEXT, b"early"))
    await application.send({"type": "http.response.start", "status": 200, "headers": []})
    await application.send({"type": "http.response.body", "body": b"hello"})
    await application.end()
    response = peer.response()
    assert response.body == b"hello"
    peer.transport.output = response.rest
    assert peer.answer().status == 101
    assert peer.frames() == [Frame(TEXT, b"early")]


async def test_reading_resumes_when_both_the_peer_and_the_application_keep_up() -> None:
    for peer_is_first in (True, False):
        peer, application, _ = await opened(policy=Policy(max_queue=2))
        peer.transport.stall()
        held = asyncio.ensure_future(application.text("x" * 100_000))
        await turns()
        await peer.send(masked(TEXT, b"a") * 2)
        assert not peer.transport.reading
        for keeps_up in (peer_is_first, not peer_is_first):
            assert not peer.transport.reading
            if keeps_up:
                peer.transport.flow()
            else:
                await application.receive()
        assert peer.transport.reading
        await held


async def test_a_peer_that_takes_our_close_late_is_waited_for_and_then_cut() -> None:
    peer, application, _ = await opened()
    peer.transport.stall()
    held = asyncio.ensure_future(application.text("x" * 100_000))
    await turns()
    await peer.send(closing(1000))
    await peer.wait(5)
    assert not peer.transport.aborted
    peer.transport.flow()
    assert [frame.opcode for frame in peer.frames()] == [TEXT, CLOSE]
    await peer.wait(1)
    assert not peer.transport.aborted
    await peer.wait(2)
    assert peer.transport.aborted
    await asyncio.wait([held])
    assert held.exception() is not None


async def test_a_deadline_that_comes_after_the_loss_does_nothing() -> None:
    peer, _, connection = await opened()
    await peer.leave()
    writes = peer.transport.writes
    connection.on_deadline(peer.clock.now + 100)
    connection.resume_writing()
    connection.connection_lost(None)
    connection.data_received(masked(TEXT, b"late"))
    assert peer.transport.writes == writes


async def test_what_a_peer_sends_after_our_last_word_is_thrown_away() -> None:
    application = Listening()
    peer = WebSocketPeer(application)
    await peer.open()
    await peer.ask(b"\xff")
    await peer.send(masked(BINARY, bytes(1000)))
    assert application.messages == []
    assert peer.frames() == []


async def test_the_round_trip_is_measured() -> None:
    peer, _, connection = await opened(settings=WebSocketSettings(ping_interval=5))
    session = connection.session
    assert session is not None
    assert session.round_trip is None
    await peer.wait(5)
    (ping,) = peer.frames()
    await peer.send(masked(PONG, ping.payload))
    assert session.round_trip is not None
    assert 0 <= session.round_trip < 60
    # The same pong again answers nothing.
    session.round_trip = None
    await peer.send(masked(PONG, ping.payload) + masked(PONG))
    assert session.round_trip is None


async def test_a_peer_that_takes_a_ping_late_may_answer_it_late() -> None:
    settings = WebSocketSettings(ping_interval=10, ping_timeout=5)
    peer, application, _ = await opened(settings=settings)
    peer.transport.stall()
    await peer.wait(10)
    held = asyncio.ensure_future(application.text("x" * 100_000))
    await turns()
    # It takes something every second, and so is not cut.
    for _ in range(20):
        peer.transport.flow(1000)
        await peer.wait(1)
    assert not peer.transport.aborted
    peer.transport.flow()
    await held
    await peer.wait(3)
    ping, text = peer.frames()
    assert (ping.opcode, text.opcode) == (PING, TEXT)
    await peer.send(masked(PONG, ping.payload))
    await peer.wait(5)
    # The next ping, long due.
    assert [frame.opcode for frame in peer.frames()] == [PING]
    assert not peer.transport.eof_written


async def test_without_a_time_for_pongs_pings_go_on() -> None:
    settings = WebSocketSettings(ping_interval=10, ping_timeout=None)
    peer, _, _ = await opened(settings=settings)
    await peer.wait(35)
    pings = peer.frames()
    assert [ping.opcode for ping in pings] == [PING] * 3
    assert len({ping.payload for ping in pings}) == 3


async def test_a_pong_is_not_missing_while_the_application_does_not_keep_up() -> None:
    settings = WebSocketSettings(ping_interval=10, ping_timeout=5)
    peer, application, _ = await opened(policy=Policy(max_queue=1), settings=settings)
    await peer.wait(10)
    await peer.send(masked(TEXT, b"a"))
    await peer.wait(100)
    await application.receive()
    await peer.wait(4)
    assert [frame.opcode for frame in peer.frames()] == [PING]
    await peer.wait(1)
    assert [frame.close_code for frame in peer.frames()] == [1011]


async def test_the_peer_of_the_tests_is_like_a_client() -> None:
    peer, _, _ = await opened()
    with pytest.raises(TypeError, match="not a protocol of a stream"):
        peer.transport.set_protocol(asyncio.BaseProtocol())
    await peer.send(masked(TEXT, b"text").decode("latin-1"))
    await peer.leave()
    # Nobody hears it.
    await peer.send(masked(TEXT, b"late"))
    await peer.half_close()
    assert peer.frames() == []
