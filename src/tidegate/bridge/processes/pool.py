"""A pool of processes that belongs to one event loop.

It gives each call to a free worker, one at a time, so that a worker that dies
takes its own call with it and no other.  A call that runs is stopped by killing
its worker: nothing else stops Python code that does not ask.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ...errors import (
    DeadlineExceeded,
    PoolClosed,
    PoolFull,
    Untransferable,
    UsageError,
    WorkerCrashed,
)
from .call import Call
from .channel import RETIRE, Frame, body_size, pack
from .context import check_values, chosen_variables, current_values
from .interface import Pool
from .limits import CallOptions, PoolMetrics, ProcessLimits
from .process import WorkerProcess
from .reference import described, name_culprit, reference
from .staff import Changes, Staff

__all__ = ["ProcessPool"]

R = TypeVar("R")


class ProcessPool(Pool):
    """Runs plain functions in worker processes.

    ``setup`` is called once in each worker, without arguments, before its
    first call.  ``context`` names the context variables that travel with a
    call, as ``package.module:variable``.  Raises ``ConfigError`` for a name
    that is none, ``Untransferable`` for a setup that workers could not find.
    """

    def __init__(
        self,
        name: str = "cpu",
        limits: ProcessLimits | None = None,
        *,
        setup: Callable[[], object] | None = None,
        context: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.limits = limits or ProcessLimits()
        self.options = CallOptions(self.limits.deadline)
        self._variables = chosen_variables(context)
        self._references: dict[Any, str] = {}
        self._settings: dict[str, Any] = {
            "setup": None if setup is None else reference(setup),
            # Of functions called so far: later workers import them before they are ready.
            "modules": set(),
            "max_rss": self.limits.max_rss,
            "max_message_size": self.limits.max_message_size,
            "shared_size": self.limits.shared_size,
            "start_timeout": self.limits.start_timeout,
        }
        self._staff: Staff | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._queue: OrderedDict[Call, None] = OrderedDict()
        self._changes = Changes()
        self._mean_seconds = 0.0
        self._calls = self._deadlines = self._cancelled = 0

    async def start(self) -> None:
        """Start all workers and wait until they are ready.

        Raises what the setup raises, ``WorkerCrashed`` if a worker ends before
        it is ready, ``UsageError`` if the pool was started before.
        """
        if self._staff is not None:
            raise UsageError(f"pool {self.name!r} was started before: make another one")
        self._loop = asyncio.get_running_loop()
        self._staff = Staff(self.name, self.limits, self._settings, self)
        try:
            await self._staff.start()
        except BaseException:
            self._closing = True
            self._staff.kill()
            raise

    async def perform(
        self,
        function: Callable[..., R],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions,
    ) -> R:
        """Make one call: what ``run`` does, without its types."""
        loop, staff = self._loop, self._staff
        if staff is None or loop is None or loop is not asyncio.get_running_loop():
            raise UsageError(f"pool {self.name!r} was not started in this event loop")
        if self._closing:
            raise PoolClosed(f"pool {self.name!r} takes no more calls: it was closed")
        if len(self._queue) >= self.limits.max_queue and not staff.has_free():
            raise self._full()
        target, parts = self._packed(function, args, kwargs)
        call = Call(target, parts, options, loop.create_future())
        if options.deadline is not None:
            call.timer = loop.call_later(options.deadline, self._on_deadline, call, options)
        self._queue[call] = None
        self.on_free()
        try:
            result: R = await call.future
            return result
        except asyncio.CancelledError:
            self._cancelled += 1
            self._stop(call)
            raise
        finally:
            call.end()
            # An exception's traceback leads here: let it lead no further.
            del call, parts

    def metrics(self) -> PoolMetrics:
        """Return the state of the pool."""
        staff = self._staff
        return PoolMetrics(
            workers=len(staff.workers) if staff else 0,
            busy=staff.busy if staff else 0,
            queued=len(self._queue),
            calls=self._calls,
            crashes=staff.crashes if staff else 0,
            deadlines=self._deadlines,
            cancelled=self._cancelled,
            recycled=staff.recycled if staff else 0,
        )

    async def close(self, timeout: float | None = None) -> None:
        """Take no more calls, let the others end, then end all workers.

        Calls that are not done after ``timeout`` seconds, ``close_timeout`` of
        the limits unless given, raise ``PoolClosed``; their workers are killed.
        """
        staff = self._staff
        if staff is None:
            return
        self._closing = True
        try:
            await self._drain(staff, self.limits.close_timeout if timeout is None else timeout)
            await staff.end()
        finally:
            # Something is left to do only if this task was cancelled.
            staff.close()
            self._fail_all(self._closed_too_early)
            staff.kill()

    def on_free(self) -> None:
        """Give waiting calls to free workers, the first come first."""
        staff = self._staff
        while self._queue and staff is not None and (worker := staff.take()):
            call, _ = self._queue.popitem(last=False)
            try:
                given = worker.give(call)
            except OSError as error:
                # No memory for the message; the worker does not know of it.
                call.fail(error)
                staff.put_back(worker, is_old=False)
                continue
            if given:
                staff.busy += 1
                self._calls += 1
            else:
                # The worker has ended, which is about to be noticed.
                self._put_first(call)

    def on_reply(self, worker: WorkerProcess, frame: Frame) -> None:
        """A worker has answered its call."""
        call, staff = worker.take_back(), self._staff
        if call is None or staff is None:
            return
        staff.busy -= 1
        call.finish(frame)
        self._mean_seconds += (worker.seconds() - self._mean_seconds) * 0.1
        is_old = bool(frame.flags & RETIRE) or worker.calls == self.limits.max_tasks
        staff.put_back(worker, is_old)
        self.on_free()
        self._changes.note()

    def on_crash(self, call: Call, error: WorkerCrashed) -> None:
        """The worker that ran this call has ended."""
        if call.retries and not call.future.done():
            call.retries -= 1
            self._put_first(call)
        else:
            call.fail(error)
        self._changes.note()

    def on_no_worker(self, error: Exception) -> None:
        """There is no worker, and the latest to be started failed."""

        def no_worker() -> WorkerCrashed:
            crash = WorkerCrashed(f"pool {self.name!r} has no worker, and a new one fails: {error}")
            crash.__cause__ = error
            return crash

        self._fail_all(no_worker)

    def _packed(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str, list[Any]]:
        """Return the name of the function and the pickled call."""
        try:
            target: str | Callable[..., Any] = self._references[function]
        except (KeyError, TypeError):
            target = self._refer(function)
        values = current_values(self._variables)
        try:
            parts = pack((target, args, kwargs, values))
        except Exception as error:
            check_values(values)
            raise name_culprit(function, args, kwargs, error) from error
        if body_size(parts) > self.limits.max_message_size:
            raise Untransferable(
                f"the arguments of {described(function)} are {body_size(parts)} bytes,"
                f" and max_message_size is {self.limits.max_message_size}"
            )
        return target if isinstance(target, str) else described(function), parts

    def _refer(self, function: Callable[..., Any]) -> str | Callable[..., Any]:
        target = reference(function)
        if isinstance(target, str):
            self._references[function] = target
            self._settings["modules"].add(target.partition(":")[0])
        return target

    def _full(self) -> PoolFull:
        seconds = max(0.1, self._mean_seconds * len(self._queue) / self.limits.workers)
        return PoolFull(
            f"pool {self.name!r}: {len(self._queue)} calls wait, max_queue is"
            f" {self.limits.max_queue}; there may be room in {seconds:.1f} s",
            retry_after=seconds,
        )

    def _put_first(self, call: Call) -> None:
        self._queue[call] = None
        self._queue.move_to_end(call, last=False)

    async def _drain(self, staff: Staff, timeout: float) -> None:
        """Return when no call waits or runs; fail those that take too long."""
        try:
            async with asyncio.timeout(timeout):
                await self._changes.until(lambda: not self._queue and not staff.busy)
        except TimeoutError:
            staff.close()
            self._fail_all(self._closed_too_early)

    def _stop(self, call: Call) -> None:
        """Nobody waits for this call any more: forget it, or kill its worker."""
        self._queue.pop(call, None)
        if call.worker is not None and self._staff is not None:
            self._staff.replace(call.worker)
        self.on_free()
        self._changes.note()

    def _on_deadline(self, call: Call, options: CallOptions) -> None:
        if call.future.done():
            return
        self._deadlines += 1
        what = "its worker was killed" if call.worker else "it was still waiting for a worker"
        call.fail(DeadlineExceeded(f"{call.name} was not done in {options.deadline} s: {what}"))
        self._stop(call)

    def _closed_too_early(self) -> PoolClosed:
        return PoolClosed(f"pool {self.name!r} was closed before the call was done")

    def _fail_all(self, error: Callable[[], Exception]) -> None:
        """Fail every call, whether it waits or runs."""
        queue, self._queue = self._queue, OrderedDict()
        workers = self._staff.workers if self._staff else ()
        running = [worker.call for worker in workers if worker.call is not None]
        for call in [*queue, *running]:
            call.fail(error())
            self._stop(call)
