"""Sockets on a connection that was HTTP: the hand-over, pings, back-pressure, the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tidegate.asgi import Message, Receive, Scope, Send
from tidegate.errors import ClientDisconnected
from tidegate.exchange.service import Policy
from tidegate.net.websocket import WebSocketConnection
from tidegate.net.worker import WebSocketSettings
from tidegate.testing.peer import turns
from tidegate.testing.websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    WebSocketPeer,
    closing,
    handshake,
    masked,
)
from tidegate.wire.websocket.limits import WebSocketLimits

from .memory import nothing_left

SLOWLY = WebSocketSettings(ping_interval=None)


class Listener:
    """Accepts and keeps what it receives until the socket is closed."""

    def __init__(self, **accept: Any) -> None:
        self.messages: list[Message] = []
        self._accept = {"type": "websocket.accept", **accept}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send(self._accept)
        while not self.closed:
            self.messages.append(await receive())

    @property
    def closed(self) -> bool:
        return bool(self.messages) and self.messages[-1]["type"] == "websocket.disconnect"

    @property
    def close(self) -> tuple[int, str]:
        assert self.closed, self.messages
        return self.messages[-1]["code"], self.messages[-1]["reason"]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


class Waiting:
    """Accepts, then waits until it is told to receive everything."""

    def __init__(self) -> None:
        self.may_receive = asyncio.Event()
        self.messages: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await self.may_receive.wait()
        while not self.messages or self.messages[-1]["type"] == "websocket.receive":
            self.messages.append(await receive())

    @property
    def contents(self) -> list[str]:
        return [message["text"] for message in self.messages if "text" in message]


def connection(peer: WebSocketPeer) -> WebSocketConnection:
    protocol = peer.transport.protocol
    assert isinstance(protocol, WebSocketConnection)
    return protocol


# The handshake.


async def test_a_connection_is_handed_over_and_carries_messages() -> None:
    peer = WebSocketPeer(echo)
    answer = await peer.open()
    assert answer.status == 101
    assert answer.header("upgrade") == "websocket"
    # RFC 6455 section 1.3.
    assert answer.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    (frame,) = await peer.ask(masked(TEXT, b"hello"))
    assert (frame.opcode, frame.payload) == (TEXT, b"hello")
    (frame,) = await peer.ask(masked(BINARY, b"\x00\xff"))
    assert (frame.opcode, frame.payload) == (BINARY, b"\x00\xff")


async def test_frames_that_came_with_the_handshake_are_not_lost() -> None:
    application = Listener()
    peer = WebSocketPeer(application)
    await peer.open(early=masked(TEXT, b"early") + masked(TEXT, b"bird"))
    assert [message["text"] for message in application.messages] == ["early", "bird"]


async def test_many_frames_that_came_before_the_socket_was_accepted_are_not_lost() -> None:
    may_accept = asyncio.Event()
    listener = Listener()

    async def hesitant(scope: Scope, receive: Receive, send: Send) -> None:
        await may_accept.wait()
        await listener(scope, receive, send)

    peer = WebSocketPeer(hesitant, Policy(max_queue=100))
    await peer.send(handshake())
    frame = masked(BINARY, b"x" * 10_000)
    sent = 0
    while peer.transport.reading:
        await peer.send(frame)
        sent += 1
    assert sent < 10
    may_accept.set()
    await turns()
    assert peer.answer().status == 101
    assert len(listener.messages) == sent
    assert peer.transport.reading


async def test_the_worker_knows_the_socket_in_place_of_the_connection() -> None:
    peer = WebSocketPeer(Listener())
    await peer.open()
    assert peer.worker.connections == {connection(peer)}
    assert peer.clock.watched == {connection(peer)}
    assert connection(peer).client == ("127.0.0.1", 50000)
    assert len(peer.service.running) == 1


async def test_a_subprotocol_and_headers_are_passed_on() -> None:
    peer = WebSocketPeer(Listener(subprotocol="b", headers=[(b"x-own", b"1")]))
    answer = await peer.open(headers="Sec-WebSocket-Protocol: a, b\r\n")
    assert answer.header("sec-websocket-protocol") == "b"
    assert answer.header("x-own") == "1"


OFFER = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


async def test_compression_is_agreed_when_the_client_offers_it() -> None:
    peer = WebSocketPeer(echo)
    answer = await peer.open(headers=OFFER)
    assert (answer.header("sec-websocket-extensions") or "").startswith("permessage-deflate")
    (frame,) = await peer.ask(masked(TEXT, b"x" * 10_000))
    assert frame.reserved == 4
    assert len(frame.payload) < 200


async def test_compression_can_be_switched_off() -> None:
    peer = WebSocketPeer(echo, settings=WebSocketSettings(deflate=False))
    answer = await peer.open(headers=OFFER)
    assert answer.header("sec-websocket-extensions") is None


async def test_an_extension_nobody_knows_is_not_agreed() -> None:
    peer = WebSocketPeer(echo)
    answer = await peer.open(headers="Sec-WebSocket-Extensions: x-unknown\r\n")
    assert answer.header("sec-websocket-extensions") is None


async def test_a_request_for_a_socket_is_a_plain_one_when_sockets_are_off() -> None:
    scopes = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    peer = WebSocketPeer(application, settings=WebSocketSettings(enabled=False))
    assert (await peer.open()).status == 200
    assert scopes[0]["type"] == "http"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Origin: https://good.example\r\n", 101),
        ("", 101),
        ("Origin: https://bad.example\r\n", 403),
        ("Origin: https://good.example\r\nOrigin: https://bad.example\r\n", 403),
        ("Origin: null\r\n", 403),
    ],
)
async def test_browsers_may_connect_from_allowed_origins_only(headers: str, status: int) -> None:
    settings = WebSocketSettings(allowed_origins=(b"https://good.example",))
    peer = WebSocketPeer(Listener(), settings=settings)
    assert (await peer.open(headers=headers)).status == status


async def test_another_version_is_told_ours() -> None:
    peer = WebSocketPeer(echo)
    await peer.send(handshake(version="8"))
    answer = peer.response()
    assert answer.status == 426
    assert answer.header("sec-websocket-version") == "13"


async def test_a_socket_that_is_refused_is_answered_and_the_connection_closed() -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    peer = WebSocketPeer(refusing)
    answer = await peer.open(early=masked(TEXT, b"GET / HTTP/1.1\r\n\r\n"))
    assert answer.status == 403
    assert answer.header("connection") == "close"
    assert peer.transport.output.count(b"HTTP/1.1") == 0
    assert peer.transport.eof_written


async def test_a_socket_may_be_refused_with_a_response_in_pieces() -> None:
    async def denying(scope: Scope, receive: Receive, send: Send) -> None:
        kind = "websocket.http.response"
        await send({"type": f"{kind}.start", "status": 401, "headers": []})
        await send({"type": f"{kind}.body", "body": b"not ", "more_body": True})
        await send({"type": f"{kind}.body", "body": b"you"})

    peer = WebSocketPeer(denying)
    answer = await peer.open()
    assert (answer.status, answer.body) == (401, b"not you")


async def test_a_client_that_leaves_before_it_is_accepted_is_a_disconnect() -> None:
    messages = []

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        messages.append(await receive())
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.accept"})

    peer = WebSocketPeer(waiting)
    await peer.send(handshake())
    await peer.leave()
    assert messages == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


async def test_sockets_do_not_take_the_places_of_requests() -> None:
    peer = WebSocketPeer(Listener(), Policy(limit_concurrency=1))
    await peer.open()
    peer.connect()
    assert (await peer.open()).status == 101


async def test_a_proxy_that_is_trusted_says_who_the_client_is() -> None:
    scopes = []

    async def keeps(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    peer = WebSocketPeer(keeps)
    await peer.open(headers="X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n")
    assert (scopes[0]["client"], scopes[0]["scheme"]) == (("192.0.2.7", 0), "wss")


# Pings.


async def test_an_idle_socket_is_pinged() -> None:
    peer = WebSocketPeer(Listener())
    await peer.open()
    await peer.wait(19)
    assert peer.frames() == []
    await peer.wait(2)
    (ping,) = peer.frames()
    assert ping.opcode == PING
    assert ping.payload


async def test_a_socket_that_answers_is_pinged_again_and_again() -> None:
    application = Listener()
    peer = WebSocketPeer(application)
    await peer.open()
    for _ in range(5):
        await peer.wait(21)
        (ping,) = peer.frames()
        await peer.send(masked(PONG, ping.payload))
    assert not application.closed
    session = connection(peer).session
    assert session is not None
    assert session.round_trip is not None


async def test_a_socket_that_does_not_answer_a_ping_is_closed() -> None:
    application = Listener()
    peer = WebSocketPeer(application)
    await peer.open()
    await peer.wait(21)
    await peer.send(masked(PONG, b"to another ping"))
    await peer.wait(18)
    assert not application.closed
    await peer.wait(3)
    ping, close = peer.frames()
    assert (ping.opcode, close.opcode, close.close_code) == (PING, CLOSE, 1011)
    assert application.close == (1011, "no pong")
    assert peer.transport.eof_written


async def test_the_time_in_which_the_application_does_not_receive_is_not_the_clients() -> None:
    application = Waiting()
    peer = WebSocketPeer(application, Policy(max_queue=1))
    await peer.open()
    await peer.send(masked(TEXT, b"a"))
    assert not peer.transport.reading
    await peer.wait(100)
    (ping,) = peer.frames()
    assert not peer.transport.eof_written
    application.may_receive.set()
    await turns()
    await peer.send(masked(PONG, ping.payload))
    await peer.wait(2)
    assert application.messages == [{"type": "websocket.receive", "text": "a"}]


async def test_pings_can_be_switched_off() -> None:
    peer = WebSocketPeer(Listener(), settings=SLOWLY)
    await peer.open()
    await peer.wait(1000)
    assert peer.frames() == []
    assert not peer.transport.closed


@pytest.mark.parametrize("settings", [WebSocketSettings(), SLOWLY])
async def test_an_application_may_say_how_often_its_socket_is_pinged(
    settings: WebSocketSettings,
) -> None:
    peer = WebSocketPeer(Listener(ping_interval=5), settings=settings)
    await peer.open()
    for _ in range(2):
        assert peer.frames() == []
        await peer.wait(7)
        (ping,) = peer.frames()
        assert ping.opcode == PING
        await peer.send(masked(PONG, ping.payload))


async def test_pongs_can_be_left_to_chance() -> None:
    peer = WebSocketPeer(Listener(), settings=WebSocketSettings(ping_timeout=None))
    await peer.open()
    await peer.wait(100)
    assert {frame.opcode for frame in peer.frames()} == {PING}
    assert not peer.transport.closed


async def test_a_ping_is_answered() -> None:
    peer = WebSocketPeer(Listener())
    await peer.open()
    (pong,) = await peer.ask(masked(PING, b"you there?"))
    assert (pong.opcode, pong.payload) == (PONG, b"you there?")


async def test_a_pong_nobody_asked_for_is_ignored() -> None:
    application = Listener()
    peer = WebSocketPeer(application)
    await peer.open()
    assert await peer.ask(masked(PONG, b"hello") + masked(PONG)) == []
    assert application.messages == []


async def test_pings_may_come_for_ever_but_not_all_at_once() -> None:
    application = Listener()
    peer = WebSocketPeer(application, limits=WebSocketLimits(max_control_frames=10))
    await peer.open()
    for _ in range(10):
        assert len(await peer.ask(masked(PING) * 10)) == 10
        await peer.wait(2)
    peer.frames()
    await peer.send(masked(PING) * 11)
    assert application.close[0] == 1008


# Neither side may be made to hold more than it agreed to.


async def test_an_application_that_does_not_receive_stops_the_client() -> None:
    application = Waiting()
    peer = WebSocketPeer(application)
    await peer.open()
    sent = 0
    while peer.transport.reading:
        await peer.send(masked(TEXT, b"%d" % sent))
        sent += 1
    assert sent == 32
    application.may_receive.set()
    await turns()
    assert peer.transport.reading
    assert application.contents == [str(number) for number in range(sent)]


async def test_large_messages_stop_the_client_earlier() -> None:
    application = Waiting()
    peer = WebSocketPeer(application)
    await peer.open()
    sent = 0
    while peer.transport.reading:
        await peer.send(masked(TEXT, b"x" * 30_000))
        sent += 1
    assert sent == 3
    application.may_receive.set()
    await turns()
    assert peer.transport.reading
    assert len(application.contents) == sent


async def test_a_client_that_does_not_read_holds_send() -> None:
    sent = 0

    async def flooding(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await receive()
        await send({"type": "websocket.accept"})
        while sent < 1000:
            await send({"type": "websocket.send", "bytes": b"x" * 1000})
            sent += 1

    peer = WebSocketPeer(flooding)
    peer.transport.stall()
    await peer.send(handshake())
    assert sent < 100
    assert peer.transport.get_write_buffer_size() < 70_000
    peer.transport.flow()
    await turns(50)
    assert peer.answer().status == 101
    assert len(peer.frames()) == 1001


async def test_a_client_that_takes_nothing_is_cut() -> None:
    async def flooding(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "bytes": b"x" * 1000})

    peer = WebSocketPeer(flooding)
    peer.transport.stall()
    await peer.send(handshake())
    await peer.wait(40)
    assert peer.transport.aborted


async def test_a_client_that_sends_pings_but_takes_no_pongs_is_not_read() -> None:
    peer = WebSocketPeer(echo, limits=WebSocketLimits(max_control_frames=10**9))
    await peer.open()
    peer.transport.stall()
    sent = 0
    while peer.transport.reading:
        await peer.send(masked(PING, b"x" * 125) * 100)
        sent += 100
    assert peer.transport.get_write_buffer_size() <= 64 * 1024 + 2 * 100 * 127
    peer.transport.flow()
    await turns()
    assert peer.transport.reading
    assert len(peer.frames()) == sent


async def test_a_socket_taken_over_from_a_congested_connection_is_watched() -> None:
    async def large_headers(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [(b"x-%d" % number, b"x" * 10_000) for number in range(10)]
        await send({"type": "websocket.accept", "headers": headers})
        await receive()

    peer = WebSocketPeer(large_headers)
    peer.transport.stall()
    await peer.send(handshake())
    assert connection(peer).congested
    await peer.wait(40)
    assert peer.transport.aborted


# The end.


async def test_a_close_of_the_client_is_answered_and_the_application_told() -> None:
    application = Listener()
    peer = WebSocketPeer(application)
    await peer.open()
    (close,) = await peer.ask(closing(4000, "enough"))
    assert (close.opcode, close.close_code) == (CLOSE, 4000)
    assert application.close == (4000, "enough")
    assert peer.transport.eof_written
    await peer.half_close()
    assert peer.transport.closed
    assert not peer.transport.aborted
    await turns()
    assert peer.worker.connections == set()


async def closing_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4001, "reason": "enough"})


async def test_a_close_of_the_application_waits_for_that_of_the_client() -> None:
    peer = WebSocketPeer(closing_at_once)
    await peer.open()
    (close,) = peer.frames()
    assert (close.close_code, close.payload[2:]) == (4001, b"enough")
    assert not peer.transport.eof_written
    assert await peer.ask(closing(4001)) == []
    assert peer.transport.eof_written


async def test_a_client_that_does_not_answer_a_close_is_cut_after_ten_seconds() -> None:
    peer = WebSocketPeer(closing_at_once)
    await peer.open()
    await peer.wait(9)
    assert not peer.transport.closed
    await peer.wait(2)
    assert peer.transport.aborted


async def test_messages_and_pings_after_our_close_are_dropped() -> None:
    peer = WebSocketPeer(closing_at_once)
    await peer.open()
    peer.frames()
    assert await peer.ask(masked(TEXT, b"late") + masked(PING)) == []


async def test_a_close_is_heard_behind_messages_that_nobody_received() -> None:
    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await may_close.wait()
        await send({"type": "websocket.close"})

    may_close = asyncio.Event()
    peer = WebSocketPeer(deaf, Policy(max_queue=2))
    await peer.open()
    await peer.send(masked(TEXT, b"a") * 2)
    assert not peer.transport.reading
    may_close.set()
    await turns()
    assert peer.transport.reading
    await peer.send(masked(TEXT, b"a") * 2 + closing(1000))
    assert peer.transport.eof_written


async def test_a_client_that_breaks_the_rules_is_told_why_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")
    application = Listener()
    peer = WebSocketPeer(application)
    await peer.open()
    (close,) = await peer.ask(b"\x81\x05hello")
    assert close.close_code == 1002
    assert application.close == (1002, "a frame of a client is not masked")
    assert "a frame of a client is not masked" in caplog.text
    assert peer.transport.eof_written
    await peer.send(masked(TEXT, b"late"))
    assert len(application.messages) == 1


@pytest.mark.parametrize("end", ["leave", "half_close"])
async def test_a_client_that_goes_without_a_word_is_a_disconnect(end: str) -> None:
    application = Listener()
    peer = WebSocketPeer(application)
    await peer.open()
    await getattr(peer, end)()
    assert application.close == (1006, "")
    assert peer.transport.closed
    assert peer.worker.connections == set()
    assert peer.clock.watched == set()


async def test_an_application_that_sends_after_the_client_has_gone_gets_an_error() -> None:
    errors = []

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        try:
            await send({"type": "websocket.send", "text": "late"})
        except ClientDisconnected as error:
            errors.append(error)

    peer = WebSocketPeer(late)
    await peer.open()
    await peer.leave()
    assert len(errors) == 1


async def test_an_application_that_fails_closes_its_socket() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise ZeroDivisionError

    peer = WebSocketPeer(failing)
    await peer.open()
    (close,) = peer.frames()
    assert close.close_code == 1011


# Draining, before the server stops.


def drain(peer: WebSocketPeer) -> None:
    peer.worker.draining = True
    for one in list(peer.worker.connections):
        one.drain()


IMMEDIATELY = WebSocketSettings(drain_notice=0)


async def test_draining_closes_sockets_so_that_clients_come_back() -> None:
    application = Listener()
    peer = WebSocketPeer(application)
    await peer.open()
    drain(peer)
    await turns()
    (close,) = peer.frames()
    assert (close.close_code, close.payload[2:]) == (1012, b"server restart")
    assert application.close == (1012, "server restart")


async def test_draining_lets_an_application_that_wants_to_say_good_bye() -> None:
    async def polite(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "drain": True})
        message = await receive()
        assert message == {"type": "websocket.drain", "seconds": 5.0}
        await send({"type": "websocket.send", "text": "good-bye"})
        await send({"type": "websocket.close", "code": 1001})

    peer = WebSocketPeer(polite)
    await peer.open()
    drain(peer)
    await turns()
    message, close = peer.frames()
    assert (message.payload, close.close_code) == (b"good-bye", 1001)


async def test_the_time_to_say_good_bye_ends() -> None:
    application = Listener(drain=True)
    peer = WebSocketPeer(application, settings=IMMEDIATELY)
    await peer.open()
    drain(peer)
    await turns()
    assert application.messages[0]["type"] == "websocket.drain"
    assert application.close == (1012, "server restart")


async def test_draining_leaves_a_socket_alone_that_is_being_closed() -> None:
    peer = WebSocketPeer(closing_at_once, settings=IMMEDIATELY)
    await peer.open()
    peer.frames()
    drain(peer)
    await turns()
    assert peer.frames() == []
    await peer.send(closing(4001))
    drain(peer)
    await turns()
    assert peer.frames() == []


async def test_draining_does_not_disturb_a_socket_whose_client_has_gone() -> None:
    application = Listener(drain=True)
    peer = WebSocketPeer(application)
    await peer.open()
    socket = connection(peer)
    session = socket.session
    assert session is not None
    drain(peer)
    await peer.leave()
    assert application.close == (1006, "")
    written = peer.transport.writes
    session.go_away()
    socket.drain()
    assert application.close == (1006, "")
    assert peer.transport.writes == written


async def test_a_socket_that_is_accepted_while_we_drain_is_closed_too() -> None:
    peer = WebSocketPeer(Listener(), settings=IMMEDIATELY)
    peer.worker.draining = True
    assert (await peer.open()).status == 101
    await turns()
    (close,) = peer.frames()
    assert close.close_code == 1012


async def test_many_sockets_are_not_closed_all_at_once() -> None:
    peer = WebSocketPeer(echo)
    slots = [peer.worker.next_drain_slot() for _ in range(10_000)]
    assert slots[0] == 0
    assert slots[1:501] == sorted(slots[1:501])
    assert 0.9 < slots[500] <= 1.0
    assert max(slots) == peer.worker.websocket.drain_notice


# Memory.


@pytest.mark.parametrize(
    "last",
    [
        lambda peer: peer.send(closing(1000)),
        lambda peer: peer.send(b"\x81\x05hello"),
        lambda peer: peer.send(masked(TEXT, b"a", fin=False)),
        lambda peer: peer.half_close(),
    ],
)
@pytest.mark.parametrize("make", [Listener, lambda: closing_at_once])
async def test_a_socket_that_was_lost_leaves_nothing_behind(
    make: Callable[[], Any], last: Callable[[WebSocketPeer], Any]
) -> None:
    application = make()
    with nothing_left():
        peer = WebSocketPeer(application, Policy(on_disconnect="raise"))
        await peer.open()
        await last(peer)
        await peer.leave()
        del peer
        await turns()
