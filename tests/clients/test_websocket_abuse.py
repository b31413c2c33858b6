"""Clients that mean harm, within bounds: the memory stays flat and the others are served."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
# Two messages of the largest size, and what the allocator keeps.
FLAT = 32 * MEGABYTE
# Enough to see a server that answers one of the two clients only.
PROMPT = 2.0
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate"}


@pytest.fixture
def server(launch: Launcher) -> Server:
    return launch("websocket_plain:app")


@pytest.fixture
def other(server: Server) -> Iterator[Wire]:
    """A client that does nothing wrong, before, during and after."""
    with Wire(server) as wire:
        wire.open("/echo")
        is_served(wire)
        yield wire
        is_served(wire)


def is_served(other: Wire, within: float = PROMPT) -> None:
    """Have twenty messages echoed, one after the other."""
    began = time.monotonic()
    for number in range(20):
        other.send(frame(TEXT, b"number %d" % number))
        assert other.frame() == (TEXT, b"number %d" % number)
    seconds = time.monotonic() - began
    assert seconds < within, f"20 messages took {seconds:.1f} s"


def notes(server: Server, key: str) -> list[str]:
    return httpx.get(f"{server.base_url}/notes/{key}", trust_env=False).json()


def release(server: Server, key: str) -> None:
    """Let the application of this key receive."""
    httpx.get(f"{server.base_url}/release/{key}", trust_env=False)


def test_a_client_that_never_reads_fills_no_memory(server: Server, other: Wire) -> None:
    with Wire(server, receive_buffer=64 * 1024) as greedy:
        memory = PeakMemory(server.pid)
        greedy.open("/flood/x")
        # Of an endless stream this is all that is ever sent to it.
        for _ in range(20):
            is_served(other)
        assert memory.growth() < 8 * MEGABYTE, memory.growth()


def test_a_client_that_reads_nothing_of_its_echo_may_send_no_more(
    server: Server, other: Wire
) -> None:
    message = frame(BINARY, bytes(MEGABYTE))
    with Wire(server, receive_buffer=64 * 1024) as greedy:
        greedy.open("/echo")
        memory = PeakMemory(server.pid)
        assert greedy.is_held_back(message, at_most=200 * MEGABYTE)
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()


@pytest.mark.parametrize("size", [0, 1, 1000, MEGABYTE])
def test_an_application_that_does_not_receive_fills_no_memory(
    server: Server, other: Wire, key: str, size: int
) -> None:
    message = frame(BINARY, bytes(size)) * (MEGABYTE // (size + 1) + 1)
    with Wire(server) as greedy:
        greedy.open(f"/ignore/{key}")
        memory = PeakMemory(server.pid)
        assert greedy.is_held_back(message, at_most=200 * MEGABYTE)
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()
    release(server, key)


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_an_application_that_receives_slowly_fills_no_memory(
    server: Server, other: Wire, key: str, size: int
) -> None:
    message = frame(BINARY, bytes(size)) * (MEGABYTE // (size + 6))
    with Wire(server) as greedy:
        greedy.open(f"/step/{key}")
        memory = PeakMemory(server.pid)
        for count in range(10):
            assert greedy.is_held_back(message, at_most=20 * MEGABYTE, within=0.02)
            release(server, key)
            eventually(lambda: len(notes(server, key)) > count)  # noqa: B023
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()
    release(server, f"all-{key}")
    release(server, key)


@pytest.mark.parametrize("size", [1, 1000])
def test_a_socket_is_closed_at_once_though_messages_are_unread(server: Server, size: int) -> None:
    with Wire(server) as wire:
        wire.send(handshake("/once") + frame(BINARY, bytes(size)) * 1000)
        wire.head()
        assert wire.close_frame() == (4000, "one is enough")
        wire.send(frame(CLOSE, (4000).to_bytes(2, "big")))
        wire.socket.settimeout(3)
        assert wire.rest() == b""


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("frames", [1, 100])
def test_a_decompression_bomb_goes_off_unheard(
    server: Server, other: Wire, opcode: int, frames: int
) -> None:
    payload = compressed(bytes(MEGABYTE) for _ in range(100))
    assert len(payload) < MEGABYTE // 8
    size = len(payload) // frames + 1
    pieces = [payload[start : start + size] for start in range(0, len(payload), size)]
    bomb = [
        frame(CONTINUATION if number else opcode, piece, number == len(pieces) - 1, not number)
        for number, piece in enumerate(pieces)
    ]
    with Wire(server) as wire:
        assert "permessage-deflate" in wire.open("/echo", DEFLATE)
        memory = PeakMemory(server.pid)
        wire.send(b"".join(bomb))
        assert wire.close_frame() == (1009, "message too big")
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()


def test_many_bombs_are_no_worse_than_one(server: Server, other: Wire) -> None:
    bomb = frame(BINARY, compressed(bytes(MEGABYTE) for _ in range(100)), rsv1=True)
    memory = PeakMemory(server.pid)
    for _ in range(10):
        with Wire(server) as wire:
            wire.open("/echo", DEFLATE)
            wire.send(bomb)
            assert wire.close_frame()[0] == 1009
    is_served(other)
    assert memory.growth() < FLAT, memory.growth()


@pytest.mark.parametrize("size", [65536, 16 * MEGABYTE])
def test_messages_that_are_small_only_on_the_way_are_not_all_unpacked(
    server: Server, other: Wire, key: str, size: int
) -> None:
    """None is too big, but many arrive in one read while the application is busy."""
    message = frame(BINARY, compressed([bytes(size)]), rsv1=True)
    with Wire(server) as wire:
        no_takeover = "permessage-deflate; client_no_context_takeover"
        wire.open(f"/ignore/{key}", {"Sec-WebSocket-Extensions": no_takeover})
        memory = PeakMemory(server.pid)
        assert wire.is_held_back(message, at_most=8 * MEGABYTE)
        is_served(other)
        # The read-ahead, and one message on top.
        assert memory.growth() < 40 * MEGABYTE, memory.growth()
    release(server, key)


@pytest.mark.parametrize("size", [0, 100, MEGABYTE])
def test_a_client_that_sends_without_end_leaves_time_for_the_others(
    server: Server, other: Wire, size: int
) -> None:
    """The application receives as fast as it can, so nothing holds the client back."""
    messages = frame(BINARY, bytes(size)) * (MEGABYTE // (size + 6) + 1)
    with Wire(server) as greedy:
        greedy.open("/count")
        ended = threading.Event()

        def flood() -> None:
            while not ended.is_set() and greedy.try_to_send(messages):
                pass

        with ThreadPoolExecutor(1) as pool:
            flooding = pool.submit(flood)
            try:
                for _ in range(5):
                    is_served(other, within=0.5)
            finally:
                ended.set()
                greedy.socket.shutdown(socket.SHUT_RDWR)
            flooding.result()


def test_a_million_empty_fragments_are_too_many(server: Server, other: Wire) -> None:
    fragments = frame(CONTINUATION, fin=False) * 10_000
    with Wire(server) as wire:
        wire.open("/echo")
        memory = PeakMemory(server.pid)
        wire.send(frame(TEXT, fin=False))
        for _ in range(100):
            if not wire.try_to_send(fragments):
                break
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()


def test_fragments_of_a_byte_or_two_fill_no_memory(server: Server, other: Wire) -> None:
    """A message within the limit must not take many times its size because of how it came."""
    fragments = frame(CONTINUATION, b"ab", fin=False) * 10_000
    with Wire(server) as wire:
        wire.open("/echo")
        memory = PeakMemory(server.pid)
        wire.send(frame(BINARY, b"first", fin=False))
        for _ in range(100):
            wire.send(fragments)
        wire.send(frame(CONTINUATION, b"last"))
        opcode, message = wire.frame()
        assert (opcode, len(message)) == (BINARY, 2_000_009)
        assert memory.growth() < FLAT, memory.growth()


@pytest.mark.parametrize("opcode", [PING, PONG], ids=["ping", "pong"])
@pytest.mark.parametrize("payload", [b"", bytes(125)], ids=["empty", "full"])
def test_a_flood_of_pings_ends(server: Server, other: Wire, opcode: int, payload: bytes) -> None:
    flood = frame(opcode, payload) * 1000
    with Wire(server, receive_buffer=64 * 1024) as wire:
        wire.open("/echo")
        memory = PeakMemory(server.pid)
        for _ in range(1000):
            if not wire.try_to_send(flood):
                break
        else:
            # All of it found room on the way; the server has left all the same.
            wire.rest()
        is_served(other)
        assert memory.growth() < FLAT, memory.growth()


def test_a_frame_announced_and_not_sent_costs_nothing(server: Server, other: Wire) -> None:
    wires = [Wire(server) for _ in range(100)]
    memory = PeakMemory(server.pid)
    try:
        for wire in wires:
            wire.open("/echo")
            wire.send(b"\x82\xff" + (16 * MEGABYTE).to_bytes(8, "big") + bytes(4))
        is_served(other)
        assert memory.growth() < 8 * MEGABYTE, memory.growth()
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
    eventually(lambda: notes(server, key) == ["here", "1006"])
