"""Who answers questions about the whole server, however many workers it has?

A ``Desk`` asks every worker and makes one answer of theirs.  The process that
listens has it: the only one, or the supervisor.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from .._version import __version__
from ..errors import ConfigError, TidegateError
from .logs import set_level
from .metrics.counts import BUCKETS, Samples, labelled
from .metrics.exposition import added
from .observer import Call

__all__ = ["PATIENCE", "Desk", "Everybody", "in_loop", "performed"]

Everybody = Callable[[str, dict[str, Any]], Awaitable[list[Any]]]
"""Asks every worker; returns the answers of those that gave one."""

PATIENCE = 3.0
"""Seconds a worker has to answer: one that is blocked must not hide the others."""

_DURATION = "tidegate_request_duration_seconds"


class Desk:
    """Answers calls by name; raises ``TidegateError`` for one that it cannot do.

    ``orders`` are what only this process can do, such as ``drain``; ``more``
    returns figures that no worker knows.
    """

    def __init__(
        self,
        everybody: Everybody,
        orders: Mapping[str, Call],
        more: Callable[[], Samples] = dict,
    ) -> None:
        self._everybody = everybody
        self._orders = orders
        self._more = more
        self._answers: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "status": self._status,
            "samples": lambda args: self.samples(),
            "histogram": self._histogram,
            "stalls": self._stalls,
            "log_level": self._log_level,
            "certificates": lambda args: everybody("certificates", args),
            "cancel": self._cancel,
        }

    async def answer(self, name: str, args: dict[str, Any]) -> Any:
        """Return the answer to one call."""
        if name in self._answers:
            return await self._answers[name](args)
        if name in self._orders:
            done = self._orders[name](args)
            return await done if inspect.isawaitable(done) else done
        if name in ("recycle", "reload"):
            raise ConfigError(
                f"{name}: there is one process, and nobody to replace it; see --workers"
            )
        known = ", ".join([*self._answers, *self._orders])
        raise ConfigError(f"there is no call {name!r}; there are {known}")

    async def samples(self) -> Samples:
        """Return the figures of all workers, added up."""
        return added([self._more(), *await self._everybody("samples", {})])

    async def _status(self, args: dict[str, Any]) -> dict[str, Any]:
        workers = await self._everybody("status", args)
        return {
            "version": __version__,
            "pid": os.getpid(),
            "workers": sorted(workers, key=lambda each: -each["age"]),
            "restarts": self._more().get("tidegate_worker_restarts_total", 0),
            "orders": sorted(self._orders),
        }

    async def _histogram(self, args: dict[str, Any]) -> list[tuple[str, int]]:
        """Return how many requests took at most so many seconds, but longer than the last."""
        samples = await self.samples()
        found = []
        before = 0
        for bound in (*BUCKETS, "+Inf"):
            so_far = int(samples.get(labelled(_DURATION + "_bucket", le=bound), 0))
            found.append((str(bound), so_far - before))
            before = so_far
        return found

    async def _stalls(self, args: dict[str, Any]) -> list[dict[str, Any]]:
        lines: dict[tuple[str, int], dict[str, Any]] = {}
        for stall in [each for found in await self._everybody("stalls", {}) for each in found]:
            same = lines.setdefault((stall["file"], stall["line"]), stall)
            if same is not stall:
                same["count"] += stall["count"]
                same["seconds"] += stall["seconds"]
                same["longest"] = max(same["longest"], stall["longest"])
        return sorted(lines.values(), key=lambda each: -float(each["seconds"]))

    async def _log_level(self, args: dict[str, Any]) -> list[str]:
        """Set it in all workers and, if that is another process, here."""
        levels: list[str] = await self._everybody("log_level", args)
        set_level(str(args.get("level")))
        return levels

    async def _cancel(self, args: dict[str, Any]) -> bool:
        if not any(await self._everybody("cancel", args)):
            raise ConfigError(f"no request {args.get('id')!r} is in flight")
        return True


def in_loop(loop: asyncio.AbstractEventLoop, calls: Mapping[str, Call]) -> Everybody:
    """Return how another thread's loop asks the only worker, which runs in ``loop``."""

    async def everybody(name: str, args: dict[str, Any]) -> list[Any]:
        if name in ("stalls", "log_level"):
            # From any thread: also while the application blocks the loop.
            return [calls[name](args)]
        with suppress(TimeoutError):
            return [await performed(loop, calls[name], args)]
        raise TidegateError(f"the event loop has not answered for {PATIENCE:g} s: see stalls")

    return everybody


async def performed(loop: asyncio.AbstractEventLoop, call: Call, args: dict[str, Any]) -> Any:
    """Return what ``call`` returns in another thread's loop; ``TimeoutError`` if that is busy."""
    done: concurrent.futures.Future[Any] = concurrent.futures.Future()
    loop.call_soon_threadsafe(_perform, call, args, done)
    return await asyncio.wait_for(asyncio.wrap_future(done), PATIENCE)


def _perform(call: Call, args: dict[str, Any], done: concurrent.futures.Future[Any]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(call(args))
    except Exception as error:
        done.set_exception(error)
