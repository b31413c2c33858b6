"""Which line of the application is this stack about, and which request?

A stall shows where code stands, mostly deep in a library.  What its author can
change is the innermost line of the application itself.
"""

from __future__ import annotations

import asyncio
import gc
import linecache
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["Line", "Origins", "line_of", "request_of", "stack_of", "stack_of_task"]

_TIDEGATE = str(Path(__file__).parents[2]) + "/"
_STANDARD = tuple({str(Path(sysconfig.get_path(name))) + "/" for name in ("stdlib", "platstdlib")})
_INSTALLED = ("/site-packages/", "/dist-packages/")

# What calls callbacks, or a loop that does: uvloop's own frames do not show.
_RUNNERS = ("Handle._run", "Runner.run", "BaseEventLoop.run_forever")

# How near to the author of the application; the nearest frame of a stack counts.
_APPLICATION, _LIBRARY, _INTERPRETER = range(3)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of source."""

    file: str
    line: int
    function: str

    @property
    def code(self) -> str:
        """The text of the line, if its file can be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}()"


class Origins:
    """Tells code of the application from that of libraries."""

    def __init__(self, package: str = "") -> None:
        """``package`` is the application's own, if it is installed like a library."""
        self._package = package
        self._known: dict[str, int] = {}

    def nearest(self, stack: list[FrameType]) -> int:
        """Return the index of the innermost frame of the application.

        If it has none, that of the innermost library, or else the innermost of
        all.  The stack has its outermost frame first.
        """
        best, distance = len(stack) - 1, _INTERPRETER
        for index in range(len(stack) - 1, -1, -1):
            found = self._distance(stack[index])
            if found < distance:
                best, distance = index, found
            if distance == _APPLICATION:
                break
        return best

    def is_application(self, frame: FrameType) -> bool:
        """Say whether the application's own code runs in a frame."""
        return self._distance(frame) == _APPLICATION

    def _distance(self, frame: FrameType) -> int:
        file = frame.f_code.co_filename
        known = self._known.get(file)
        if known is None:
            known = self._known[file] = self._judge(file, frame.f_globals.get("__name__"))
        return known

    def _judge(self, file: str, module: object) -> int:
        top = str(module).partition(".")[0]
        if self._package and top == self._package:
            return _APPLICATION
        path = file.replace("\\", "/")
        if path.startswith(("<frozen", _TIDEGATE)):
            return _INTERPRETER
        if any(part in path for part in _INSTALLED):
            return _LIBRARY
        return _INTERPRETER if path.startswith(_STANDARD) else _APPLICATION


def stack_of(frame: FrameType) -> list[FrameType]:
    """Return the stack that ends with a frame, outermost frame first.

    It begins with what the event loop called, if there is one: who runs the
    loop is not to blame.
    """
    stack = [frame]
    while frame.f_back is not None and not _runs_a_loop(frame.f_back):
        frame = frame.f_back
        stack.append(frame)
    return stack[::-1]


def line_of(frame: FrameType) -> Line:
    """Return the line that a frame stands at."""
    return Line(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_qualname)


def request_of(stack: list[FrameType]) -> str | None:
    """Return method and path of the request that a stack serves; None if it shows none.

    Every ASGI application is called with a ``scope``, so the stack knows, and
    no request pays for noting it.
    """
    for frame in stack:
        code = frame.f_code
        if "scope" not in code.co_varnames[: code.co_argcount]:
            continue
        scope = frame.f_locals.get("scope")
        if isinstance(scope, dict) and "path" in scope:
            method = scope.get("method") or str(scope.get("type", "")).upper()
            return f"{method} {scope['path']}"
    return None


def _runs_a_loop(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_qualname in _RUNNERS and "asyncio" in code.co_filename


def stack_of_task(task: asyncio.Task[Any]) -> list[FrameType]:
    """Return the frames of a suspended task, the outermost first; none once it is done."""
    frames: list[FrameType] = []
    inner: Any = task.get_coro()
    while inner is not None:
        frame = _one_of(inner, "cr_frame", "ag_frame", "gi_frame")
        if frame is not None:
            frames.append(frame)
        inner = _one_of(inner, "cr_await", "ag_await", "gi_yieldfrom")
        if type(inner).__name__ == "coroutine_wrapper":
            # Compiled coroutines wait for others in one; it does not say for whom.
            (inner,) = gc.get_referents(inner)
    return frames


def _one_of(of: object, *attributes: str) -> Any:
    found = (getattr(of, name, None) for name in attributes)
    return next((each for each in found if each is not None), None)
