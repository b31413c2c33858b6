"""Work for one thread that is held: by a lease, or by what it waits for itself.

A chain of calls goes from coroutine to thread to coroutine and on.  If its last
link had to find a free thread while its first ones each hold one, a full pool
would wait for itself.  So the chain is known to the coroutines in it, and what
they call in the same pool may run in the thread that they hold already.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from queue import Empty, SimpleQueue

from .call import Call

__all__ = ["HELD", "Inbox", "held_inbox"]

# How soon a thread notices that the loop it serves was closed under it; seconds.
_PATIENCE = 5.0


class Inbox:
    """Jobs for one thread, in order.  ``serve`` is for the thread, the rest for the loop."""

    __slots__ = ("_queue", "closed", "loop", "outer", "pool", "waiting")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, pool: object, outer: Inbox | None = None
    ) -> None:
        """``outer`` is the next link of the chain."""
        self.loop = loop
        self.pool = pool
        self.outer = outer
        self.waiting = 0  # calls that were put here and are not done
        self.closed = False
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def put(self, call: Call) -> None:
        """Have the call made by the thread; not after ``close``."""
        self.waiting += 1
        call.on_done = self._on_done
        self._queue.put(call)

    def close(self) -> None:
        """Let the thread go when it has done what it has."""
        if not self.closed:
            self.closed = True
            self._queue.put(None)

    def serve(self) -> None:
        """Do what comes until ``close``, or until the loop is closed."""
        while True:
            try:
                job = self._queue.get(timeout=_PATIENCE)
            except Empty:
                if self.loop.is_closed():
                    return
                continue
            if job is None:
                return
            job()
            del job

    def _on_done(self) -> None:
        self.waiting -= 1


HELD: contextvars.ContextVar[Inbox | None] = contextvars.ContextVar("tidegate_held", default=None)
"""The innermost link of the chain that the present coroutine is in."""


def held_inbox(pool: object, loop: asyncio.AbstractEventLoop) -> Inbox | None:
    """Return the inbox of the thread of this pool that the present coroutine holds, if any."""
    inbox = HELD.get()
    while inbox is not None:
        if inbox.pool is pool and inbox.loop is loop and not inbox.closed:
            return inbox
        inbox = inbox.outer
    return None
