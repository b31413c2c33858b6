"""Which floods of small frames are an attack?

Each kind of frame that costs us more than it costs its sender has a bucket: so
many at once, so many a second after that.  An honest client does not come near.
What grows with honest use, window updates and resets, is measured against the
work that was done.  A bucket that overflows ends the connection with
ENHANCE_YOUR_CALM (RFC 9113 section 10.5).
"""

from __future__ import annotations

from ...errors import Http2Error
from .frames import Code

__all__ = [
    "EMPTY",
    "MAX_CONTINUATIONS",
    "PINGS",
    "PRIORITIES",
    "RESETS",
    "SETTINGS",
    "UPDATES",
    "Defence",
]

RESETS, SETTINGS, PINGS, PRIORITIES, EMPTY, UPDATES = range(6)

# What, how many at once, how many a second.
_BUCKETS = (
    # CVE-2023-44487: each cancelled request makes room for the next.
    ("cancelled or broken requests", 200.0, 20.0),
    # CVE-2019-9515 and CVE-2019-9512: each wants an answer.
    ("SETTINGS frames", 32.0, 4.0),
    ("PING frames", 64.0, 16.0),
    # CVE-2019-9513: reordering is work; so is what we do not understand.
    ("PRIORITY or unknown frames", 1000.0, 200.0),
    # CVE-2019-9518.
    ("empty frames", 128.0, 16.0),
    ("WINDOW_UPDATE frames for what was sent", 1000.0, 100.0),
)

# CVE-2024-27316: a head that never ends.  One that fits our limit needs five.
MAX_CONTINUATIONS = 16
"""CONTINUATION frames of one block."""

# One update for so many bytes sent is what a client with tiny buffers does.
_BYTES_OF_AN_UPDATE = 512


class Defence:
    """The buckets of one connection."""

    __slots__ = ("_levels", "_now", "_sent")

    def __init__(self) -> None:
        self._levels = [0.0] * len(_BUCKETS)  # how full each is
        self._now = 0.0
        self._sent = 0  # bytes that earn the peer window updates

    def advance(self, now: float) -> None:
        """Let time pass; ``now`` is in seconds."""
        elapsed, self._now = now - self._now, now
        for kind, (_, _, rate) in enumerate(_BUCKETS):
            self._levels[kind] = max(0.0, self._levels[kind] - elapsed * rate)

    def spend(self, kind: int, amount: float = 1.0) -> None:
        """Count a frame.  Raises ``Http2Error`` if there were too many."""
        self._levels[kind] += amount
        what, most, _ = _BUCKETS[kind]
        if self._levels[kind] > most:
            raise Http2Error(f"too many {what}", Code.ENHANCE_YOUR_CALM)

    def served(self) -> None:
        """A response was sent to its end: who asks for much may also cancel much."""
        self._levels[RESETS] = max(0.0, self._levels[RESETS] - 0.2)

    def sent(self, size: int) -> None:
        """Content was sent, of which the peer will tell us that it took it."""
        self._sent += size + _BYTES_OF_AN_UPDATE

    def updated(self) -> None:
        """Count a WINDOW_UPDATE.  Raises ``Http2Error`` if there were too many."""
        if self._sent >= _BYTES_OF_AN_UPDATE:
            self._sent -= _BYTES_OF_AN_UPDATE
        else:
            self.spend(UPDATES)
