"""A large body over TLS: encrypted slice by slice, and only while it is taken."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from tidegate.exchange.service import Policy, Service
from tidegate.net.secured import SecureTransport
from tidegate.testing.peer import turns
from tidegate.testing.transport import FakeTransport

SLICE = 64 * 1024
LARGE = bytes(range(256)) * 4 * 1024  # 16 slices


class Above(asyncio.Protocol):
    """A connection that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")


class Layers:
    """A transport between two of tests, and a connection above it."""

    def __init__(self) -> None:
        async def nothing(*_: Any) -> None: ...

        self.tls = FakeTransport()
        self.raw = FakeTransport()
        self.above = Above()
        service = Service(nothing, Policy(), asyncio.get_running_loop())
        self.transport = SecureTransport(self.tls, self.raw, service)
        self.transport.set_protocol(self.above)
        self.tls._protocol = cast(asyncio.Protocol, self.transport)


async def test_what_is_small_is_written_at_once() -> None:
    layers = Layers()
    for _ in range(3):
        layers.transport.write(b"small")
    assert layers.tls.output == b"small" * 3
    assert layers.above.told == []


async def test_what_is_large_takes_a_turn_of_the_loop_for_each_slice() -> None:
    layers = Layers()
    layers.transport.write(LARGE)
    assert layers.above.told == ["pause"]
    for count in range(1, 16):
        assert len(layers.tls.output) == count * SLICE
        assert layers.transport.get_write_buffer_size() == len(LARGE) - count * SLICE
        await turns(1)
    await turns()
    assert layers.tls.output == LARGE
    assert layers.above.told == ["pause", "resume"]


async def test_what_comes_meanwhile_comes_after_it() -> None:
    layers = Layers()
    layers.transport.write(LARGE)
    layers.transport.write(b"small")
    layers.transport.write(LARGE)
    await turns(50)
    assert layers.tls.output == LARGE + b"small" + LARGE
    assert layers.above.told == ["pause", "resume"]


async def test_nothing_is_encrypted_that_is_not_taken() -> None:
    layers = Layers()
    layers.tls.stall()
    layers.transport.write(LARGE)
    await turns(50)
    # It is over its mark after the second.
    assert len(layers.tls._pending) == 2 * SLICE
    layers.tls.flow(2 * SLICE)
    await turns(50)
    assert len(layers.tls.output) == 2 * SLICE
    assert layers.above.told == ["pause"]
    layers.tls.flow()
    await turns(50)
    assert layers.tls.output == LARGE
    assert layers.above.told == ["pause", "resume"]


async def test_a_slow_client_holds_up_the_connection_without_large_bodies_too() -> None:
    layers = Layers()
    layers.tls.stall()
    for _ in range(3):
        layers.transport.write(bytes(SLICE))
    assert layers.above.told == ["pause"]
    layers.tls.flow()
    assert layers.above.told == ["pause", "resume"]


async def test_the_last_slice_may_be_the_one_that_is_too_much() -> None:
    layers = Layers()
    layers.tls.stall()
    layers.transport.write(bytes(2 * SLICE))
    await turns()
    assert layers.above.told == ["pause"]
    layers.tls.flow()
    assert layers.above.told == ["pause", "resume"]


async def test_it_closes_when_all_is_written() -> None:
    layers = Layers()
    layers.transport.write(LARGE)
    layers.transport.close()
    assert layers.transport.is_closing()
    assert not layers.tls.closed
    layers.transport.write(b"too late")
    await turns(50)
    assert layers.tls.output == LARGE
    assert layers.tls.closed
    layers.transport.close()
    assert layers.above.told[-1] == "lost"


@pytest.mark.parametrize("how", ["abort", "lose"])
async def test_what_is_not_written_when_it_ends_is_dropped(how: str) -> None:
    layers = Layers()
    layers.transport.write(LARGE)
    if how == "abort":
        layers.transport.abort()
    else:
        layers.tls.lose()
    await turns(50)
    assert len(layers.tls.output) <= 2 * SLICE
    assert layers.transport.get_write_buffer_size() == 0
    assert layers.above.told == ["pause", "lost"]


async def test_what_is_sent_and_not_taken_counts() -> None:
    layers = Layers()
    layers.raw.stall()
    layers.raw.write(b"12345")
    assert layers.transport.get_write_buffer_size() == 5


async def test_another_connection_may_take_over() -> None:
    layers = Layers()
    layers.transport.data_received(b"a")
    other = Above()
    layers.transport.set_protocol(other)
    layers.transport.data_received(b"b")
    assert (layers.above.received, other.received) == (b"a", b"b")
