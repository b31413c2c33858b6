"""Frames between a pool and its worker, without either."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tidegate.bridge.processes import shared
from tidegate.bridge.processes.channel import CALL, RETIRE, Channel, Frame, pack
from tidegate.bridge.processes.shared import Segment

LIMIT = 1000


class Buffer:
    """Is pickled out of band, and says whether its bytes may be changed."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffer, (pickle.PickleBuffer(self.data),)


@pytest.fixture
def ends() -> Iterator[tuple[Segment, Segment]]:
    descriptor = os.memfd_create("test")
    segments = Segment(descriptor), Segment(os.dup(descriptor))
    yield segments
    for segment in segments:
        segment.close()


def received(channel: Channel, pieces: list[bytes]) -> Frame:
    for piece in pieces[:-1]:
        assert channel.incoming(piece) is None
    frame = channel.incoming(pieces[-1])
    assert frame is not None
    return frame


def cuts(data: bytes) -> list[list[bytes]]:
    """Return the bytes whole, one by one, and in random pieces."""
    chance = random.Random(1)
    places = sorted(chance.sample(range(1, len(data)), min(5, len(data) - 1)))
    edges = [0, *places, len(data)]
    some = [data[start:end] for start, end in pairwise(edges)]
    return [[data], [data[at : at + 1] for at in range(len(data))], some]


@pytest.mark.parametrize(
    "value", [None, "text", b"x" * LIMIT * 3, [Buffer(b"a"), Buffer(b"")], [Buffer(b"b" * 5000)]]
)
def test_frames_arrive_however_they_are_cut(value: Any, ends: tuple[Segment, Segment]) -> None:
    sender, receiver = (Channel(end, LIMIT) for end in ends)
    sent = sender.outgoing(CALL, pack(value), RETIRE)
    assert len(sent) < LIMIT + 100
    for pieces in cuts(sent):
        frame = received(receiver, pieces)
        assert (frame.kind, frame.flags & RETIRE) == (CALL, RETIRE)
        assert pickle.dumps(frame.value(), 5) == pickle.dumps(value, 5)


@pytest.mark.parametrize("size", [10, LIMIT * 5])
def test_buffers_are_copies_that_can_be_changed_if_the_originals_could(
    size: int, ends: tuple[Segment, Segment]
) -> None:
    sender, receiver = (Channel(end, LIMIT) for end in ends)
    values = [Buffer(b"r" * size), Buffer(bytearray(b"w" * size))]
    constant, variable = received(receiver, [sender.outgoing(CALL, pack(values))]).value()
    # The next message writes over the segment.
    received(receiver, [sender.outgoing(CALL, pack(b"z" * size * 3))]).value()
    assert (bytes(constant.data), bytes(variable.data)) == (b"r" * size, b"w" * size)
    assert isinstance(constant.data, bytes)
    assert isinstance(variable.data, bytearray)


def test_the_segment_grows_and_gives_unusual_sizes_back(
    ends: tuple[Segment, Segment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_SMALLEST_SIZE", 4096)
    monkeypatch.setattr(shared, "_KEPT_SIZE", 10_000)
    writer, reader = ends
    for size, kept in ((5_000, 8192), (20_000, 0), (3_000, 4096), (30_000, 0), (29_000, 0)):
        for first, second in ((writer, reader), (reader, writer)):
            first.write([b"h", memoryview(b"x" * (size - 1))])
            with second.view(size) as view:
                assert view == b"h" + b"x" * (size - 1)
        writer.give_back()
        assert os.fstat(writer._descriptor).st_size == kept
