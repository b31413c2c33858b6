"""Which worker processes does a pool have?  As many as it wants, whatever becomes of each.

The staff starts workers, notices how they end and starts others in their
place: at once after a crash, after a pause if they die while they start.  It
knows nothing of queues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from ...errors import WorkerCrashed
from .call import Call
from .channel import Frame
from .limits import ProcessLimits
from .output import logger
from .process import WorkerProcess

__all__ = ["Changes", "Staff", "StaffOwner"]

# A worker that dies while it starts must not be started again at once.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0

# What a worker that is no longer needed may take to end.
_END_TIMEOUT = 5.0


class StaffOwner(Protocol):
    """Whom the staff calls."""

    def on_free(self) -> None:
        """There may be a free worker."""

    def on_reply(self, worker: WorkerProcess, frame: Frame) -> None:
        """A worker has answered its call; take the call back, then free the worker."""

    def on_crash(self, call: Call, error: WorkerCrashed) -> None:
        """The worker that ran this call has ended."""

    def on_no_worker(self, error: Exception) -> None:
        """There is no worker, and the latest to be started failed with this error."""


class Changes:
    """Lets coroutines wait for a condition that callbacks bring about."""

    def __init__(self) -> None:
        self._next: asyncio.Future[None] | None = None

    def note(self) -> None:
        """Have conditions looked at again."""
        if self._next is not None:
            self._next.set_result(None)
            self._next = None

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds."""
        while not condition():
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            # Others may wait for the same future.
            await asyncio.shield(self._next)


class Staff:
    """The workers of one pool."""

    def __init__(
        self, name: str, limits: ProcessLimits, settings: dict[str, Any], owner: StaffOwner
    ) -> None:
        """``settings`` is sent to every worker that starts."""
        self._name = name
        self._limits = limits
        self._settings = settings
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._wanted = limits.workers + limits.spares
        self.workers: set[WorkerProcess] = set()
        """All that take calls, or will."""
        self._free: list[WorkerProcess] = []
        """Those without a call, the one used last at the end."""
        self._old: set[WorkerProcess] = set()
        """Those that go when another is ready."""
        self._leaving: set[WorkerProcess] = set()
        """Those that have only to end."""
        self.busy = self.crashes = self.recycled = 0
        self._failed_starts = 0
        self._pause: asyncio.TimerHandle | None = None
        self._closing = False
        self._begun = self._loop.create_future()
        self._changes = Changes()

    async def start(self) -> None:
        """Start all workers; return when they are ready, raise if one does not start."""
        self.fill()
        await self._begun

    def take(self) -> WorkerProcess | None:
        """Return a worker for a call, or None; then ``WorkerProcess.give`` and ``busy``."""
        if self._free and self.busy < self._limits.workers:
            return self._free.pop()
        return None

    def has_free(self) -> bool:
        """Say whether ``take`` returns a worker."""
        return bool(self._free) and self.busy < self._limits.workers

    def put_back(self, worker: WorkerProcess, is_old: bool) -> None:
        """A worker is free again; if it is old, it goes when another is ready."""
        self._free.append(worker)
        if is_old:
            self._old.add(worker)
            self.fill()
        if self._old:
            self._let_go()

    def replace(self, worker: WorkerProcess) -> None:
        """Kill a worker whose call nobody waits for."""
        self._dismiss(worker)
        worker.kill()
        self.fill()

    def fill(self) -> None:
        """Start as many workers as are missing."""
        while len(self.workers) - len(self._old) < self._wanted:
            if self._closing or self._pause is not None:
                return
            try:
                self.workers.add(WorkerProcess(self._name, self._settings, self))
            except OSError as error:
                self._on_failed_start(error)

    async def end(self) -> None:
        """End all workers, which must be free; those that do not end are killed."""
        self.close()
        for worker in list(self.workers):
            self._retire(worker)
        await self._changes.until(lambda: not self._leaving)

    def close(self) -> None:
        """Start no more workers."""
        self._closing = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def kill(self) -> None:
        """Block until nothing is left of any worker."""
        self.close()
        for worker in [*self.workers, *self._leaving]:
            self._forget(worker)
            worker.wait()
        self._leaving.clear()
        self._changes.note()

    def on_ready(self, worker: WorkerProcess) -> None:
        """A worker has started."""
        if worker not in self.workers:
            return
        self._failed_starts = 0
        self._free.append(worker)
        self._let_go()
        if self._ready() >= self._wanted and not self._begun.done():
            self._begun.set_result(None)
        self._owner.on_free()

    def on_reply(self, worker: WorkerProcess, frame: Frame) -> None:
        """A worker has answered."""
        if worker in self.workers:
            self._owner.on_reply(worker, frame)

    def on_end(self, worker: WorkerProcess) -> None:
        """A process has ended."""
        if worker in self._leaving:
            self._leaving.discard(worker)
            self._changes.note()
            return
        call = worker.call
        self._forget(worker)
        if worker.calls == 0:
            self._on_failed_start(worker.start_error or worker.crash("before its first call"))
        else:
            self.crashes += 1
            error = worker.crash(f"while it ran {call.name}" if call else "between two calls")
            logger.error("pool %s: %s", self._name, error)
            if call is not None:
                self._owner.on_crash(call, error)
        self.fill()
        self._owner.on_free()

    def _on_failed_start(self, error: Exception) -> None:
        if not self._begun.done():
            self._closing = True
            self._begun.set_exception(error)
            return
        pause = min(_FIRST_PAUSE * 2.0**self._failed_starts, _LONGEST_PAUSE)
        self._failed_starts += 1
        logger.error(
            "pool %s: a worker does not start; next try in %.1f s",
            self._name,
            pause,
            exc_info=error,
        )
        if self._pause is None and not self._closing:
            self._pause = self._loop.call_later(pause, self._on_pause_over)
        if not self._ready():
            # Nobody knows whether there will ever be one.
            self._owner.on_no_worker(error)

    def _on_pause_over(self) -> None:
        self._pause = None
        self.fill()

    def _let_go(self) -> None:
        """End old workers, as far as others have taken their place."""
        for worker in self._old.intersection(self._free):
            if self._ready() > self._wanted:
                self.recycled += 1
                self._retire(worker)

    def _ready(self) -> int:
        return sum(worker.ready for worker in self.workers)

    def _retire(self, worker: WorkerProcess) -> None:
        self._dismiss(worker)
        worker.retire(_END_TIMEOUT)

    def _dismiss(self, worker: WorkerProcess) -> None:
        self._forget(worker)
        self._leaving.add(worker)

    def _forget(self, worker: WorkerProcess) -> None:
        if worker.take_back() is not None:
            self.busy -= 1
        self.workers.discard(worker)
        self._old.discard(worker)
        if worker in self._free:
            self._free.remove(worker)
