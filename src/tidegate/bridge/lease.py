"""Several calls in the same thread: for what a library keeps per thread.

Database connections of Django, sessions in a ``scoped_session`` and ``sqlite3``
connections belong to the thread that opened them.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar, TypeVarTuple

from ..errors import UsageError
from .crew import Entry
from .inbox import HELD, Inbox, held_inbox

if TYPE_CHECKING:
    from .pool import ThreadPool

__all__ = ["Lease"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Lease:
    """One thread of a pool, from ``async with`` to its end.  ``ThreadPool.lease`` makes it.

    Within the block also ``pool.run`` uses that thread while it is free, and a
    lease of the same pool is the same thread: who holds a thread never waits
    for another one.
    """

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = pool
        self._inbox: Inbox | None = None  # None outside the block
        self._entry: Entry | None = None  # None if the thread was held before
        # Of the context managers: what they set in it must be there when they leave.
        self._context = contextvars.copy_context()
        self._stack = ExitStack()
        self._entered = False

    async def __aenter__(self) -> Lease:
        """Take a thread; the first call waits for it.  Raises ``PoolFull``, ``PoolClosed``."""
        loop = asyncio.get_running_loop()
        inbox = held_inbox(self._pool, loop)
        if inbox is None:
            inbox = Inbox(loop, self._pool, HELD.get())
            self._entry = self._pool.put(inbox.serve)
            HELD.set(inbox)
        self._inbox = inbox
        return self

    async def run(
        self,
        function: Callable[[*Ts], T],
        /,
        *args: *Ts,
        propagate: Literal["in", "both"] = "in",
    ) -> T:
        """Call ``function(*args)`` in the leased thread; see ``ThreadPool.run``."""
        return await self._pool.perform(function, args, propagate, self._leased())

    async def enter(self, manager: AbstractContextManager[T]) -> T:
        """Enter a synchronous context manager in the leased thread; the lease leaves it.

        Those entered last are left first, in the same thread, and see an
        exception that ends the block.  All of them share one context, a copy of
        that in which the lease was made.
        """
        inbox = self._leased()
        self._entered = True
        enter = self._stack.enter_context
        return await self._pool.perform(enter, (manager,), "in", inbox, self._context)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Leave the context managers and give the thread back.

        If a call is still running that was cancelled, the thread does both when
        it is done, and nobody waits for it.
        """
        inbox = self._leased()
        self._inbox = None
        try:
            if not self._entered:
                return False
            leave = self._pool.begin(
                self._stack.__exit__, (kind, error, trace), self._context, inbox
            )
            if inbox.waiting > 1:
                leave.cancel()
                return False
            return bool(await asyncio.shield(leave))
        finally:
            del error, trace
            self._give_back(inbox)

    def _give_back(self, inbox: Inbox) -> None:
        if self._entry is None:
            return
        inbox.close()
        if not inbox.waiting:
            self._pool.withdraw(self._entry)
        if HELD.get() is inbox:
            HELD.set(inbox.outer)

    def _leased(self) -> Inbox:
        inbox = self._inbox
        if inbox is None:
            raise UsageError("a lease works between the start and the end of its async with")
        return inbox
