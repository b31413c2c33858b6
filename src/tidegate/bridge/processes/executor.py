"""A pool over any executor of ``concurrent.futures``: threads, interpreters, a cluster.

The calls, limits and errors are those of ``ProcessPool``, as far as an executor
allows: it cannot stop a call that runs, so a deadline or a cancellation only
stops the waiting for it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ...errors import DeadlineExceeded, PoolClosed, PoolFull, UsageError
from .context import call_apart, chosen_variables, current_values
from .interface import Pool
from .limits import CallOptions, PoolMetrics, ProcessLimits
from .reference import described

__all__ = ["ExecutorPool"]

R = TypeVar("R")


class ExecutorPool(Pool):
    """Runs plain functions wherever an executor runs them.

    ``connect`` makes the executor when the pool starts; it may block, so it is
    called in a thread.  Of the limits, ``max_queue``, ``deadline`` and
    ``close_timeout`` hold here; ``max_queue`` bounds the calls that wait or run
    beyond ``workers``.  A call with ``retries`` raises ``UsageError``.
    """

    def __init__(
        self,
        connect: Callable[[], concurrent.futures.Executor],
        name: str = "cpu",
        limits: ProcessLimits | None = None,
        *,
        context: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.limits = limits or ProcessLimits()
        self.options = CallOptions(self.limits.deadline)
        self._connect = connect
        self._variables = chosen_variables(context)
        self._executor: concurrent.futures.Executor | None = None
        self._closing = False
        # What was submitted and is not done, whether or not somebody waits.
        self._submitted: set[concurrent.futures.Future[Any]] = set()
        self._calls = self._deadlines = self._cancelled = 0

    async def start(self) -> None:
        """Make the executor.  Raises what making it raises."""
        if self._executor is not None:
            raise UsageError(f"pool {self.name!r} was started before: make another one")
        self._executor = await asyncio.to_thread(self._connect)

    async def perform(
        self,
        function: Callable[..., R],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions,
    ) -> R:
        """Make one call: what ``run`` does, without its types."""
        if options.retries:
            raise UsageError(
                f"retries={options.retries}: pool {self.name!r} cannot tell a crash from an error"
            )
        future = asyncio.wrap_future(self._submit(function, args, kwargs))
        try:
            await asyncio.wait([future], timeout=options.deadline)
            if future.done():
                return future.result()
            self._deadlines += 1
            raise DeadlineExceeded(
                f"{described(function)} was not done in {options.deadline} s;"
                " if it runs, it goes on, and its result is dropped"
            )
        except asyncio.CancelledError:
            self._cancelled += 1
            raise
        finally:
            future.cancel()
            # An exception's traceback leads here: let it lead no further.
            del future

    def _submit(
        self, function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> concurrent.futures.Future[R]:
        if self._executor is None:
            raise UsageError(f"pool {self.name!r} was not started")
        if self._closing:
            raise PoolClosed(f"pool {self.name!r} takes no more calls: it was closed")
        if len(self._submitted) >= self.limits.workers + self.limits.max_queue:
            raise PoolFull(f"pool {self.name!r}: {len(self._submitted)} calls are not done")
        values = current_values(self._variables)
        # In one object, so that no argument is taken for an option of the executor.
        job = functools.partial(call_apart, values, function, args, kwargs)
        future: concurrent.futures.Future[R] = self._executor.submit(job)
        self._calls += 1
        self._submitted.add(future)
        future.add_done_callback(self._submitted.discard)
        return future

    def metrics(self) -> PoolMetrics:
        """Return the state of the pool; an executor does not say what waits and what runs."""
        running = sum(future.running() for future in list(self._submitted))
        return PoolMetrics(
            workers=self.limits.workers,
            busy=running,
            queued=len(self._submitted) - running,
            calls=self._calls,
            crashes=0,
            deadlines=self._deadlines,
            cancelled=self._cancelled,
            recycled=0,
        )

    async def close(self, timeout: float | None = None) -> None:
        """Take no more calls, let the others end, then shut the executor down.

        Calls that do not run after ``timeout`` seconds, ``close_timeout`` of
        the limits unless given, are cancelled.  Those that run are left alone.
        """
        self._closing = True
        executor = self._executor
        if executor is None:
            return
        seconds = self.limits.close_timeout if timeout is None else timeout
        waiting = list(self._submitted)
        _, late = await asyncio.to_thread(concurrent.futures.wait, waiting, seconds)
        await asyncio.to_thread(executor.shutdown, not late, cancel_futures=bool(late))
