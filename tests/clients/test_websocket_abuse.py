"""Clients that mean harm: the memory stays flat, the others are served, the server lives on.

Nothing here is a matter of speed.  Each bound on memory is far above what the
server takes and far below what it would take without its limits.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import httpx
import pytest
from launcher import Launcher, PeakMemory, Server, eventually
from websocket_wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Wire,
    compressed,
    frame,
    handshake,
)

APPLICATIONS = Path(__file__).parent / "applications"
MEGABYTE = 1024 * 1024
# The largest message, and the server must not hold much more than one of them.
LARGEST = 4 * MEGABYTE
FLAT = 40 * MEGABYTE
# What a client without bounds tries to make the server hold.
MUCH = 400 * MEGABYTE
# Long enough for a busy machine; only a server that hangs takes longer.
PATIENCE = 40.0
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_no_context_takeover"}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def shared() -> Iterator[Launcher]:
    with Launcher(APPLICATIONS).opened() as launch:
        yield launch


@pytest.fixture
def server(shared: Launcher) -> Iterator[Server]:
    """One for all tests here: it has to survive them."""
    if not shared.servers:
        shared(
            "websocket_plain:app",
            # Raw clients answer no pings, and one that reads nothing is to stay connected.
            *("--ws-ping-interval", "0", "--timeout-write", "1000", "--min-rate", "0"),
            *("--ws-max-size", str(LARGEST), "--no-access-log"),
        )
    yield shared.servers[0]
    shared.servers[0].check()


@pytest.fixture
def other(server: Server) -> Iterator[Wire]:
    """A client that does nothing wrong, before, during and after."""
    with Wire(server) as wire:
        wire.socket.settimeout(PATIENCE)
        wire.open("/echo")
        is_served(wire)
        yield wire
        is_served(wire)


def is_served(other: Wire) -> None:
    """Have twenty messages echoed, one after the other."""
    for number in range(20):
        other.send(frame(TEXT, b"number %d" % number))
        assert other.frame() == (TEXT, b"number %d" % number)


def ask(server: Server, path: str) -> httpx.Response:
    return httpx.get(f"{server.base_url}{path}", trust_env=False, timeout=PATIENCE)


def release(server: Server, key: str) -> None:
    """Let the application of this key receive."""
    assert ask(server, f"/release/{key}").status_code == 200


@cache
def bomb_of_zeros() -> bytes:
    """Return the payload of a compressed message that is far too large."""
    return compressed(bytes(MEGABYTE) for _ in range(200))


def send_until_refused(wire: Wire, data: bytes, at_most: int) -> None:
    """Send ``data`` again and again; stop as soon as the server has something to say."""
    for _ in range(at_most):
        if wire.is_answered() or not wire.try_to_send(data):
            return


def test_a_client_that_never_reads_fills_no_memory(server: Server, other: Wire) -> None:
    with Wire(server, receive_buffer=64 * 1024) as greedy:
        memory = PeakMemory(server.pid)
        greedy.open("/flood/x")
        # Of an endless stream this is all that is ever sent to it.
        for _ in range(20):
            is_served(other)
        assert memory.growth() < FLAT, memory.growth()


def test_a_client_that_reads_nothing_of_its_echo_may_send_no_more(
    server: Server, other: Wire
) -> None:
    message = frame(BINARY, bytes(MEGABYTE))
    with Wire(server, receive_buffer=64 * 1024) as greedy:
        greedy.open("/echo")
        memory = PeakMemory(server.pid)
        assert greedy.is_held_back(message, at_most=MUCH)
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()


@pytest.mark.parametrize("size", [0, 1, 1000, MEGABYTE])
def test_an_application_that_does_not_receive_fills_no_memory(
    server: Server, other: Wire, key: str, size: int
) -> None:
    message = frame(BINARY, bytes(size)) * (MEGABYTE // (size + 6) + 1)
    with Wire(server) as greedy:
        greedy.open(f"/ignore/{key}")
        memory = PeakMemory(server.pid)
        assert greedy.is_held_back(message, at_most=MUCH)
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()
    release(server, key)


@pytest.mark.parametrize("size", [1, 1000])
def test_a_socket_is_closed_though_messages_are_unread(server: Server, size: int) -> None:
    with Wire(server) as wire:
        wire.socket.settimeout(PATIENCE)
        wire.send(handshake("/once") + frame(BINARY, bytes(size)) * 1000)
        wire.head()
        assert wire.close_frame() == (4000, "one is enough")
        wire.send(frame(CLOSE, (4000).to_bytes(2, "big")))
        assert wire.rest() == b""


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("frames", [1, 100])
def test_a_decompression_bomb_goes_off_unheard(
    server: Server, other: Wire, opcode: int, frames: int
) -> None:
    payload = bomb_of_zeros()
    assert len(payload) < MEGABYTE
    size = len(payload) // frames + 1
    pieces = [payload[start : start + size] for start in range(0, len(payload), size)]
    bomb = [
        frame(CONTINUATION if number else opcode, piece, number == len(pieces) - 1, not number)
        for number, piece in enumerate(pieces)
    ]
    with Wire(server) as wire:
        wire.socket.settimeout(PATIENCE)
        assert "permessage-deflate" in wire.open("/echo", DEFLATE)
        memory = PeakMemory(server.pid)
        wire.send(b"".join(bomb))
        assert wire.close_frame() == (1009, "message too big")
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()


def test_many_bombs_are_no_worse_than_one(server: Server, other: Wire) -> None:
    bomb = frame(BINARY, bomb_of_zeros(), rsv1=True)
    memory = PeakMemory(server.pid)
    for _ in range(20):
        with Wire(server) as wire:
            wire.socket.settimeout(PATIENCE)
            wire.open("/echo", DEFLATE)
            wire.send(bomb)
            assert wire.close_frame() == (1009, "message too big")
    is_served(other)
    assert memory.growth() < FLAT, memory.growth()


@pytest.mark.parametrize("size", [65536, LARGEST])
def test_messages_that_are_small_only_on_the_way_are_not_all_unpacked(
    server: Server, other: Wire, key: str, size: int
) -> None:
    """None is too big, but many arrive in one read while the application is busy."""
    message = frame(BINARY, compressed([bytes(size)]), rsv1=True) * 10
    with Wire(server) as wire:
        wire.open(f"/ignore/{key}", DEFLATE)
        memory = PeakMemory(server.pid)
        assert wire.is_held_back(message, at_most=MUCH)
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()
    release(server, key)


@pytest.mark.parametrize("size", [0, 100, MEGABYTE])
def test_a_client_that_sends_without_end_does_not_keep_the_others_from_being_served(
    server: Server, other: Wire, size: int
) -> None:
    """The application receives as fast as it can, so nothing holds the client back."""
    messages = frame(BINARY, bytes(size)) * (MEGABYTE // (size + 6) + 1)
    with Wire(server) as greedy:
        greedy.socket.settimeout(PATIENCE)
        greedy.open("/count")
        memory = PeakMemory(server.pid)
        ended = threading.Event()

        def flood() -> None:
            while not ended.is_set() and greedy.try_to_send(messages):
                pass

        with ThreadPoolExecutor(1) as pool:
            flooding = pool.submit(flood)
            try:
                for _ in range(5):
                    is_served(other)
                # It still sends: the server did not get rid of it.
                assert not flooding.done()
            finally:
                ended.set()
                greedy.socket.shutdown(socket.SHUT_RDWR)
            flooding.result()
        assert memory.growth() < FLAT, memory.growth()


def test_a_million_empty_fragments_are_too_many(server: Server, other: Wire) -> None:
    with Wire(server) as wire:
        wire.socket.settimeout(PATIENCE)
        wire.open("/echo")
        memory = PeakMemory(server.pid)
        wire.send(frame(TEXT, fin=False))
        send_until_refused(wire, frame(CONTINUATION, fin=False) * 10_000, at_most=100)
        assert wire.close_frame() == (1008, "too many empty fragments")
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()


@pytest.mark.parametrize("opcode", [PING, PONG], ids=["ping", "pong"])
@pytest.mark.parametrize("payload", [b"", bytes(125)], ids=["empty", "full"])
def test_a_flood_of_pings_ends(server: Server, other: Wire, opcode: int, payload: bytes) -> None:
    with Wire(server) as wire:
        wire.socket.settimeout(PATIENCE)
        wire.open("/echo")
        memory = PeakMemory(server.pid)
        # Too many for half a minute, even at the pace that is allowed.
        wire.try_to_send(frame(opcode, payload) * 10_000)
        assert wire.close_frame() == (1008, "too many control frames")
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()


def test_a_frame_announced_and_not_sent_costs_nothing(server: Server, other: Wire) -> None:
    wires = [Wire(server) for _ in range(MUCH // LARGEST)]
    memory = PeakMemory(server.pid)
    try:
        for wire in wires:
            wire.open("/echo")
            wire.send(b"\x82\xff" + LARGEST.to_bytes(8, "big") + bytes(4))
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()
    finally:
        for wire in wires:
            wire.socket.close()


def test_a_connection_reset_in_the_middle_of_a_message_is_no_error(
    server: Server, other: Wire, key: str
) -> None:
    with Wire(server) as wire:
        wire.open(f"/listen/{key}")
        wire.send(frame(BINARY, bytes(1000))[:500])
        # A reset instead of an end.
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes((1, 0, 0, 0, 0, 0, 0, 0)))
    eventually(lambda: ask(server, f"/notes/{key}").json() == ["here", "1006"], within=PATIENCE)
