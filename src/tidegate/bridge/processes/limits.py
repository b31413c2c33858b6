"""How large may a pool become, and what has it done so far?"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ...errors import ConfigError

__all__ = ["CallOptions", "PoolMetrics", "ProcessLimits"]

MIB = 1024 * 1024


def _usable_cores() -> int:
    # Not cpu_count: a container or `taskset` may allow fewer.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class ProcessLimits:
    """Limits of a pool of processes.  Sizes are bytes, times are seconds."""

    workers: int = field(default_factory=_usable_cores)
    """Calls that may run at the same time; by default one for each usable core."""
    spares: int = 0
    """Processes kept ready to take the place of one that is killed or crashes."""
    max_queue: int = 1000
    """Calls that may wait for a worker; one more raises ``PoolFull``."""
    max_tasks: int | None = None
    """A worker that has made this many calls is replaced."""
    max_rss: int | None = None
    """A worker that holds more memory than this after a call is replaced."""
    deadline: float | None = None
    """What a call may take, waiting included, if it does not say itself."""
    max_message_size: int = 256 * MIB
    """The largest arguments, and the largest result, in pickled form."""
    shared_size: int = 1 * MIB
    """Messages above this size go through shared memory."""
    start_timeout: float = 60.0
    """What a worker may take to start, imports and setup included."""
    close_timeout: float = 10.0
    """What calls may still take when the pool is closed."""

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` that names the limit and the value found."""
        for name, least in (("workers", 1), ("max_message_size", 1024), ("max_tasks", 1)):
            self._check(name, least)
        for name in ("spares", "max_queue", "max_rss", "deadline", "shared_size", "close_timeout"):
            self._check(name, 0)

    def _check(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if value is not None and value < least:
            raise ConfigError(f"{name} {value!r}: choose {least} or more")


@dataclass
class CallOptions:
    """What one call asks of a pool."""

    deadline: float | None = None
    """Seconds from the call to its result, waiting included; None for no limit."""
    retries: int = 0
    """How often to try again after a crash of the worker; for idempotent functions."""


@dataclass
class PoolMetrics:
    """A pool at one moment.  The last five only grow."""

    workers: int
    """Processes that can take a call or are starting, spares included."""
    busy: int
    """Calls that run."""
    queued: int
    """Calls that wait."""
    calls: int
    """Calls that were given to a worker."""
    crashes: int
    """Workers that ended by themselves."""
    deadlines: int
    """Calls whose time was over."""
    cancelled: int
    """Calls that were cancelled."""
    recycled: int
    """Workers replaced for their age or their size."""
