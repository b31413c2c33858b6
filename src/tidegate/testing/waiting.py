"""How the test client waits for the application: not for ever, and it says where that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..bridge.guard.frames import stack_of_task
from .failures import TimedOut

__all__ = ["Signal", "place_in"]


class Signal:
    """Tells those who wait that something changed."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def fire(self) -> None:
        """Let all look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(
        self, ready: Callable[[], Any], timeout: float | None, late: Callable[[], str]
    ) -> None:
        """Wait until ``ready()``, at most ``timeout`` seconds.

        Raises ``TimedOut`` with the text of ``late()``.
        """
        loop = asyncio.get_running_loop()
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            self.fire()

        timer = None if timeout is None else loop.call_later(timeout, expire)
        try:
            while not ready():
                if expired:
                    raise TimedOut(f"{late()}, {timeout:g} s on")
                waiter = loop.create_future()
                self._waiters.append(waiter)
                await waiter
        finally:
            if timer is not None:
                timer.cancel()


def place_in(task: asyncio.Task[Any] | None) -> str:
    """Return where a suspended task waits: function, file and line."""
    frames = stack_of_task(task) if task is not None else []
    if not frames:
        return "nowhere"
    frame = frames[-1]
    code = frame.f_code
    return f"{code.co_qualname}() ({code.co_filename}, line {frame.f_lineno})"
