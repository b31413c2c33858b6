"""Does a test make blocking calls on the event loop?  Then it fails, and names them.

A pytest plugin that does nothing until asked: load it with
``pytest_plugins = ["tidegate.testing.blocking"]`` in the top ``conftest.py``,
then mark tests with ``@pytest.mark.no_blocking``, or check all of them with
``--no-blocking`` or ``no_blocking = true`` in the configuration.  Without
pytest's marks, ``no_blocking()`` checks a block of code.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import pytest

from ..bridge.guard.advice import Advice
from ..bridge.guard.blocking import BlockingCall, BlockingCalls
from ..bridge.guard.names import name_of_frame

__all__ = ["LoopBlocked", "no_blocking"]


class LoopBlocked(AssertionError):
    """Blocking calls were made on an event loop; ``calls`` says which."""

    def __init__(self, calls: list[BlockingCall]) -> None:
        count = "A blocking call was" if len(calls) == 1 else f"{len(calls)} blocking calls were"
        lines = "\n".join(f"  {call}\n    {call.advice}" for call in calls)
        super().__init__(f"{count} made on the event loop:\n{lines}")
        self.calls = calls


@contextmanager
def no_blocking(files: bool = False) -> Iterator[None]:
    """Note blocking calls on event loops of this thread, and of threads started meanwhile.

    With ``files``, opening and listing files counts.  Raises ``LoopBlocked`` at
    the end if there were any, unless the block itself raised.  Slows down every
    call made within.
    """
    watcher = _Watcher(files)
    before = sys.getprofile()
    threads_before = threading.getprofile()
    sys.setprofile(watcher)
    threading.setprofile(watcher)
    try:
        yield
    finally:
        sys.setprofile(before)
        threading.setprofile(threads_before)
    calls = watcher.blocking.report()
    if calls:
        raise LoopBlocked(calls)


class _Watcher:
    """A profile function, which the interpreter calls at every call."""

    def __init__(self, files: bool) -> None:
        self.blocking = BlockingCalls(files)
        self._harmless: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            found = self.blocking.find(frame, function, None)
        elif event == "call" and frame.f_code not in self._harmless:
            found = self._python_call(frame)
        else:
            return
        # A thread without a loop may block.
        if found is not None and asyncio._get_running_loop() is not None:
            self.blocking.note(frame, *found)

    def _python_call(self, frame: FrameType) -> tuple[str, Advice] | None:
        name = name_of_frame(frame)
        row = self.blocking.known(name)
        if row is None or row.kind == "thread":
            # Whether a thread waits for another shows in the lock it waits for.
            self._harmless.add(frame.f_code)
            return None
        return name, row


# The plugin.


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option, and the same as a setting."""
    help = "fail tests that make blocking calls on an event loop"
    parser.getgroup("tidegate").addoption("--no-blocking", action="store_true", help=help)
    parser.addini("no_blocking", help, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line(
        "markers",
        "no_blocking(wanted=True, files=False): fail if a blocking call is made on an event"
        " loop; no_blocking(False) exempts a test",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Check one test, if that is asked for."""
    mark = item.get_closest_marker("no_blocking")
    wanted = item.config.getoption("no_blocking") or item.config.getini("no_blocking")
    files = False
    if mark is not None:
        wanted = mark.args[0] if mark.args else mark.kwargs.get("wanted", True)
        files = mark.kwargs.get("files", False)
    if not wanted:
        return (yield)
    with no_blocking(files):
        return (yield)
