"""Work that outlives a request: supervised, and waited for at shutdown."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any, ParamSpec

from ..bridge.threads import ThreadPool

__all__ = ["Supervisor", "Tasks"]

P = ParamSpec("P")

logger = logging.getLogger("tidegate.app")

Job = Callable[[], Any]


class Tasks:
    """Injected into a handler: ``tasks.add(send_mail, address, text)``.

    Tasks begin when the response has been sent, side by side, and only if there
    was no error.  One that fails is logged and hurts no other; none is
    cancelled because the client left.  Plain functions run in a thread.
    """

    __slots__ = ("_jobs", "_supervisor")

    def __init__(self) -> None:
        self._supervisor: Supervisor | None = None  # None until they begin
        self._jobs: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    def add(self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a function after the response; at once if that has been sent."""
        if self._supervisor is not None:
            self._supervisor.start(function, *args, **kwargs)
        else:
            self._jobs.append((function, args, kwargs))

    def __len__(self) -> int:
        return len(self._jobs)

    def begin(self, supervisor: Supervisor) -> None:
        """Begin all of them."""
        self._supervisor = supervisor
        for function, args, kwargs in self._jobs:
            supervisor.start(function, *args, **kwargs)
        self._jobs = []


class Supervisor:
    """The tasks of one application."""

    def __init__(self, threads: Callable[[], ThreadPool]) -> None:
        self.running: set[asyncio.Task[None]] = set()
        self._threads = threads

    def start(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Run a function, watched over."""
        task = asyncio.create_task(self._run(function, args, kwargs))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def _run(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        name = getattr(function, "__qualname__", repr(function))
        try:
            if inspect.iscoroutinefunction(inspect.unwrap(function)):
                await function(*args, **kwargs)
            else:
                value = await self._threads().run(lambda: function(*args, **kwargs))
                if inspect.isawaitable(value):
                    await value
        except asyncio.CancelledError:
            logger.warning("The background task %s was cancelled", name)
            raise
        except Exception:
            logger.exception("The background task %s failed", name)

    async def drain(self, seconds: float) -> None:
        """Wait for all tasks, also for those that they start; then cancel those that are left."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        if self.running:
            logger.info("Waiting up to %g s for %d background tasks", seconds, len(self.running))
        while self.running and loop.time() < until:
            await asyncio.wait(self.running, timeout=until - loop.time())
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
