"""How the test client waits for the application: not for ever, and it says where that hangs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

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
    inner: Any = task.get_coro() if task is not None else None
    frame = None
    while inner is not None:
        for kind in ("cr", "ag", "gi"):
            frame = getattr(inner, f"{kind}_frame", None) or frame
        inner = getattr(inner, "cr_await", None) or getattr(inner, "ag_await", None)
        if type(inner).__name__ == "coroutine_wrapper":
            # Our compiled coroutines wait for others in one; it does not say for whom.
            (inner,) = gc.get_referents(inner)
    if frame is None:
        return "nowhere"
    code = frame.f_code
    return f"{code.co_qualname}() ({code.co_filename}, line {frame.f_lineno})"
