"""What a hostile peer sends is answered early, in bounded memory and linear work."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from tidegate.testing.websocket import BINARY, CONTINUATION, PING, TEXT, masked
from tidegate.wire.websocket.deflate import DeflateParameters, negotiate
from tidegate.wire.websocket.limits import WebSocketLimits

from .compression import Client
from .driver import Driver

KIB, MIB = 1024, 1024 * 1024

# As much as an event loop reads at once.
READ = 256 * KIB


@pytest.fixture(autouse=True)
def _traced() -> Iterator[None]:
    yield
    tracemalloc.stop()


def peak_of(call: Callable[[], object]) -> int:
    """Return how many bytes more than before were in use at once."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    call()
    return tracemalloc.get_traced_memory()[1] - before


def calls_of(call: Callable[[], object]) -> int:
    """Count the calls made, of functions in Python and in C."""
    count = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


def deflate() -> DeflateParameters:
    parameters = negotiate(b"permessage-deflate")
    assert parameters is not None
    return parameters


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_decompression_bomb_is_refused_before_it_is_inflated(opcode: int) -> None:
    client = Client("permessage-deflate")
    packed = client.compress(bytes(64 * MIB))
    assert len(packed) < READ
    bomb = masked(opcode, packed, reserved=4)
    driver = Driver(WebSocketLimits(max_message_size=MIB), deflate())
    assert peak_of(lambda: driver.feed([bomb])) < 3 * MIB
    assert driver.calls == [("error", 1009)]


def test_a_bomb_in_many_small_frames_is_refused_too() -> None:
    packed = Client("permessage-deflate").compress(bytes(64 * MIB))
    pieces = [packed[start : start + 50] for start in range(0, len(packed), 50)]
    frames = [masked(BINARY, pieces[0], fin=False, reserved=4)]
    frames += [masked(CONTINUATION, piece, fin=False) for piece in pieces[1:]]
    driver = Driver(WebSocketLimits(max_message_size=MIB), deflate())
    assert peak_of(lambda: driver.feed(frames)) < 3 * MIB
    assert driver.calls == [("error", 1009)]


def test_an_announced_size_takes_no_memory() -> None:
    header = b"\x82\xff" + (16 * MIB).to_bytes(8, "big") + bytes(4)
    driver = Driver()
    assert peak_of(lambda: driver.feed([header, b"x"])) < 10 * KIB


@pytest.mark.parametrize("content", [b"a", b"ab", "€".encode(), "\U0001f30a".encode()])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_tiny_fragments_take_no_more_memory_than_their_content(opcode: int, content: bytes) -> None:
    driver = Driver()
    driver.feed([masked(opcode, content, fin=False)])
    fragments = masked(CONTINUATION, content, fin=False) * 10_000
    # What has no room any more is copied.
    assert peak_of(lambda: driver.feed([fragments])) < 2 * len(content) * 10_000 + 10 * KIB
    assert driver.calls == []


def test_a_million_empty_fragments_are_refused_after_a_hundred() -> None:
    first, empty = masked(TEXT, fin=False), masked(CONTINUATION, fin=False)
    driver = Driver()
    data = [first, *[empty * 10_000] * 100]
    # Nothing is read after the refusal: 128 fragments, 100 calls of receive().
    assert calls_of(lambda: driver.feed(data)) < 128 * 20 + 100 * 10
    assert driver.calls == [("error", 1008)]
    assert driver.reason == "too many empty fragments"


def test_a_flood_of_pings_is_refused() -> None:
    driver = Driver()
    driver.feed([masked(PING, b"x") * 10_000])
    assert len(driver.calls) == 257
    assert driver.calls[-1] == ("error", 1008)


@pytest.mark.parametrize("content", [b"", b"x"])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_flood_of_tiny_messages_is_linear_work(opcode: int, content: bytes) -> None:
    def work(count: int) -> int:
        data = masked(opcode, content) * count
        return calls_of(lambda: Driver().feed([data]))

    assert work(20_000) < 10 * work(2_000) * 1.05


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_flood_of_tiny_fragments_is_linear_work(opcode: int) -> None:
    def work(count: int) -> int:
        data = masked(opcode, b"x", fin=False) + masked(CONTINUATION, b"x", fin=False) * count
        return calls_of(lambda: Driver().feed([data]))

    assert work(20_000) < 10 * work(2_000) * 1.05
    assert work(2_000) < 2_000 * 25


def test_a_message_byte_by_byte_is_linear_work() -> None:
    def work(count: int) -> int:
        data = masked(TEXT, b"x" * count)
        return calls_of(lambda: Driver().feed(data[i : i + 1] for i in range(len(data))))

    assert work(20_000) < 10 * work(2_000) * 1.05


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_what_came_before_is_not_copied_for_each_read(opcode: int) -> None:
    # A count of calls does not show that.  Now and then room is made for more.
    driver = Driver()
    driver.feed([masked(opcode, bytes(8 * MIB))[: 4 * MIB], *[b"x"] * 10])
    assert peak_of(lambda: driver.feed([b"x"] * 1000)) < 10 * KIB


def test_messages_that_wait_are_not_copied_each_time_one_is_taken() -> None:
    driver = Driver()
    driver.sink.holds = driver.core
    driver.feed([masked(BINARY, b"x") * 40_000])
    assert len(driver.calls) == 1

    def take_some() -> None:
        for _ in range(10):
            driver.core.held = False
            driver.feed([b""])

    assert peak_of(take_some) < 10 * KIB
    assert len(driver.calls) == 11


def test_messages_that_wait_are_not_unpacked() -> None:
    client = Client("permessage-deflate")
    packed = client.frames(bytes(8 * MIB))
    driver = Driver(parameters=deflate())
    driver.sink.holds = driver.core
    data = packed + b"".join(client.frames(bytes(8 * MIB)) for _ in range(3))
    driver.feed([data])
    assert [len(call[1]) for call in driver.calls] == [8 * MIB]
    driver.core.held = False
    driver.feed([b""])
    assert [len(call[1]) for call in driver.calls] == [8 * MIB] * 2


def test_compressed_frames_without_content_take_no_memory() -> None:
    # Empty stored blocks: bytes come, and nothing is in them.
    driver = Driver(parameters=deflate())
    driver.feed([masked(BINARY, b"\x00\x00\x00\xff\xff", fin=False, reserved=4)])
    block = masked(CONTINUATION, b"\x00\x00\x00\xff\xff" * 1000, fin=False)
    assert peak_of(lambda: driver.feed([block] * 50)) < 100 * KIB
    assert driver.calls == []
