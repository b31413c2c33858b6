"""A socket that sends without end takes its turn like the others.

Counted in turns of the event loop, not in seconds: in each of them every other
connection of the worker can be served too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.exchange.sockets import Listening, Manual, echo
from tests.wire.websocket.compression import Client

from tidegate.exchange.service import Policy
from tidegate.testing.peer import turns
from tidegate.testing.websocket import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    SwitchingTransport,
    WebSocketPeer,
    closing,
    handshake,
    masked,
)
from tidegate.wire.websocket.limits import WebSocketLimits

KIB, MIB = 1024, 1024 * 1024

# As many frames as one turn may read, if they are small.
FRAMES = 64
# Nothing but the turns holds the peer back.
BOUNDLESS = Policy(max_queue=10**9, max_read_ahead=10**12)


async def growth(count: Callable[[], int], wanted: int) -> list[int]:
    """Return by how much ``count`` grows in each turn, until it is ``wanted``."""
    steps = []
    before = count()
    while before < wanted:
        await asyncio.sleep(0)
        steps.append(count() - before)
        before += steps[-1]
        assert len(steps) < 10_000, "it does not go on"
    return steps


def arrive(peer: WebSocketPeer, data: bytes) -> None:
    """Let one read bring ``data``, in the next turn."""
    protocol = peer.transport.protocol
    assert protocol is not None
    asyncio.get_running_loop().call_soon(protocol.data_received, data)


@pytest.mark.parametrize("policy", [Policy(), Policy(max_queue=1), BOUNDLESS])
@pytest.mark.parametrize("size", [0, 1, 64])
async def test_an_application_that_keeps_up_gets_a_few_messages_a_turn(
    policy: Policy, size: int
) -> None:
    application = Listening()
    peer = WebSocketPeer(application, policy)
    await peer.open()
    arrive(peer, masked(BINARY, bytes(size)) * 1000)
    steps = await growth(lambda: len(application.messages), 1000)
    assert max(steps) <= FRAMES
    assert application.messages == [bytes(size)] * 1000


async def test_nothing_is_read_from_the_network_while_messages_wait_for_their_turn() -> None:
    application = Listening()
    peer = WebSocketPeer(application, BOUNDLESS)
    await peer.open()
    await peer.send(masked(TEXT, b"x") * FRAMES)
    assert peer.transport.reading
    arrive(peer, masked(TEXT, b"x") * 10 * FRAMES)
    await asyncio.sleep(0)
    while len(application.messages) < 10 * FRAMES:
        assert not peer.transport.reading
        await asyncio.sleep(0)
    await turns()
    assert peer.transport.reading
    assert len(application.messages) == 11 * FRAMES


async def test_pings_are_answered_a_few_a_turn() -> None:
    peer = WebSocketPeer(echo, limits=WebSocketLimits(max_control_frames=10**6))
    await peer.open()
    before = peer.transport.writes
    arrive(peer, masked(PING, b"x") * 1000)
    steps = await growth(lambda: peer.transport.writes - before, 1000)
    assert max(steps) <= FRAMES


async def test_fragments_are_read_a_few_a_turn() -> None:
    application = Listening()
    peer = WebSocketPeer(application)
    await peer.open()
    first, last = masked(TEXT, b"a", fin=False), masked(CONTINUATION, b"c")
    arrive(peer, first + masked(CONTINUATION, b"b", fin=False) * 10_000 + last)
    steps = await growth(lambda: len(application.messages), 1)
    assert len(steps) > 10_000 // FRAMES
    assert application.messages == ["a" + "b" * 10_000 + "c"]


async def test_large_messages_fill_a_turn_sooner() -> None:
    application = Listening()
    peer = WebSocketPeer(application, BOUNDLESS)
    await peer.open()
    arrive(peer, masked(BINARY, bytes(200_000)) * 20)
    assert max(await growth(lambda: len(application.messages), 20)) == 5


async def test_what_counts_of_a_compressed_message_is_what_it_unpacks_to() -> None:
    client = Client("permessage-deflate")
    application = Listening()
    peer = WebSocketPeer(application, BOUNDLESS)
    await peer.open(headers="Sec-WebSocket-Extensions: permessage-deflate\r\n")
    arrive(peer, b"".join(client.frames(bytes(MIB)) for _ in range(10)))
    assert max(await growth(lambda: len(application.messages), 10)) == 1


async def test_a_neighbour_is_served_before_a_flood_is_over() -> None:
    application = Listening()
    peer = WebSocketPeer(application, BOUNDLESS)
    await peer.open()
    flooding = peer.transport
    peer.service.application = echo
    peer.connect(SwitchingTransport())
    await peer.open()
    assert flooding.protocol is not None
    flooding.protocol.data_received(masked(TEXT, b"x") * 10_000)
    for number in range(10):
        (answer,) = await peer.ask(masked(TEXT, b"%d" % number))
        assert answer.payload == b"%d" % number
    # Each of them took a few turns.
    assert 10 * FRAMES < len(application.messages) < 10_000


async def test_a_flood_goes_on_when_a_peer_that_did_not_read_does_so() -> None:
    peer = WebSocketPeer(echo, BOUNDLESS)
    await peer.open()
    peer.transport.stall()
    await peer.send(masked(BINARY, bytes(KIB)) * 1000)
    assert not peer.transport.reading
    # The application waits for the peer, and so do its messages.
    assert peer.transport.get_write_buffer_size() < 70 * KIB
    peer.transport.flow()
    await turns(1000 // FRAMES * 10)
    assert peer.transport.reading
    assert len(peer.frames()) == 1000


async def test_a_socket_lost_among_messages_that_wait_is_a_disconnect() -> None:
    application = Listening()
    peer = WebSocketPeer(application, BOUNDLESS)
    await peer.open()
    arrive(peer, masked(TEXT, b"x") * 1000)
    await asyncio.sleep(0)
    await peer.leave()
    assert application.disconnect == (1006, "")
    assert len(application.messages) < 1000


async def test_an_application_may_close_among_messages_that_wait() -> None:
    application = Manual()
    peer = WebSocketPeer(application, BOUNDLESS)
    await peer.send(handshake())
    await application.send({"type": "websocket.accept"})
    peer.answer()
    arrive(peer, masked(TEXT, b"x") * 1000 + closing(4000))
    await asyncio.sleep(0)
    await application.send({"type": "websocket.close", "code": 4000})
    # The client's own close is heard behind them all.
    await turns(1000 // FRAMES * 2)
    assert [frame.close_code for frame in peer.frames()] == [4000]
    assert peer.transport.eof_written
    await application.end()
