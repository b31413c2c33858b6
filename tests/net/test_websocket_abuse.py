"""What a hostile peer of a socket can make the whole server do and hold."""

from __future__ import annotations

import tracemalloc

import pytest
from tests.exchange.sockets import Listening, Manual, echo
from tests.wire.websocket.compression import Client

from tidegate.exchange.service import Policy
from tidegate.testing.peer import turns
from tidegate.testing.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    WebSocketPeer,
    closing,
    handshake,
    masked,
)
from tidegate.wire.websocket.limits import WebSocketLimits

KIB, MIB = 1024, 1024 * 1024

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


async def accepted(policy: Policy | None = None) -> tuple[WebSocketPeer, Manual]:
    application = Manual()
    peer = WebSocketPeer(application, policy)
    await peer.send(handshake())
    await application.accept()
    peer.answer()
    return peer, application


async def test_a_flood_of_tiny_messages_waits_until_half_of_them_are_received() -> None:
    peer, application = await accepted(Policy(max_queue=10))
    await peer.send(masked(TEXT) * 1000)
    assert not peer.transport.reading
    # One message received must not let the next thousand in.
    for _ in range(994):
        await application.receive()
        assert not peer.transport.reading
    await application.receive()
    assert peer.transport.reading


async def test_large_messages_wait_until_half_of_their_bytes_are_received() -> None:
    peer, application = await accepted(Policy(max_read_ahead=1000))
    await peer.send(masked(BINARY, bytes(300)) * 4)
    assert not peer.transport.reading
    for reading in (False, False, True):
        await application.receive()
        assert peer.transport.reading is reading


async def test_a_queue_of_one_lets_one_message_in_at_a_time() -> None:
    peer, application = await accepted(Policy(max_queue=1))
    for number in range(3):
        await peer.send(masked(TEXT, b"%d" % number))
        assert not peer.transport.reading
        assert (await application.receive())["text"] == str(number)
        assert peer.transport.reading


async def test_a_decompression_bomb_is_refused_in_little_memory() -> None:
    packed = Client("permessage-deflate").compress(bytes(64 * MIB))
    bomb = masked(TEXT, packed, reserved=4)
    application = Listening()
    peer = WebSocketPeer(application, limits=WebSocketLimits(max_message_size=MIB))
    await peer.open(headers=DEFLATE)
    tracemalloc.start()
    try:
        (close,) = await peer.ask(bomb)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    assert (close.opcode, close.close_code) == (CLOSE, 1009)
    assert application.disconnect == (1009, "message too big")


async def test_the_messages_of_one_read_are_unpacked_one_at_a_time() -> None:
    client = Client("permessage-deflate")
    one = client.frames(bytes(MIB))
    data = one + b"".join(client.frames(bytes(MIB)) for _ in range(49))
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake(headers=DEFLATE))
    await application.accept()
    tracemalloc.start()
    try:
        await peer.send(data)
        for _ in range(50):
            assert len((await application.receive())["bytes"]) == MIB
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
    assert peer.transport.reading


async def test_an_error_among_messages_that_wait_comes_when_they_have_been_received() -> None:
    peer, application = await accepted(Policy(max_queue=2))
    await peer.send(masked(TEXT, b"a") * 4 + b"\xff")
    assert [(await application.receive())["text"] for _ in range(4)] == ["a"] * 4
    assert (await application.receive())["code"] == 1002
    assert [frame.close_code for frame in peer.frames() if frame.opcode == CLOSE] == [1002]


async def test_an_application_that_closes_does_not_hear_what_waits() -> None:
    for last, code in ((closing(1001), 4000), (b"\xff", 4000)):
        peer, application = await accepted(Policy(max_queue=2))
        await peer.send(masked(TEXT, b"a") * 4 + last)
        await application.send({"type": "websocket.close", "code": 4000})
        heard = [await application.receive() for _ in range(3)]
        assert [event.get("text") for event in heard] == ["a", "a", None]
        assert heard[2]["code"] == code
        assert [frame.close_code for frame in peer.frames()] == [4000]
        await turns()
        assert peer.transport.eof_written


async def test_a_million_empty_fragments_are_refused_early() -> None:
    application = Listening()
    peer = WebSocketPeer(application)
    await peer.open()
    await peer.send(masked(TEXT, fin=False))
    (close,) = await peer.ask(masked(CONTINUATION, fin=False) * 200)
    assert close.close_code == 1008
    sent = 200
    while peer.transport.protocol is not None and sent < 10_000_000:
        await peer.send(masked(CONTINUATION, fin=False) * 100_000)
        sent += 100_000
    # Who goes on after the refusal is cut before the end.
    assert peer.transport.aborted
    assert sent < 10_000_000
    assert application.disconnect == (1008, "too many empty fragments")


async def test_a_flood_of_pings_is_refused() -> None:
    peer = WebSocketPeer(echo)
    await peer.open()
    *pongs, close = await peer.ask(masked(PING, b"x") * 1000)
    assert len(pongs) == 256
    assert close.close_code == 1008


async def test_pings_within_the_limit_may_come_every_second() -> None:
    peer = WebSocketPeer(echo)
    await peer.open()
    for _ in range(10):
        assert len(await peer.ask(masked(PING, b"x") * 250)) == 250
        await peer.wait(1)


@pytest.mark.parametrize("count", [1, 100])
async def test_an_echo_to_a_peer_that_does_not_read_holds_little(count: int) -> None:
    peer = WebSocketPeer(echo)
    await peer.open()
    peer.transport.stall()
    sent = 0
    while peer.transport.reading and sent < 100 * MIB:
        await peer.send(masked(BINARY, bytes(1000)) * count)
        sent += 1000 * count
    # What one read brought may come on top of both buffers.
    assert sent <= 64 * KIB + 64 * KIB + 3 * 1000 * count
    peer.transport.flow()
    await turns(20)
    assert peer.transport.reading
    assert sum(len(frame.payload) for frame in peer.frames()) == sent


async def test_frames_before_the_socket_is_accepted_are_held_up_to_a_limit() -> None:
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake())
    sent = 0
    while peer.transport.reading and sent < 100:
        await peer.send(masked(BINARY, bytes(10_000)))
        sent += 1
    assert sent < 10
    await application.accept()
    await turns()
    assert peer.answer().status == 101
    for _ in range(sent):
        assert len((await application.receive())["bytes"]) == 10_000


async def test_a_close_frame_among_a_flood_is_answered_once() -> None:
    peer, application = await accepted()
    frames = await peer.ask((masked(TEXT, b"x") + closing(1000)) * 100)
    assert [frame.close_code for frame in frames] == [1000]
    assert (await application.receive())["type"] == "websocket.receive"
    assert (await application.receive())["code"] == 1000
