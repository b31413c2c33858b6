"""How often, how long, and on which line was the event loop blocked?

Stalls of one line become one record: a fault that shows a thousand times a
minute is one line of the log, and one row of a table.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from .advice import async_map, in_general
from .frames import Line

__all__ = ["Sighting", "Stall", "Stalls"]

logger = logging.getLogger("tidegate.error")

# Further lines take the place of those that cost least.
_MAX_LINES = 500

_SUMMARY_SECONDS = 60.0


@dataclass(slots=True)
class Sighting:
    """Where the thread of the loop stood, and what it had called there."""

    line: Line
    innermost: Line
    names: tuple[str, ...]
    request: str | None
    seconds: float = 0.0
    samples: int = 0


@dataclass(slots=True)
class Stall:
    """Every time one line blocked the event loop."""

    file: str
    line: int
    function: str
    code: str
    """The text of the line."""
    call: str
    """What it called, by dotted name, if the table of advice knows it."""
    advice: str
    computed: bool
    """The last time it used the processor; otherwise it waited."""
    innermost: str
    """Where in a library the last time was spent."""
    request: str | None
    """What was being served the last time, if that is known."""
    count: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    samples: int = 0

    @property
    def waited(self) -> bool:
        """Say whether it waited, rather than computed."""
        return not self.computed

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}()"


class Stalls:
    """Adds up; writes a line of the log for each new line, and sums for known ones."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: dict[tuple[str, int], Stall] = {}
        self._summed_at = clock()
        self._unsaid: dict[tuple[str, int], tuple[int, float]] = {}  # times and seconds

    def report(self) -> list[Stall]:
        """Return copies of all records, those first that cost most; from any thread."""
        with self._lock:
            copies = [replace(stall) for stall in self._lines.values()]
        return sorted(copies, key=lambda stall: stall.seconds, reverse=True)

    def add(self, sighting: Sighting, seconds: float, samples: int, computed: bool) -> None:
        """Note one stall; ``samples`` is how often its stack was looked at."""
        key = sighting.line.file, sighting.line.line
        with self._lock:
            stall = self._lines.get(key)
            is_new = stall is None
            if stall is None:
                stall = self._lines[key] = _record(sighting, computed)
                self._forget_cheapest(key)
            stall.count += 1
            stall.seconds += seconds
            stall.longest = max(stall.longest, seconds)
            stall.samples += samples
            stall.computed = computed
            stall.innermost = str(sighting.innermost)
            stall.request = sighting.request
            copy = replace(stall)
        if is_new:
            _warn(copy, sighting, samples)
        else:
            times, total = self._unsaid.get(key, (0, 0.0))
            self._unsaid[key] = times + 1, total + seconds

    def sum_up(self) -> None:
        """Log, at most once a minute, what happened again on known lines."""
        now = self._clock()
        if not self._unsaid or now - self._summed_at < _SUMMARY_SECONDS:
            return
        self._summed_at = now
        unsaid, self._unsaid = self._unsaid, {}
        times = sum(count for count, _ in unsaid.values())
        total = sum(seconds for _, seconds in unsaid.values())
        (file, line), (count, seconds) = max(unsaid.items(), key=lambda item: item[1][1])
        text = "Event loop blocked %d more times, %.1f s in all; most at %s:%d (%d times, %.1f s)"
        logger.warning(text, times, total, file, line, count, seconds)

    def _forget_cheapest(self, newest: tuple[str, int]) -> None:
        if len(self._lines) > _MAX_LINES:
            others = (key for key in self._lines if key != newest)
            del self._lines[min(others, key=lambda key: self._lines[key].seconds)]


def _record(sighting: Sighting, computed: bool) -> Stall:
    call, advice = "", in_general(computed)
    found = async_map().first(sighting.names)
    if found is not None:
        call, row = found
        advice = row.text(call)
        if row.note:
            advice += f" ({row.note.rstrip('.')})"
    line = sighting.line
    return Stall(
        file=line.file,
        line=line.line,
        function=line.function,
        code=line.code,
        call=call,
        advice=advice,
        computed=computed,
        innermost=str(sighting.innermost),
        request=sighting.request,
    )


def _warn(stall: Stall, sighting: Sighting, samples: int) -> None:
    while_serving = f" while serving {stall.request}" if stall.request else ""
    below = "" if sighting.line == sighting.innermost else f" [in {sighting.innermost}]"
    logger.warning(
        "Event loop blocked %.0f ms at %s%s: %s%s [%s; %d of %d samples] Advice: %s",
        stall.longest * 1000,
        stall,
        while_serving,
        stall.code or "(no source)",
        below,
        "computed" if stall.computed else "waited",
        sighting.samples,
        samples,
        stall.advice,
    )
