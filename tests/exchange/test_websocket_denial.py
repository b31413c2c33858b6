"""Item 95 in full: a handshake answered with a response of the application's."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tidegate.errors import AppError, ClientDisconnected
from tidegate.exchange.access import AccessLog
from tidegate.exchange.service import Policy
from tidegate.testing.peer import turns
from tidegate.testing.websocket import TEXT, WebSocketPeer, handshake, masked

from .sockets import Manual

ACCEPT = {"type": "websocket.accept"}
KIND = "websocket.http.response"


def start(status: int = 403, *headers: tuple[bytes, bytes]) -> dict:
    return {"type": f"{KIND}.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", more_body: bool = False) -> dict:
    return {"type": f"{KIND}.body", "body": data, "more_body": more_body}


async def asked(policy: Policy | None = None, **more) -> tuple[WebSocketPeer, Manual]:
    """Return both ends of a handshake that has not been answered."""
    application = Manual()
    peer = WebSocketPeer(application, policy, **more)
    await peer.send(handshake("/socket"))
    await application.receive()
    return peer, application


async def test_a_denial_in_pieces_goes_out_as_it_comes():
    peer, application = await asked()
    (exchange,) = peer.service.running
    await application.send(start(401))
    assert (peer.transport.output, exchange.head_sent) == (b"", False)
    await application.send(body(b"not ", True))
    assert peer.transport.output.endswith(b"not \r\n")
    await application.send(body(b"you", True))
    assert (exchange.head_sent, exchange.complete) == (True, False)
    assert not peer.transport.eof_written
    await application.send(body())
    assert exchange.complete
    response = peer.answer()
    assert (response.status, response.body) == (401, b"not you")
    assert peer.transport.eof_written


async def test_a_denial_whose_length_is_known_is_not_chunked():
    peer, application = await asked()
    await application.send(start(401, (b"content-length", b"7")))
    await application.send(body(b"not ", True))
    await application.send(body(b"you"))
    response = peer.answer()
    assert response.header("transfer-encoding") is None
    assert response.body == b"not you"


async def test_a_denial_is_a_response_of_http_with_all_its_rules():
    peer, application = await asked()
    with pytest.raises(AppError, match="before"):
        await application.send(body(b"x"))
    with pytest.raises(AppError, match="status"):
        await application.send(start(42))
    await application.send(start(200, (b"content-length", b"1")))
    with pytest.raises(AppError, match="sent before"):
        await application.send(start(403))
    # Nothing of it has been sent, so it may begin anew.
    with pytest.raises(AppError, match="more than"):
        await application.send(body(b"xx"))
    await application.send(start(204))
    await application.send(body(b"ignored"))
    assert (peer.answer().status, peer.transport.output) == (204, b"")


@pytest.mark.parametrize(
    "event",
    [ACCEPT, {"type": "websocket.close"}, {"type": "websocket.send", "text": "x"}],
    ids=lambda event: event["type"],
)
async def test_no_message_of_sockets_may_follow(event):
    peer, application = await asked()
    await application.send(start())
    with pytest.raises(AppError):
        await application.send(event)
    await application.send(body(b"x", True))
    with pytest.raises(AppError):
        await application.send(event)
    await application.send(body())
    assert peer.answer().body == b"x"


@pytest.mark.parametrize("event", [start(), body(b"x")], ids=lambda event: event["type"])
async def test_no_response_may_follow_when_the_handshake_is_over(event):
    peer, application = await asked()
    await application.send(ACCEPT)
    with pytest.raises(AppError, match="the handshake is over"):
        await application.send(event)
    assert peer.answer().status == 101

    peer, application = await asked()
    await application.send({"type": "websocket.close"})
    with pytest.raises(AppError, match="the handshake is over"):
        await application.send(event)
    assert peer.answer().status == 403

    peer, application = await asked()
    await application.send(start())
    await application.send(body(b"once"))
    with pytest.raises(AppError, match="the handshake is over"):
        await application.send(event)
    assert peer.answer().body == b"once"


async def test_an_application_that_ends_before_any_of_it_was_sent_gets_500(caplog):
    peer, application = await asked()
    await application.send(start(401))
    await application.end()
    assert peer.answer().status == 500
    assert "without accepting WebSocket /socket" in caplog.text


async def test_a_denial_that_fails_half_way_is_cut_off(caplog):
    peer, application = await asked()
    await application.send(start(401))
    await application.send(body(b"half", True))
    await application.end(ValueError("broken"))
    assert peer.transport.aborted
    assert b"0\r\n\r\n" not in peer.transport.output
    assert "broken" in caplog.text


async def test_a_denial_that_is_not_finished_is_cut_off(caplog):
    peer, application = await asked()
    await application.send(start(401))
    await application.send(body(b"half", True))
    await application.end()
    assert peer.transport.aborted
    assert "without accepting WebSocket /socket" in caplog.text


async def test_a_denial_longer_than_it_said_is_cut_off():
    peer, application = await asked()
    await application.send(start(401, (b"content-length", b"5")))
    await application.send(body(b"half", True))
    with pytest.raises(AppError, match="more than the 5 bytes"):
        await application.send(body(b"other half"))
    assert peer.transport.aborted
    await turns()
    assert (await application.receive())["type"] == "websocket.disconnect"


async def test_a_peer_that_does_not_read_the_denial_holds_send():
    peer, application = await asked()
    peer.transport.stall()
    await application.send(start(401))
    held = asyncio.ensure_future(application.send(body(b"x" * 100_000, True)))
    await turns()
    assert not held.done()
    peer.transport.flow()
    await turns()
    assert held.done()
    await application.send(body(b"y"))
    assert len(peer.answer().body) == 100_001


@pytest.mark.parametrize("how", ["leave", "half_close"])
@pytest.mark.parametrize("begun", [False, True])
async def test_a_denial_that_nobody_hears_raises_an_os_error(how, begun):
    peer, application = await asked()
    await application.send(start(401))
    if begun:
        await application.send(body(b"half", True))
    await getattr(peer, how)()
    for event in (body(b"x", True), body(b"x"), start(), ACCEPT):
        with pytest.raises(ClientDisconnected):
            await application.send(event)
    expected = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert await application.receive() == expected
    assert peer.transport.closed
    await application.end()
    assert peer.worker.connections == set()


async def test_a_denial_held_by_a_peer_that_leaves_raises_too():
    peer, application = await asked()
    peer.transport.stall()
    await application.send(start(401))
    held = asyncio.ensure_future(application.send(body(b"x" * 100_000, True)))
    await turns()
    await peer.leave()
    with pytest.raises(ClientDisconnected):
        await held


async def test_in_mode_ignore_a_denial_that_nobody_hears_is_swallowed():
    peer, application = await asked(Policy(on_disconnect="ignore"))
    await application.send(start(401))
    await peer.leave()
    for event in (body(b"x", True), body(b"x"), start(), ACCEPT):
        await application.send(event)


async def test_frames_that_came_with_the_handshake_are_not_taken_for_a_request():
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake() + masked(TEXT, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    await application.send(start(401))
    await application.send(body())
    await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.transport.output.count(b"HTTP/1.1 ") == 1
    assert peer.service.total_requests == 1


async def test_a_denial_is_logged_as_a_response(caplog):
    caplog.set_level(logging.INFO, "tidegate.access")
    _, application = await asked(access_log=AccessLog())
    await application.send(start(418))
    await application.send(body(b"teapot"))
    (record,) = [record for record in caplog.records if record.name == "tidegate.access"]
    assert record.args[1:5] == ("GET", "/socket", "1.1", 418)
    assert record.args[6] == 6
