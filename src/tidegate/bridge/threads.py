"""Which pools are there?  Their sizes are the process's, their threads a loop's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Literal, TypeVar, TypeVarTuple

from ..errors import UsageError
from .assignment import assignment_of
from .pool import PoolFull, PoolMetrics, ThreadLimits, ThreadPool

__all__ = [
    "PoolFull",
    "PoolMetrics",
    "Pools",
    "ThreadLimits",
    "ThreadPool",
    "pools",
    "to_thread",
]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Pools:
    """Named pools.  Each loop gets its own when it first asks, and closes them at its end."""

    def __init__(self) -> None:
        self._limits = {"default": ThreadLimits()}
        self._pools: dict[asyncio.AbstractEventLoop, dict[str, ThreadPool]] = {}
        self._guards: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}

    def configure(self, name: str, limits: ThreadLimits) -> None:
        """Say how large a pool is, unless the operator has said so.

        Loops that have asked for it already keep theirs.
        """
        self._limits[name] = limits

    def get(self, name: str = "default") -> ThreadPool:
        """Return a pool of the running loop.  Raises ``UsageError`` if no pool has this name."""
        loop = asyncio.get_running_loop()
        try:
            return self._pools[loop][name]
        except KeyError:
            return self._make(loop, name)

    def _make(self, loop: asyncio.AbstractEventLoop, name: str) -> ThreadPool:
        mine = self._pools.get(loop)
        if mine is None:
            mine = self._open(loop)
        pool = mine.get(name)
        if pool is None:
            told = assignment_of(name)
            limits = self._limits.get(name)
            if told is not None and told.kind == "thread":
                limits = ThreadLimits(threads=told.workers or 8, max_queue=told.max_queue)
            if limits is None:
                known = ", ".join(sorted(self._limits))
                raise UsageError(
                    f"there is no pool {name!r}, only {known}; pools.configure() makes one"
                )
            pool = mine[name] = ThreadPool(name, limits)
        return pool

    def metrics(self, loop: asyncio.AbstractEventLoop | None = None) -> dict[str, PoolMetrics]:
        """Return the figures of each pool of a loop, the running one by default."""
        mine = self._pools.get(loop or asyncio.get_running_loop(), {})
        return {name: pool.metrics() for name, pool in list(mine.items())}

    def close(self, timeout: float, loop: asyncio.AbstractEventLoop | None = None) -> list[str]:
        """Close the pools of a loop, together within ``timeout`` seconds; see ``ThreadPool.close``.

        It blocks, so call it in a thread unless the timeout is 0.  What asks for
        a pool afterwards gets a new one.
        """
        loop = loop or asyncio.get_running_loop()
        closing = self._pools.pop(loop, {})
        # The loop ends the guard at once, perhaps before this thread goes on: it finds nothing.
        self._guards.pop(loop, None)
        deadline = time.monotonic() + timeout
        stacks = []
        for pool in closing.values():
            stacks += pool.close(max(0.0, deadline - time.monotonic()))
        return stacks

    def _open(self, loop: asyncio.AbstractEventLoop) -> dict[str, ThreadPool]:
        for other in [other for other in self._pools if other.is_closed()]:
            self.close(0.0, other)
        guard = self._guard(loop)
        # Up to its yield.  The loop knows it from then on.
        try:
            guard.__anext__().send(None)
        except StopIteration:
            pass
        self._guards[loop] = guard
        return self._pools.setdefault(loop, {})

    async def _guard(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
        """Close the pools of a loop when it shuts down its asynchronous generators.

        That is the only way to learn that ``asyncio.run`` is about to end.
        """
        try:
            yield
        finally:
            self.close(0.0, loop)


pools = Pools()
"""The pools of this process."""


async def to_thread(
    function: Callable[[*Ts], T],
    /,
    *args: *Ts,
    pool: str = "default",
    propagate: Literal["in", "both"] = "in",
) -> T:
    """Call ``function(*args)`` in a thread of a named pool; see ``ThreadPool.run``."""
    return await pools.get(pool).run(function, *args, propagate=propagate)
