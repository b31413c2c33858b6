"""Waiting for other threads, without a clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until the condition holds; the test's timeout ends a vain wait."""
    while not condition():
        await asyncio.sleep(0)


class Gate:
    """A function that blocks its thread until the gate is opened; opens at the end of ``with``."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._passed = threading.Semaphore(0)
        self.inside = 0
        self._lock = threading.Lock()

    def __call__(self, result: object = None) -> object:
        with self._lock:
            self.inside += 1
        self._opened.wait()
        with self._lock:
            self.inside -= 1
        return result

    def open(self) -> None:
        self._opened.set()

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.open()
