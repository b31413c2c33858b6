"""One call of a pool: what is sent, and what comes back."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

from ...errors import Untransferable
from .channel import ERROR, RESULT, Frame, Part
from .limits import CallOptions

if TYPE_CHECKING:
    from .process import WorkerProcess

__all__ = ["Call", "RemoteTraceback", "error_of"]


class RemoteTraceback(Exception):
    """The traceback of an exception where it was raised: the ``__cause__`` of the exception."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class Call:
    """A call that waits, runs or is done."""

    __slots__ = ("future", "parts", "retries", "target", "timer", "worker")

    def __init__(
        self, target: str, parts: list[Part], options: CallOptions, future: asyncio.Future[Any]
    ) -> None:
        self.target = target
        self.parts = parts
        self.retries = options.retries
        self.future = future
        self.timer: asyncio.TimerHandle | None = None
        self.worker: WorkerProcess | None = None
        """None unless the call runs."""

    @property
    def name(self) -> str:
        """What to call the function in a message."""
        return self.target.replace(":", ".")

    def end(self) -> None:
        """Leave nothing behind: the call is no longer awaited."""
        if self.timer is not None:
            self.timer.cancel()
        if self.future.done() and not self.future.cancelled():
            # Of a call that was cancelled in the moment it failed, nobody asks for the error.
            self.future.exception()

    def finish(self, frame: Frame) -> None:
        """Hand the answer of the worker to who waits for it."""
        if self.future.done():
            return
        if frame.kind == RESULT:
            try:
                self.future.set_result(frame.value())
            except Exception as error:
                refusal = Untransferable(
                    f"the result of {self.name} cannot be unpickled:"
                    f" {type(error).__name__}: {error}"
                )
                refusal.__cause__ = error
                self.fail(refusal)
        else:
            self.fail(error_of(frame, self.name))

    def fail(self, error: Exception) -> None:
        """Raise an error where the call is awaited."""
        if self.future.done():
            return
        if isinstance(error, StopIteration):
            # A future refuses it, and a coroutine could not raise it (PEP 479).
            wrapped = RuntimeError(f"{self.name} raised StopIteration")
            wrapped.__cause__ = error.__cause__
            error = wrapped
        self.future.set_exception(error)


def error_of(frame: Frame, function: str) -> Exception:
    """Return what a frame of kind ``ERROR`` or ``REFUSED`` says about a call."""
    error: Exception
    if frame.kind != ERROR:
        text, trace = frame.value()
        error = Untransferable(f"{function}: {text}")
    else:
        data, kind, text, trace = frame.value()
        error = _unpickled(data, f"{function} raised {kind}: {text}")
    error.__cause__ = RemoteTraceback(trace) if trace else None
    return error


def _unpickled(data: bytes | None, what: str) -> Exception:
    if data is None:
        return Untransferable(f"{what} (it stays in the worker)")
    try:
        error = pickle.loads(data)
    except Exception as reason:
        # Its class takes other arguments than it hands to Exception, perhaps.
        return Untransferable(f"{what} (it cannot be unpickled: {reason})")
    if isinstance(error, Exception):
        return error
    return Untransferable(f"{what} (it came back as a {type(error).__name__})")
