"""Time for a whole worker: the Date field and every deadline, on one timer.

Timers per connection and per read cost more than the requests they guard.  So
a connection only keeps a number, ``deadline``, and once a second the clock
asks those whose moment has passed.  Deadlines are therefore early or late by up
to a second, which no limit of ours minds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from ..exchange.service import Service
from ..http import Defaults, Field, field, http_date

__all__ = ["NEVER", "Clock", "Watched"]

NEVER = float("inf")

_TICK = 1.0


class Watched(Protocol):
    """Something with a deadline, in the loop's time; ``NEVER`` when it has none."""

    deadline: float

    def on_deadline(self, now: float) -> None:
        """The deadline has passed: act, and set the next one."""


class Clock:
    """Ticks once a second while the server runs."""

    def __init__(
        self,
        service: Service,
        fields: Sequence[Field] = (),
        date: bool = True,
        wall_time: Callable[[], float] = time.time,
    ) -> None:
        """``fields`` are the server's own response fields; Date comes on top if ``date``."""
        self._service = service
        self._fields = list(fields)
        self._date = date
        self._wall_time = wall_time
        self._handle: asyncio.TimerHandle | None = None  # None unless running
        self.now = service.loop.time()  # to the second
        self.watched: set[Watched] = set()

    def add_field(self, one: Field) -> None:
        """Send this field with every response from now on."""
        self._fields.append(one)
        self.advance(0.0)

    def start(self) -> None:
        """Begin to tick."""
        self.tick()

    def stop(self) -> None:
        """Stop ticking."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def tick(self) -> None:
        """Renew the time and call on those whose deadline has passed."""
        loop = self._service.loop
        now = loop.time()
        self._handle = loop.call_at(now + _TICK, self.tick)
        self.advance(now - self.now)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass.  ``tick`` calls it; so may a test, instead of waiting."""
        self.now = now = self.now + seconds
        self._service.tick()
        dates = [field(b"date", http_date(self._wall_time()))] if self._date else []
        self._service.defaults = Defaults(dates + self._fields)
        for one in [one for one in self.watched if one.deadline <= now]:
            one.on_deadline(now)
