"""Which calls does nobody wait for any more, and what are their threads doing?

A thread cannot be stopped.  When its caller has gone, its place is given to a
new thread, up to a budget: without one, a dependency that hangs would either
take every thread or start them without end.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from .call import Call

__all__ = ["Abandoned", "Ledger", "stack"]

logger = logging.getLogger("tidegate.error")


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A call that goes on although nobody waits for it."""

    function: str
    """Where it is defined: ``module.qualified_name``."""
    seconds: float
    """Since the caller stopped waiting."""
    stack: str
    """What the thread is doing, as a traceback; "" if it has just ended."""


class Ledger:
    """The abandoned calls of one pool."""

    def __init__(
        self, clock: Callable[[], float], report_after: float, on_change: Callable[[], object]
    ) -> None:
        """``on_change`` is called when there are more or fewer; never by two threads at once."""
        self._clock = clock
        self._report_after = report_after
        self._on_change = on_change
        self._lock = threading.Lock()
        self.since: dict[Call, float] = {}  # when its caller stopped waiting
        self._reported: set[Call] = set()

    def __len__(self) -> int:
        return len(self.since)

    def add(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        """Write down that nobody waits for the call; a report follows if it goes on."""
        with self._lock:
            self.since[call] = self._clock()
        if call.ended:
            # Between the caller's last look and now; it did not find itself here.
            self._forget(call)
            return
        with self._lock:
            self._on_change()
        loop.call_later(self._report_after, self.report)

    def remove(self, call: Call) -> None:
        """The call has ended."""
        if self._forget(call):
            with self._lock:
                self._on_change()

    def entries(self) -> list[Abandoned]:
        """Return what goes on at this moment, the oldest first."""
        now = self._clock()
        return [
            Abandoned(call.name, now - since, stack(call.thread))
            for call, since in list(self.since.items())
        ]

    def report(self) -> None:
        """Log the stack of each thread that is overdue, once."""
        limit = self._clock() - self._report_after
        for call, since in list(self.since.items()):
            if since <= limit and call not in self._reported:
                self._reported.add(call)
                seconds = self._clock() - since
                text = "%s goes on %.1f s after its caller stopped waiting:\n%s"
                logger.warning(text, call.name, seconds, stack(call.thread))

    def _forget(self, call: Call) -> bool:
        with self._lock:
            self._reported.discard(call)
            return self.since.pop(call, None) is not None


def stack(thread: int | None) -> str:
    """Return what a thread is doing, in the form of a traceback; "" if it has ended."""
    frame = sys._current_frames().get(thread or 0)
    return "" if frame is None else "".join(traceback.format_stack(frame))
