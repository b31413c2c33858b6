"""May this key do one thing more?  The generic cell rate algorithm, and where it remembers.

One number per key: the time at which all that was allowed would have been
spent at an even pace (ITU-T I.371, annex A).  So there is no window at whose
border twice the rate gets through.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .settings import checked_number

__all__ = ["Decision", "MemoryRates", "Rate", "RateStore"]


@dataclass(frozen=True)
class Rate:
    """``limit`` things in ``period`` seconds, ``burst`` of them at once."""

    limit: int
    period: float
    burst: int


class Decision(NamedTuple):
    """Whether it may; how many more may follow at once; when to ask again, and when all is back.

    ``retry_after`` and ``reset`` are seconds from now; ``retry_after`` is 0 if it may.
    """

    allowed: bool
    remaining: int
    retry_after: float
    reset: float


class RateStore(Protocol):
    """Remembers keys, for one process or for many."""

    async def take(self, key: str, rate: Rate) -> Decision:
        """Take one from what ``key`` may still do, if there is one."""
        ...


class MemoryRates:
    """Remembers the ``max_keys`` keys seen last, in this process only.

    With several workers each of them allows the whole rate.  A key that was
    forgotten begins anew, so ``max_keys`` should be more than the clients of
    one period.  ``clock`` returns seconds.
    """

    def __init__(
        self, max_keys: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        checked_number("MemoryRates: max_keys", max_keys, 1, whole=True)
        self._max_keys = max_keys
        self._clock = clock
        # Key -> when all of it would be spent at an even pace.
        self._spent_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._spent_at)

    async def take(self, key: str, rate: Rate) -> Decision:
        """Take one from what ``key`` may still do, if there is one."""
        now = self._clock()
        interval = rate.period / rate.limit
        room = interval * rate.burst
        before = self._spent_at.get(key, 0.0)
        ahead = max(before - now, 0.0) + interval
        # Sums of intervals that are no binary fractions come out a little high.
        excess = ahead - room
        if excess > interval * 1e-6:
            self._spent_at.move_to_end(key)
            return Decision(False, 0, excess, ahead - interval)
        self._spent_at[key] = now + ahead
        self._spent_at.move_to_end(key)
        if len(self._spent_at) > self._max_keys:
            self._spent_at.popitem(last=False)
        return Decision(True, int(-excess / interval + 1e-6), 0.0, ahead)
