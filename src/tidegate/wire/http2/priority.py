"""Which of the responses that wait is sent next?  (RFC 9218)

The most urgent first.  Among equals those that are of use in parts share, and
of those that are not only the oldest takes part (section 10).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import attrgetter

from .stream import Stream

__all__ = ["next_round", "read_priority"]

_URGENCY = re.compile(rb"(?:^|[,\t ])u=([0-7])(?=$|[;,\t ])")
_INCREMENTAL = re.compile(rb"(?:^|[,\t ])i(?:=\?([01]))?(?=$|[;,\t ])")

_DEFAULT_URGENCY = 3


def read_priority(value: bytes) -> tuple[int, bool]:
    """Return urgency (0 to 7, 0 first) and incremental; what is not understood is ignored."""
    urgency = _URGENCY.search(value)
    incremental = _INCREMENTAL.search(value)
    return (
        _DEFAULT_URGENCY if urgency is None else int(urgency[1]),
        incremental is not None and incremental[1] != b"0",
    )


def next_round(streams: Iterable[Stream]) -> list[Stream]:
    """Return who may send one frame now, in order."""
    waiting = list(streams)
    if len(waiting) < 2:
        return waiting
    urgency = min(stream.urgency for stream in waiting)
    equals = [stream for stream in waiting if stream.urgency == urgency]
    whole = [stream for stream in equals if not stream.incremental]
    shared = [stream for stream in equals if stream.incremental]
    if whole:
        shared.append(min(whole, key=attrgetter("id")))
    return sorted(shared, key=attrgetter("turn"))
