"""Does this very call block, here and now?  The rule for checks of single calls.

A callable that can block is in the table of advice; whether this call of it
can is asked of its receiver: a socket with a timeout of 0 never waits, nor
does a lock that is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from .advice import Advice, async_map
from .frames import Line, Origins, line_of, stack_of
from .names import name_of, names_below, refuses_to_wait

__all__ = ["BlockingCall", "BlockingCalls"]

_COROUTINE = 0x80 | 0x200  # inspect.CO_COROUTINE | CO_ASYNC_GENERATOR

_MAX_LINES = 1000

_LOCK = "threading.lock.acquire"

# What these wait for is never long.
_HARMLESS = ("threading.Thread.start", "importlib.", "linecache.")


@dataclass(frozen=True, slots=True)
class BlockingCall:
    """A line of the application that made a blocking call on an event loop."""

    file: str
    line: int
    function: str
    code: str
    """The text of the line."""
    call: str
    """What it called, by dotted name."""
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}(): {self.code or self.call}"


class BlockingCalls:
    """Knows blocking calls when it sees them, and keeps one for each line, up to a limit."""

    def __init__(self, files: bool = False, origins: Origins | None = None) -> None:
        """``files`` makes opening, listing and reading files count."""
        self._files = files
        self._origins = origins or Origins()
        self._found: dict[Line, BlockingCall] = {}
        self._map = async_map()

    def find(self, frame: FrameType, function: Any, receiver: Any) -> tuple[str, Advice] | None:
        """Return name and row if ``frame`` calls what blocks; None if the call cannot block.

        ``receiver`` is what a method is called on, if it is not bound.
        """
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType) and code.co_flags & _COROUTINE:
            return None
        name = name_of(function, receiver)
        row = self.known(name)
        if row is None:
            return None
        receiver = getattr(function, "__self__", receiver)
        if name.startswith("socket.socket.") and not _waits(receiver):
            return None
        if name == _LOCK and not receiver.locked():
            return None
        if row.kind == "thread" and refuses_to_wait(frame):
            return None
        return name, row

    def known(self, name: str) -> Advice | None:
        """Return the row of a callable that can block."""
        row = self._map.blocking(name)
        return None if row is None or (row.kind == "file" and not self._files) else row

    def note(self, frame: FrameType, name: str, row: Advice) -> BlockingCall | None:
        """Keep what ``find`` found; return it if it is news of the application's own code."""
        stack = stack_of(frame)
        stack = stack[self._origins.nearest(stack) :]
        if not self._origins.is_application(stack[0]):
            return None  # the loop, or the server, at its own work
        line = line_of(stack[0])
        names = (*names_below(stack), name)
        if line in self._found or len(self._found) >= _MAX_LINES:
            return None
        if any(each.startswith(_HARMLESS) for each in names):
            return None
        # What the line itself calls says more than what that came down to.
        call, row = async_map().first(names) or (name, row)
        made = BlockingCall(line.file, line.line, line.function, line.code, call, row.text(call))
        self._found[line] = made
        return made

    def report(self) -> list[BlockingCall]:
        """Return what was kept, in the order of the first calls; from any thread."""
        return list(self._found.values())


def _waits(socket: Any) -> bool:
    try:
        return bool(socket.gettimeout() != 0)
    except OSError:
        return False
