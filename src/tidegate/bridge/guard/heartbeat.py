"""Is the event loop turning, and if not, where does it stand?

A beat is a callback that the loop runs in its turn.  While one is not
answered, the stack of the loop's thread is looked at.  The loop itself pays
for some beats a second, and for none of its requests.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Protocol

from ...errors import ConfigError

__all__ = ["Blocked", "Heartbeat", "LoopThread", "Pace", "Watched"]

MAX_SAMPLES = 50

# An idle loop is woken no more often than this.
_IDLE_SECONDS = 0.25

# Past the first samples, each comes after this share of the time so far: 50
# samples cover 25 ms as well as 10 s.
_SPREAD = 0.1

# A look that comes later than this was kept from coming.
_LATE = 0.1

# Of its time a thread that waits computes next to nothing, and one that
# computes gets at least this share, on a machine that is not overrun.
_COMPUTING = 0.2

# Who lets nobody else run computes for nearly all of the time.
_HOLDING = 0.8


@dataclass
class Pace:
    """Times in seconds."""

    threshold: float = 0.1
    """A loop that does not turn for so long is blocked."""
    poll: float = 0.025
    """Between two looks at the loop."""
    alarm: float = 10.0
    """A loop that is blocked for so long may never turn again."""

    def __post_init__(self) -> None:
        for name in ("threshold", "poll", "alarm"):
            value = getattr(self, name)
            if not value > 0:
                raise ConfigError(f"{name} must be more than 0 seconds, not {value!r}")


class Watched(Protocol):
    """A loop and its thread, as the heartbeat sees them."""

    def post(self, beat: Callable[[], None]) -> None:
        """Have ``beat`` called on the loop.  Raises ``RuntimeError`` if the loop is closed."""

    def frame(self) -> FrameType | None:
        """Return the innermost frame of the thread."""

    def cpu(self) -> float | None:
        """Return how long the thread has computed; None if the system does not say."""

    def now(self) -> float:
        """Return the time of a clock that never goes back."""


class LoopThread:
    """The loop that runs, or is about to run, in the calling thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ident = threading.get_ident()
        # Asked for while the thread is sure to live: for a dead one this may crash.
        get_clock = getattr(time, "pthread_getcpuclockid", None)
        self._cpu_clock: int | None = get_clock(self._ident) if get_clock else None

    def post(self, beat: Callable[[], None]) -> None:
        """Have ``beat`` called on the loop.  Raises ``RuntimeError`` if the loop is closed."""
        self._loop.call_soon_threadsafe(beat)

    def frame(self) -> FrameType | None:
        """Return the innermost frame of the thread."""
        return sys._current_frames().get(self._ident)

    def cpu(self) -> float | None:
        """Return how long the thread has computed; None if the system does not say."""
        if self._cpu_clock is None:
            return None
        try:
            return time.clock_gettime(self._cpu_clock)
        except OSError:  # the thread has ended
            return None

    def now(self) -> float:
        """Return the time of a clock that never goes back."""
        return time.monotonic()


@dataclass(slots=True)
class Blocked:
    """One stall that is over; ``seconds`` is the least it can have lasted."""

    seconds: float
    computed: bool


class Heartbeat:
    """Beats, and looks.  ``look`` is to be called every ``pace.poll`` seconds.

    ``on_sample(frame, seconds)`` hears where the thread stands while a beat is
    not answered, ``on_end(blocked)`` when it is, with None if that did not take
    long; ``on_alarm(seconds)`` once in a stall that takes too long.
    """

    def __init__(
        self,
        watched: Watched,
        pace: Pace,
        on_sample: Callable[[FrameType, float], None],
        on_end: Callable[[Blocked | None], None],
        on_alarm: Callable[[float], None],
    ) -> None:
        self._watched = watched
        self._pace = pace
        self._on_sample = on_sample
        self._on_end = on_end
        self._on_alarm = on_alarm
        self._runner: CodeType | None = None  # who calls callbacks; None until the first beat
        self._pending = False  # a beat is under way
        self._posted = float("-inf")
        self._answered: float | None = None  # None until the beat under way is answered
        self._looked = watched.now()
        self._cpu = watched.cpu()  # at the last look
        # Of the beat under way.
        self._since = 0.0
        self._computed = 0.0
        self._samples = 0
        self._sampled = 0.0
        self._alarmed = False

    def look(self) -> None:
        """Look once.  Raises ``RuntimeError`` if the loop is closed."""
        now, cpu = self._watched.now(), self._watched.cpu()
        gap = now - self._looked
        computed = gap if self._cpu is None or cpu is None else cpu - self._cpu
        self._looked, self._cpu = now, cpu
        late = gap > self._pace.poll + max(self._pace.threshold, _LATE)
        if late and computed < gap * _COMPUTING:
            # Not the thread of the loop held up us both: the process was
            # stopped, or had no processor.  That is no line's fault.
            self._since += gap
        if self._pending:
            self._computed += computed
            if self._answered is None:
                self._sample(now)
                self._alarm(now)
                return
            self._end(self._answered)
        self._beat(now, gap if late and computed >= gap * _HOLDING else 0.0)

    def _beat(self, now: float, held: float) -> None:
        """Post the next beat; ``held`` is for how long the thread let nobody run."""
        frame = self._watched.frame()
        is_idle = frame is None or self._is_resting(frame.f_code)
        if is_idle and now - self._posted < _IDLE_SECONDS:
            return
        held = 0.0 if is_idle else held
        self._pending, self._posted, self._answered = True, now, None
        self._since = now - held
        self._computed = held
        self._samples = 0
        self._sampled = self._since
        self._alarmed = False
        if held and frame is not None:
            self._note(frame, now)
        self._watched.post(self._answer)

    def _answer(self) -> None:
        """The beat, on the loop."""
        if self._runner is None:
            self._runner = sys._getframe(1).f_code
        self._answered = self._watched.now()

    def _is_resting(self, code: CodeType) -> bool:
        """Say whether a thread that stands here runs no callback."""
        return code is self._runner or code.co_filename == selectors.__file__

    def _sample(self, now: float) -> None:
        spread = max(0.0, (self._sampled - self._since) * _SPREAD)
        if self._samples >= MAX_SAMPLES or now - self._sampled < spread:
            return
        frame = self._watched.frame()
        # At rest: it is about to wake up, when it gets a processor.
        if frame is not None and not self._is_resting(frame.f_code):
            self._note(frame, now)

    def _note(self, frame: FrameType, now: float) -> None:
        self._on_sample(frame, now - self._sampled)
        self._samples += 1
        self._sampled = now

    def _alarm(self, now: float) -> None:
        seconds = now - self._since
        if seconds >= self._pace.alarm and not self._alarmed:
            self._alarmed = True
            self._on_alarm(seconds)

    def _end(self, answered: float) -> None:
        self._pending = False
        seconds = answered - self._since
        if seconds < self._pace.threshold:
            self._on_end(None)
        else:
            self._on_end(Blocked(seconds, self._computed >= seconds * _COMPUTING))
