"""What the socket applications of these tests have in common: rooms and endless streams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable

import notebook

__all__ = ["BLOCK", "choose", "endless", "rooms"]

BLOCK = "0123456789abcdef" * 4096

rooms: defaultdict[str, set[Callable[[str], Awaitable[None]]]] = defaultdict(set)
"""For each room the functions that send to its members."""


def choose(offered: list[str]) -> str | None:
    """The subprotocol that these applications speak, if the client does too."""
    return "chat.v2" if "chat.v2" in offered else None


async def endless(key: str) -> AsyncIterator[str]:
    """What a socket sends until its client leaves."""
    try:
        while True:
            notebook.sent[key] += len(BLOCK)
            yield BLOCK
    finally:
        notebook.note(key, "stream ended")
