"""How does synchronous code call a coroutine function, and wait for it?

``from_thread`` goes back to the loop that the thread works for; a ``Portal`` is
a loop of its own, for programs that have none.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, TypeVarTuple, cast

from ..errors import PoolClosed, UsageError
from .call import Call
from .context import here, take_over
from .inbox import HELD, Inbox
from .mailbox import mailbox_of

__all__ = ["FromThread", "Portal", "from_thread"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class FromThread:
    """The way back from a thread of a pool to the loop; its only instance is ``from_thread``."""

    def run(
        self,
        function: Callable[[*Ts], Awaitable[T]],
        /,
        *args: *Ts,
        propagate: Literal["in", "both"] = "in",
    ) -> T:
        """Await ``function(*args)`` on the loop and return what it returns.

        Meanwhile this thread does what the coroutine calls in the same pool.
        Context variables go along, and come back with ``propagate="both"``.  If
        the caller of this thread stops waiting, the coroutine is cancelled.
        Raises what the function raises; ``UsageError`` in a thread that works
        for no loop, ``PoolClosed`` if the loop is closed.
        """
        return cast(T, _Errand(_loop_here(), function, args, True).wait(propagate))

    def call(self, function: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Call ``function(*args)`` on the loop and return what it returns.  Raises as ``run``."""
        return cast(T, _Errand(_loop_here(), function, args, False).wait("in"))


from_thread = FromThread()


class Portal:
    """A loop in a thread of its own, from ``with`` to its end."""

    def __init__(
        self,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
        name: str = "tidegate-portal",
    ) -> None:
        self._loop_factory = loop_factory
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None  # None unless running
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()

    def __enter__(self) -> Portal:
        self._thread.start()
        self._loop = self._ready.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cancel what still runs on the loop, and wait for its end."""
        loop, self._loop = self._running(), None
        mailbox_of(loop).post(self._stop.set)
        self._thread.join()

    def call(self, function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts) -> T:
        """Await ``function(*args)`` on the loop and return what it returns.

        Raises what it raises, and ``UsageError`` outside the ``with`` block or
        in a coroutine of this loop, which would wait for itself.
        """
        return cast(T, _Errand(self._running(), function, args, True).wait("in"))

    def start(self, function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts) -> Future[T]:
        """Begin to await ``function(*args)`` on the loop; to cancel the future cancels it there."""

        async def begin() -> T:
            return await function(*args)

        return asyncio.run_coroutine_threadsafe(begin(), self._running())

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise UsageError("a portal works between the start and the end of its with")
        if threading.current_thread() is self._thread:
            raise UsageError("this is the portal's own thread: await the coroutine instead")
        return self._loop

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._live())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _live(self) -> None:
        self._ready.set_result(asyncio.get_running_loop())
        await self._stop.wait()


class _Errand(Generic[T]):
    """One thing done on a loop for a thread that waits for it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        awaits: bool,
    ) -> None:
        self._function = function
        self._arguments = arguments
        self._awaits = awaits
        self._call = here().call  # what this thread is doing it for
        self._context = contextvars.copy_context()
        self._inbox = Inbox(loop, here().pool, self._context.get(HELD))
        self._result: Any = None
        # Until something better is known: the loop ended without a word.
        self._error: BaseException | None = PoolClosed("the event loop was closed")

    def wait(self, propagate: Literal["in", "both"]) -> Any:
        """Have it done, and do meanwhile what comes back; in the thread."""
        inbox, context = self._inbox, self._context
        before = context.copy()
        context.run(HELD.set, inbox)
        if mailbox_of(inbox.loop).post(self._start):
            inbox.serve()
        error, self._error = self._error, None
        result, self._result = self._result, None
        try:
            if error is not None:
                raise error
        finally:
            # Its traceback leads to this frame.
            del error
        context.run(HELD.set, before.get(HELD))
        if propagate == "both":
            take_over(before, context)
        return result

    # -- on the loop ---------------------------------------------------------

    def _start(self) -> None:
        if self._call is not None and self._call.cancelled:
            self._error = asyncio.CancelledError("the caller has stopped waiting")
            self._inbox.close()
        elif self._awaits:
            task = self._inbox.loop.create_task(self._await(), context=self._context)
            if isinstance(self._call, Call):
                self._call.tasks.append(task)
            task.add_done_callback(self._on_end)
        else:
            try:
                self._result = self._context.run(self._function, *self._arguments)
                self._error = None
            except BaseException as error:
                self._error = error
            self._inbox.close()

    async def _await(self) -> None:
        """Keep what comes out; SystemExit too, which would end the loop."""
        self._error = asyncio.CancelledError()
        try:
            self._result = await self._function(*self._arguments)
            self._error = None
        except BaseException as error:
            self._error = error

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            # Before its first step.
            self._error = asyncio.CancelledError()
        if isinstance(self._call, Call):
            self._call.tasks.remove(task)
        self._inbox.close()


def _loop_here() -> asyncio.AbstractEventLoop:
    """Return the loop that this thread works for."""
    loop = here().loop
    if loop is None:
        raise UsageError(
            "this thread works for no event loop: use from_thread in functions that were"
            " called with to_thread, and a Portal elsewhere"
        )
    return loop
