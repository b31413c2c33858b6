"""Test tools for protocol cores: a sink that writes down its calls, and ways to cut bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from ..http import Head

__all__ = ["Recorder", "Request", "cuts"]


@dataclass
class Request:
    """One request as a sink saw it; the same however its bytes were cut."""

    head: Head
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    ended: bool = False


class Recorder:
    """A sink that keeps every request in ``requests`` and counts the calls."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.calls = 0

    def on_request(self, head: Head, body: bytes, ended: bool) -> None:
        """Keep a new request."""
        self.calls += 1
        self.requests.append(Request(head, body, ended=ended))

    def on_body(self, data: bytes, ended: bool) -> None:
        """Add to the content of the last request."""
        self.calls += 1
        request = self.requests[-1]
        request.body += data
        request.ended = ended

    def on_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Keep the trailers of the last request."""
        self.calls += 1
        self.requests[-1].trailers.extend(fields)


def cuts(data: bytes, seed: int = 0, randoms: int = 3) -> Iterator[list[bytes]]:
    """Yield ``data`` whole, byte by byte, and ``randoms`` times cut at random.

    The pieces joined are always ``data``; no piece is empty.
    """
    yield [data] if data else []
    yield [data[i : i + 1] for i in range(len(data))]
    chooser = random.Random(seed)
    for _ in range(randoms):
        wanted = min(chooser.randint(1, 8), max(len(data) - 1, 0))
        places = sorted(chooser.sample(range(1, max(len(data), 1)), wanted))
        edges = [0, *places, len(data)]
        yield [data[a:b] for a, b in pairwise(edges) if a < b]
