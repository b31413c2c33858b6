"""What becomes of an application whose socket has ended, in each mode, and what is logged."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from tidegate.errors import ClientDisconnected
from tidegate.exchange.access import AccessLog
from tidegate.exchange.service import Policy
from tidegate.testing.peer import turns
from tidegate.testing.websocket import CLOSE, TEXT, WebSocketPeer, closing, handshake, masked

from .sockets import Listening, Manual

ACCEPT = {"type": "websocket.accept"}
SEND = {"type": "websocket.send", "text": "x"}
END = {"type": "websocket.close"}

AT_ONCE = Policy(disconnect_grace=0.0)


async def opened(policy: Policy | None = None, **more) -> tuple[WebSocketPeer, Manual]:
    application = Manual()
    peer = WebSocketPeer(application, policy, **more)
    await peer.send(handshake("/socket?x=1"))
    await application.accept()
    peer.answer()
    return peer, application


ENDS = ["leave", "half_close", "close", "error", "missing pong", "drain"]


async def end(peer: WebSocketPeer, how: str) -> None:
    """End the socket, but not by the application."""
    if how == "close":
        await peer.send(closing(1000))
    elif how == "error":
        await peer.send(b"\xff")
    elif how == "missing pong":
        await peer.wait(40)
    elif how == "drain":
        for connection in list(peer.worker.connections):
            connection.drain()
        await turns()
    else:
        await getattr(peer, how)()


@pytest.mark.parametrize("how", ENDS)
async def test_in_mode_cancel_an_application_that_does_not_listen_is_cancelled(how):
    peer, application = await opened(AT_ONCE)
    await end(peer, how)
    await turns()
    assert isinstance(application.ended_by, asyncio.CancelledError)
    assert peer.service.running == set()


async def test_in_mode_cancel_the_grace_is_waited_for():
    peer, application = await opened(Policy(disconnect_grace=3600.0))
    await peer.leave()
    assert not application.ended


@pytest.mark.parametrize("how", ENDS)
async def test_in_mode_cancel_an_application_that_was_told_decides_for_itself(how):
    peer, application = await opened(AT_ONCE)
    waiting = asyncio.ensure_future(application.receive())
    await turns()
    await end(peer, how)
    await turns()
    assert (await waiting)["type"] == "websocket.disconnect"
    assert not application.ended


async def test_in_mode_cancel_an_application_that_listens_is_told_although_the_loop_is_busy():
    """It may take so long to wake it that the grace is over before its turn comes."""
    peer, application = await opened(Policy(disconnect_grace=0.001))
    waiting = asyncio.ensure_future(application.receive())
    await turns()
    (exchange,) = peer.service.running
    exchange.peer_gone()
    threading.Event().wait(0.01)
    await turns()
    assert (await waiting)["type"] == "websocket.disconnect"
    assert not application.ended


async def test_in_mode_cancel_an_application_that_closed_is_not_cancelled():
    peer, application = await opened(AT_ONCE)
    await application.send(END)
    await peer.send(closing(1000))
    await peer.half_close()
    await turns()
    assert peer.transport.closed
    assert not application.ended


async def test_in_mode_cancel_a_handshake_that_nobody_waits_for_is_cancelled():
    application = Manual()
    peer = WebSocketPeer(application, AT_ONCE)
    await peer.send(handshake())
    await peer.leave()
    await turns()
    assert isinstance(application.ended_by, asyncio.CancelledError)


@pytest.mark.parametrize("mode", ["raise", "ignore"])
@pytest.mark.parametrize("how", ENDS)
async def test_in_the_other_modes_nothing_is_cancelled(mode, how):
    peer, application = await opened(Policy(on_disconnect=mode, disconnect_grace=0.0))
    await end(peer, how)
    await turns()
    assert not application.ended


@pytest.mark.parametrize("mode", ["raise", "cancel"])
@pytest.mark.parametrize("how", ENDS)
async def test_send_raises_in_every_mode_but_ignore(mode, how):
    peer, application = await opened(Policy(on_disconnect=mode))
    assert application.scope["asgi"]["spec_version"] == "2.5"
    await end(peer, how)
    for event in (SEND, END):
        with pytest.raises(ClientDisconnected):
            await application.send(event)


@pytest.mark.parametrize("how", [*ENDS, "application"])
async def test_in_mode_ignore_everything_is_swallowed(how):
    peer, application = await opened(Policy(on_disconnect="ignore"))
    assert application.scope["asgi"]["spec_version"] == "2.3"
    if how == "application":
        await application.send(END)
    else:
        await end(peer, how)
    peer.transport.output = b""
    for event in (SEND, END, SEND):
        await application.send(event)
    assert peer.transport.output == b""
    assert (await application.receive())["type"] == "websocket.disconnect"


async def test_in_mode_ignore_a_loop_of_sends_does_not_hold_the_event_loop():
    peer, application = await opened(Policy(on_disconnect="ignore"))
    await peer.leave()

    async def sends_for_ever():
        while True:
            await application.send(SEND)

    sending = asyncio.ensure_future(sends_for_ever())
    await turns()
    sending.cancel()
    await asyncio.wait([sending])


@pytest.mark.parametrize("mode", ["raise", "cancel", "ignore"])
async def test_a_send_that_waits_for_a_peer_that_leaves_is_released(mode):
    peer, application = await opened(Policy(on_disconnect=mode))
    peer.transport.stall()
    held = asyncio.ensure_future(application.text("x" * 100_000))
    await turns()
    assert not held.done()
    await peer.leave()
    if mode == "ignore":
        await held
    else:
        with pytest.raises(ClientDisconnected):
            await held


async def test_a_cancelled_receive_loses_nothing():
    peer, application = await opened()
    waiting = asyncio.ensure_future(application.receive())
    await turns()

    def both_in_one_turn():
        waiting.cancel()
        protocol = peer.transport.protocol
        assert protocol is not None
        protocol.data_received(masked(TEXT, b"kept"))

    asyncio.get_running_loop().call_soon(both_in_one_turn)
    await turns()
    assert waiting.cancelled()
    assert (await application.receive())["text"] == "kept"


async def test_losing_a_peer_twice_is_told_and_logged_once(caplog):
    caplog.set_level(logging.INFO, "tidegate.access")
    peer, application = await opened(access_log=AccessLog())
    (exchange,) = peer.service.running
    await peer.send(closing(1001, "bye"))
    exchange.peer_gone()
    exchange.peer_closed(1000, "")
    assert (await application.receive())["code"] == 1001
    assert [record.args[2] for record in lines_in(caplog)] == ["accepted", "closed"]


# The access log.

CLIENT, TARGET = "127.0.0.1:50000", "/socket?x=1"


def lines_in(caplog) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "tidegate.access"]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("leave", 1006),
        ("half_close", 1006),
        ("close", 1000),
        ("error", 1002),
        ("missing pong", 1011),
        ("drain", 1012),
    ],
)
async def test_a_socket_is_logged_when_it_is_accepted_and_when_it_ends(how, code, caplog):
    caplog.set_level(logging.INFO, "tidegate.access")
    peer, _ = await opened(access_log=AccessLog())
    (accepted,) = lines_in(caplog)
    assert accepted.args == (CLIENT, TARGET, "accepted")
    assert accepted.getMessage() == f'{CLIENT} - "WebSocket {TARGET}" [accepted]'
    caplog.clear()
    await end(peer, how)
    (closed,) = lines_in(caplog)
    assert closed.args[:4] == (CLIENT, TARGET, "closed", code)
    assert closed.getMessage().startswith(f'{CLIENT} - "WebSocket {TARGET}" [closed {code}] ')


@pytest.mark.parametrize(
    ("event", "error", "code"),
    [
        ({"type": "websocket.close", "code": 4000}, None, 4000),
        (None, None, 1000),
        (None, ValueError(), 1011),
    ],
)
async def test_the_applications_own_end_is_logged_once(event, error, code, caplog):
    caplog.set_level(logging.INFO, "tidegate.access")
    peer, application = await opened(access_log=AccessLog())
    caplog.clear()
    if event is not None:
        await application.send(event)
    else:
        await application.end(error)
    await peer.send(closing(1000))
    await peer.half_close()
    assert [record.args[2:4] for record in lines_in(caplog)] == [("closed", code)]


@pytest.mark.parametrize(
    ("how", "status"), [("refuse", 403), ("fail", 500), ("leave", 499), ("half_close", 499)]
)
async def test_a_handshake_that_comes_to_nothing_is_logged_as_a_request(how, status, caplog):
    caplog.set_level(logging.INFO, "tidegate.access")
    application = Manual()
    peer = WebSocketPeer(application, access_log=AccessLog())
    await peer.send(handshake("/socket?x=1"))
    if how == "refuse":
        await application.send(END)
    elif how == "fail":
        await application.end(ValueError())
    else:
        await getattr(peer, how)()
    assert [record.args[:5] for record in lines_in(caplog)] == [
        (CLIENT, "GET", TARGET, "1.1", status)
    ]


async def test_bytes_of_a_socket_are_not_logged_as_an_error_of_the_application(caplog):
    caplog.set_level(logging.ERROR)
    application = Listening()
    peer = WebSocketPeer(application)
    await peer.open()
    (frame,) = await peer.ask(b"\xff\xff\xff")
    assert frame.opcode == CLOSE
    assert application.disconnect is not None
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# The server shuts down.


def drain(peer: WebSocketPeer) -> None:
    for connection in list(peer.worker.connections):
        connection.drain()


async def test_drain_is_for_those_who_asked_for_it():
    asking, quiet = Listening(drain=True), Listening()

    async def application(scope, receive, send):
        await (asking if scope["path"] == "/asking" else quiet)(scope, receive, send)

    peer = WebSocketPeer(application)
    for path in ("/asking", "/quiet"):
        peer.connect()
        assert (await peer.open(path)).status == 101
    drain(peer)
    await turns()
    assert asking.events[1:] == [{"type": "websocket.drain", "seconds": 5.0}]
    assert quiet.disconnect == (1012, "server restart")
    assert [frame.close_code for frame in peer.frames()] == [1012]


async def test_after_a_drain_the_socket_still_works_in_both_directions():
    peer = WebSocketPeer(application := Manual())
    await peer.send(handshake())
    await application.accept(drain=True)
    peer.answer()
    await peer.send(masked(TEXT, b"before"))
    drain(peer)
    await peer.send(masked(TEXT, b"after"))
    await application.text("good-bye")
    heard = [await application.receive() for _ in range(3)]
    assert [event["type"].partition(".")[2] for event in heard] == ["receive", "drain", "receive"]
    assert [frame.payload for frame in peer.frames()] == [b"good-bye"]


async def test_the_application_may_end_as_its_answer_to_a_drain():
    peer = WebSocketPeer(application := Manual())
    await peer.send(handshake())
    await application.accept(drain=True)
    peer.answer()
    drain(peer)
    await application.end()
    assert [frame.close_code for frame in peer.frames()] == [1000]


@pytest.mark.parametrize("value", [False, None, 0])
async def test_drain_can_be_declined(value):
    application = Listening(drain=value)
    peer = WebSocketPeer(application)
    await peer.open()
    drain(peer)
    await turns()
    assert application.disconnect == (1012, "server restart")


async def test_a_drain_after_the_end_is_not_told():
    peer = WebSocketPeer(application := Manual())
    await peer.send(handshake())
    await application.accept(drain=True)
    (exchange,) = peer.service.running
    await application.send(END)
    assert not exchange.drain(5.0)
    assert (await application.receive())["type"] == "websocket.disconnect"


async def test_a_drain_during_the_handshake_lets_it_be_denied_or_accepted():
    peer = WebSocketPeer(application := Manual())
    await peer.send(handshake())
    drain(peer)
    assert peer.transport.output == b""
    await application.send(END)
    assert peer.answer().status == 403
