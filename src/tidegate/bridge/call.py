"""One call of a function in another thread, for a coroutine that awaits it.

The coroutine may stop waiting at any time; the thread cannot be stopped.  What
is left then is a flag for the function to look at, and an entry in the ledger.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from .context import here, show_asgiref
from .mailbox import Mailbox

__all__ = ["Call", "Remover"]

logger = logging.getLogger("tidegate.error")


class Remover(Protocol):
    """What a call tells that it has ended."""

    since: dict[Call, float]
    """What there is to remove; looked at after every call."""

    def remove(self, call: Call) -> None:
        """Forget the call, if it is known; in the thread that made it."""


class Call:
    """Runs in a thread; what comes out goes to a future, on the loop."""

    __slots__ = (
        *("_arguments", "_context", "_error", "_function", "_future", "_ledger", "_mailbox"),
        *("_result", "cancelled", "ended", "on_done", "tasks", "thread"),
    )

    def __init__(
        self,
        future: asyncio.Future[Any],
        mailbox: Mailbox,
        context: contextvars.Context,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        ledger: Remover,
    ) -> None:
        self.cancelled = False  # nobody waits
        self.ended = False
        self.thread: int | None = None  # its identifier; None until it started
        # Of coroutines that run for this call, to be cancelled with it.
        self.tasks: list[asyncio.Task[Any]] = []
        self.on_done: Callable[[], object] | None = None  # on the loop, at the very end
        self._future: asyncio.Future[Any] | None = future  # None once done
        self._mailbox = mailbox
        self._context = context
        self._function = function
        self._arguments = arguments
        self._ledger = ledger
        self._result: Any = None
        self._error: BaseException | None = None

    @property
    def name(self) -> str:
        """Where the function is defined: ``module.qualified_name``."""
        function = getattr(self._function, "func", self._function)  # of a partial
        name = getattr(function, "__qualname__", None) or type(function).__qualname__
        return f"{getattr(function, '__module__', None) or '?'}.{name}"

    # -- in the thread -------------------------------------------------------

    def __call__(self) -> None:
        """Make the call, unless nobody waits for it any more."""
        present = here()
        outer = present.call
        self.thread = threading.get_ident()
        if not self.cancelled:
            present.call = self
            present.loop = loop = self._mailbox.loop
            show_asgiref(loop, self.tasks)
            try:
                self._result = self._context.run(self._function, *self._arguments)
            except BaseException as error:
                # SystemExit too: it is for the caller, not for the thread.
                self._error = error
            present.call = outer
        # In this order: who writes this call into the ledger looks at ``ended`` then.
        self.ended = True
        if self._ledger.since:
            self._ledger.remove(self)
        self._mailbox.post(self._deliver)

    # -- on the loop ---------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Give the caller an error; for a call that will never be made, from any thread."""
        self.ended = True
        self._error = error
        self._mailbox.post(self._deliver)

    def cancel(self) -> None:
        """Nobody waits any more: tell the function, and coroutines that run for it."""
        self.cancelled = True
        for task in list(self.tasks):
            task.cancel()

    def _deliver(self) -> None:
        """Hand over what came out; this object holds nothing of it afterwards."""
        future, self._future = self._future, None
        error, self._error = self._error, None
        result, self._result = self._result, None
        on_done, self.on_done = self.on_done, None
        self._arguments = ()
        if on_done is not None:
            on_done()
        if future is None or future.done():
            if error is not None and not isinstance(error, asyncio.CancelledError):
                logger.error("Exception in a call nobody awaits: %s", self.name, exc_info=error)
        elif error is None:
            future.set_result(result)
        else:
            future.set_exception(_acceptable(error))


def _acceptable(error: BaseException) -> BaseException:
    """Return what a future accepts: it cannot carry a ``StopIteration``."""
    if not isinstance(error, StopIteration):
        return error
    failure = RuntimeError("a function called in a thread raised StopIteration")
    failure.__cause__ = error
    return failure
