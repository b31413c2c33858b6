"""Does anything block the event loop?  A guard that is always on says which line.

It reports; it changes nothing of what the application does.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import TypeAlias

from ...errors import UsageError
from .blocking import BlockingCall
from .frames import Origins, line_of, request_of, stack_of
from .heartbeat import Blocked, Heartbeat, LoopThread, Pace
from .names import names_below
from .sites import CallSites
from .stalls import Sighting, Stall, Stalls

__all__ = ["Guard", "GuardSettings", "RequestOf"]

logger = logging.getLogger("tidegate.error")

RequestOf: TypeAlias = Callable[[list[FrameType]], str | None]

# Stopping waits for a thread that is writing a line of the log at most.
_STOP_SECONDS = 1.0


@dataclass
class GuardSettings:
    """How closely to watch."""

    pace: Pace = field(default_factory=Pace)
    sites: bool = False
    """Also report every call that is known to block, however short; Python 3.12."""
    files: bool = False
    """With ``sites``: opening and listing files counts too."""
    package: str = ""
    """The application's package, if it is installed like a library."""


class Guard:
    """Watches one event loop.  ``start`` and ``stop`` it in the loop's thread.

    ``request_of(stack)`` says what a stack of frames is serving; by default the
    ``scope`` of an ASGI application in it does.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: GuardSettings | None = None,
        request_of: RequestOf = request_of,
    ) -> None:
        self.settings = settings or GuardSettings()
        self._loop = loop
        self._request_of = request_of
        self._origins = Origins(self.settings.package)
        self._seen: dict[tuple[CodeType, int], Sighting] = {}  # in the stall that lasts
        self._sites: CallSites | None = None  # None unless asked for, and running
        self._recorded: list[BlockingCall] = []  # of runs before
        self._thread: threading.Thread | None = None  # None unless running
        self._running = threading.Lock()  # held while running; a new one for each run
        self._stalls = Stalls(time.monotonic)

    def start(self) -> None:
        """Begin to watch.  Raises ``UsageError`` if the guard is running."""
        if self._thread is not None:
            raise UsageError("the guard is running")
        heartbeat = Heartbeat(
            LoopThread(self._loop),
            self.settings.pace,
            self._on_sample,
            self._on_end,
            self._on_alarm,
        )
        self._running = threading.Lock()
        self._running.acquire()
        self._thread = threading.Thread(
            target=self._run, args=(heartbeat, self._running), name="tidegate-guard", daemon=True
        )
        self._thread.start()
        if self.settings.sites:
            self._sites = CallSites(self._origins, self.settings.files)
            self._sites.start()

    def stop(self) -> None:
        """Stop watching; a stall that lasts is not reported.  Harmless if not running."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._sites is not None:
            self._sites.stop()
            self._recorded += self._sites.report()
            self._sites = None
        self._running.release()
        thread.join(_STOP_SECONDS)

    def report(self) -> list[Stall]:
        """Return one record for each line that blocked the loop, the worst first.

        From any thread; the records are copies.
        """
        return self._stalls.report()

    def sites(self) -> list[BlockingCall]:
        """Return the calls that are known to block, in the order they were first made."""
        return self._recorded + (self._sites.report() if self._sites is not None else [])

    def _run(self, heartbeat: Heartbeat, running: threading.Lock) -> None:
        try:
            # Waiting for a lock costs half of waiting for an event.
            while not running.acquire(timeout=self.settings.pace.poll):
                if self._loop.is_closed():
                    break
                heartbeat.look()
                self._stalls.sum_up()
        except Exception:
            if not self._loop.is_closed():
                logger.exception("The guard of the event loop failed; it no longer watches")

    def _on_sample(self, frame: FrameType, seconds: float) -> None:
        stack = stack_of(frame)
        index = self._origins.nearest(stack)
        nearest = stack[index]
        key = nearest.f_code, nearest.f_lineno or 0
        sighting = self._seen.get(key)
        if sighting is None:
            sighting = self._seen[key] = Sighting(
                line_of(nearest),
                line_of(frame),
                tuple(names_below(stack[index:])),
                self._request_of(stack),
            )
        sighting.seconds += seconds
        sighting.samples += 1

    def _on_end(self, blocked: Blocked | None) -> None:
        if not self._seen:
            return
        seen, self._seen = self._seen, {}
        if blocked is not None:
            worst = max(seen.values(), key=lambda sighting: sighting.seconds)
            samples = sum(sighting.samples for sighting in seen.values())
            self._stalls.add(worst, blocked.seconds, samples, blocked.computed)

    def _on_alarm(self, seconds: float) -> None:
        logger.error(
            "Event loop blocked for %.0f s and counting; all threads:\n%s", seconds, _all_stacks()
        )


def _all_stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    texts = []
    for ident, frame in sys._current_frames().items():
        lines = "".join(traceback.format_stack(frame))
        texts.append(f"Thread {names.get(ident, ident)}:\n{lines}")
    return "\n".join(texts)
