"""Signals as steps of a shutdown: the first asks, every further one insists."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop"]

logger = logging.getLogger("tidegate.error")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """How often, and how urgently, we were asked to stop.

    ``urgency`` is 0 while serving, 1 after the first request to stop, 2 after
    the next SIGINT, and so on.  SIGTERM repeated adds nothing: supervisors
    repeat it out of habit.
    """

    def __init__(self) -> None:
        self.urgency = 0
        self._loop = asyncio.get_running_loop()
        self._waiters: set[asyncio.Future[None]] = set()

    def request(self, signum: int = signal.SIGTERM) -> None:
        """Ask to stop.  Safe to call from a signal handler or another thread."""
        if signum == signal.SIGINT or self.urgency == 0:
            self.urgency += 1
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._notify)

    def _notify(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, urgency: int) -> None:
        """Return when we were asked this urgently."""
        while self.urgency < urgency:
            waiter = self._loop.create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    async def unless(self, urgency: int, work: Awaitable[None]) -> bool:
        """Await ``work``; False, and the work cancelled, if we are asked more urgently first."""
        working = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self.until(urgency))
        try:
            await asyncio.wait([working, asked], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
                return True
            return False
        finally:
            for task in (working, asked):
                task.cancel()
            await asyncio.gather(working, asked, return_exceptions=True)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM inside the block; in the main thread only.

        Handlers are Python's, not the loop's: they run even while the
        application blocks the loop.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {signum: signal.signal(signum, self._handle) for signum in _SIGNALS}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self.request(signum)
        if self.urgency > 3:
            # Whatever hangs does not let the loop run: leave it behind.
            raise KeyboardInterrupt
