"""Synchronous code called from coroutines: in whose threads, how many, how long?

A pool has threads of its own, so that one kind of work cannot take the threads
of another: the event loop's default executor also resolves host names.  What
does not fit is refused rather than kept waiting for ever.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, TypeVarTuple

from ..errors import ConfigError, PoolClosed, PoolFull
from .call import Call
from .context import here, take_over
from .crew import Crew, Entry
from .inbox import HELD, Inbox, held_inbox
from .lease import Lease
from .ledger import Abandoned, Ledger, stack
from .mailbox import mailbox_of

__all__ = ["PoolFull", "PoolMetrics", "ThreadLimits", "ThreadPool"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@dataclass
class ThreadLimits:
    """How much a pool may take on; times in seconds."""

    threads: int = 40
    max_queue: int = 1000
    """Calls that wait for a thread; one more is refused."""
    max_wait: float | None = None
    """In the queue; a call that waits longer is refused.  None: no limit."""
    max_abandoned: int = 40
    """Threads that may be started in the place of those whose caller has stopped waiting."""
    report_after: float = 10.0
    """When the stack of a thread is logged, counted from when its caller stopped waiting."""

    def __post_init__(self) -> None:
        for name, least in (("threads", 1), ("max_queue", 0), ("max_abandoned", 0)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"{name} must be at least {least}, not {value!r}")


@dataclass(frozen=True, slots=True)
class PoolMetrics:
    """A pool at one moment; waits in seconds, of the last 1024 calls that found a thread."""

    threads: int
    """Those that were started; there may be more."""
    busy: int
    queued: int
    wait_p50: float
    wait_p99: float
    abandoned: int
    """Busy ones whose caller has stopped waiting."""


class ThreadPool:
    """Named threads that run what coroutines must not wait for themselves."""

    def __init__(
        self,
        name: str = "default",
        limits: ThreadLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.limits = limits or ThreadLimits()
        self._crew = Crew(name, self.limits.threads, self._enter, clock)
        self._ledger = Ledger(clock, self.limits.report_after, self._resize)
        self._closed = False
        self._stirring: asyncio.AbstractEventLoop | None = None  # which is about to wake a thread

    def run(
        self,
        function: Callable[[*Ts], T],
        /,
        *args: *Ts,
        propagate: Literal["in", "both"] = "in",
    ) -> Coroutine[Any, Any, T]:
        """Call ``function(*args)`` in a thread and return what it returns.

        The function sees the context variables of the caller; with
        ``propagate="both"`` the caller also sees those that it changed, if it
        returns.  When the caller is cancelled it stops waiting at once, and
        ``cancelled()`` is true in the thread.  Raises what the function raises,
        ``PoolFull`` and ``PoolClosed``.
        """
        # Not a coroutine function: one around another costs every call a little.
        return self.perform(function, args, propagate, None)

    def submit(self, job: Callable[[], object]) -> None:
        """Have ``job`` called in a thread; what it raises is logged.

        Raises ``PoolFull`` and ``PoolClosed``.
        """
        self.put(job)

    def lease(self) -> Lease:
        """Return a lease: ``async with pool.lease() as lease`` holds one thread."""
        return Lease(self)

    def metrics(self) -> PoolMetrics:
        """Return figures of this moment; from any thread."""
        crew = self._crew
        waits = sorted(crew.waits.copy()) or [0.0]
        return PoolMetrics(
            threads=len(crew.threads),
            busy=len(crew.working),
            queued=len(crew.queue),
            wait_p50=waits[len(waits) // 2],
            wait_p99=waits[len(waits) * 99 // 100],
            abandoned=len(self._ledger),
        )

    def abandoned(self) -> list[Abandoned]:
        """Return the calls that go on although nobody waits for them."""
        return self._ledger.entries()

    def report(self) -> None:
        """Log the stacks of abandoned calls that are overdue; happens by itself."""
        self._ledger.report()

    def close(self, timeout: float) -> list[str]:
        """Refuse new work and do what is queued; return the stacks of threads that still run.

        It blocks for ``timeout`` seconds at most, so do not call it on the loop
        with more than 0.  What is still queued then raises ``PoolClosed``.
        """
        self._closed = True
        crew = self._crew
        crew.close()
        deadline = time.monotonic() + timeout
        threads = list(crew.threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if timeout > 0:
            self._drop()
        return [f"{one.name}:\n{stack(one.ident)}" for one in threads if one.is_alive()]

    # -- for leases ----------------------------------------------------------

    async def perform(
        self,
        function: Callable[[*Ts], T],
        args: tuple[*Ts],
        propagate: Literal["in", "both"],
        inbox: Inbox | None,
        context: contextvars.Context | None = None,
    ) -> T:
        """Do what ``run`` says; in a certain thread, if there is an inbox."""
        loop = asyncio.get_running_loop()
        if inbox is None and HELD.get() is not None:
            inbox = self._held(loop)
        if context is None:
            context = contextvars.copy_context()
        before = context.copy() if propagate == "both" else None
        future: asyncio.Future[T] = loop.create_future()
        call = Call(future, mailbox_of(loop), context, function, args, self._ledger)
        entry = timer = None
        if inbox is not None:
            inbox.put(call)
        else:
            entry = self.put(call, later=True)
            if self._stirring is not loop:
                # Once for all calls of this turn: a thread that is awake fights
                # for the interpreter with the loop that makes them.
                self._stirring = loop
                loop.call_soon(self._stir)
            if self.limits.max_wait is not None:
                timer = loop.call_later(self.limits.max_wait, self._expire, call, entry)
        try:
            result = await future
        except BaseException:
            if future.cancelled():
                self._abandon(call, entry, loop)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            # An exception's traceback leads here; let it lead no further, or it
            # would stay until the next collection, and all of its frames with it.
            del call, future, entry, timer, inbox
        if before is not None:
            take_over(before, context)
        return result

    def begin(
        self,
        function: Callable[..., T],
        args: tuple[Any, ...],
        context: contextvars.Context,
        inbox: Inbox,
    ) -> asyncio.Future[T]:
        """Start a call that is made whether somebody waits for it or not."""
        future: asyncio.Future[T] = inbox.loop.create_future()
        inbox.put(Call(future, mailbox_of(inbox.loop), context, function, args, self._ledger))
        return future

    def put(self, job: Callable[[], object], later: bool = False) -> Entry:
        """Queue a job; see ``Crew.put``.  Raises ``PoolFull`` and ``PoolClosed``."""
        crew, limits = self._crew, self.limits
        if self._closed:
            raise PoolClosed(f"the pool {self.name!r} is closed")
        if not crew.has_room():
            waiting = len(crew.queue)
            if waiting >= limits.max_queue:
                raise self._full(f"{waiting} calls wait for one of {crew.size} threads")
            if limits.max_wait is not None and crew.oldest() > limits.max_wait:
                raise self._full(f"a call waits for a thread since {crew.oldest():.1f} s")
            if len(self._ledger) >= crew.size:
                raise self._full(f"{crew.size} abandoned calls take every thread")
        return crew.put(job, later)

    def withdraw(self, entry: Entry) -> bool:
        """Take a job out of the queue; False if a thread was faster."""
        return self._crew.withdraw(entry)

    # -- private -------------------------------------------------------------

    def _stir(self) -> None:
        self._stirring = None
        self._crew.stir()

    def _enter(self) -> None:
        here().pool = self

    def _held(self, loop: asyncio.AbstractEventLoop) -> Inbox | None:
        """Return the inbox of the thread to use, if this coroutine holds one already."""
        inbox = held_inbox(self, loop)
        if inbox is not None and inbox.waiting and self._crew.has_room():
            return None
        return inbox

    def _full(self, reason: str) -> PoolFull:
        # As long as the next one has waited is a fair guess, and rarely too short.
        return PoolFull(f"the pool {self.name!r} is full: {reason}", max(1.0, self._crew.oldest()))

    def _expire(self, call: Call, entry: Entry) -> None:
        """The call has waited for a thread as long as it may."""
        if self._crew.withdraw(entry):
            call.fail(self._full(f"no thread was free for {self.limits.max_wait} s"))

    def _abandon(self, call: Call, entry: Entry | None, loop: asyncio.AbstractEventLoop) -> None:
        call.cancel()
        if entry is not None and self._crew.withdraw(entry):
            return
        # In an inbox it may not have begun; then it will see that it need not.
        if entry is not None or call.thread is not None:
            self._ledger.add(call, loop)

    def _resize(self) -> None:
        limits = self.limits
        self._crew.size = limits.threads + min(len(self._ledger), limits.max_abandoned)
        if self._crew.queue:
            self._crew.stir()

    def _drop(self) -> None:
        """Tell those who wait for a thread that they wait in vain."""
        queue = self._crew.queue
        while queue:
            _, job = queue.popleft()
            if isinstance(job, Call):
                job.fail(PoolClosed(f"the pool {self.name!r} was closed"))
