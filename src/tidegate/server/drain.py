"""What is in progress may end, but not for ever: who is told what, and when it is cut off.

Requests, streams and sockets have budgets of their own.  An application hears
of the end while it can still send, then that its client has left, then it is
cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from ..exchange.service import Running
from ..net.worker import Worker
from .signals import Stop

__all__ = ["Budgets", "Drain"]

logger = logging.getLogger("tidegate.error")


@dataclass(frozen=True)
class Budgets:
    """Seconds from the wish to stop; that of sockets is kept by their connections."""

    requests: float
    """For everything."""

    streams: float
    """For responses that have begun and say nothing of where they end."""

    told: float
    """More, after an application hears that its client has left."""

    cancelled: float
    """More, after it was cancelled."""


class Drain:
    """The end of one worker; ``changed`` is set whenever something has ended."""

    def __init__(self, worker: Worker, stop: Stop, changed: asyncio.Event, budgets: Budgets):
        self._worker = worker
        self._stop = stop
        self._changed = changed
        self._budgets = budgets

    async def run(self) -> None:
        """Let what is in progress end; after its time, end it."""
        worker, budgets = self._worker, self._budgets
        worker.draining = True
        for connection in list(worker.connections):
            connection.drain()
        streams = min(budgets.streams, budgets.requests)
        for call in list(worker.service.running):
            call.on_drain(streams)
        if worker.service.running:
            seconds = budgets.requests
            logger.info("Waiting up to %g s for %s to end", seconds, self._in_progress())
        if await self._idle_within(streams, 2):
            return
        if streams < budgets.requests and self._stop.urgency < 2:
            await self._end([call for call in worker.service.running if call.is_stream], streams)
            if await self._idle_within(budgets.requests - streams, 2):
                return
        if self._stop.urgency >= 2:
            logger.warning("Asked again: cancelling %s", self._in_progress())
        else:
            logger.warning("After %g s: cancelling %s", budgets.requests, self._in_progress())
        await self._cancel()

    async def _end(self, streams: list[Running], seconds: float) -> None:
        """Cut responses off that have no end, and go on with the rest."""
        if not streams:
            return
        logger.info("After %g s: ending %s", seconds, _count(streams, "stream"))
        for call in streams:
            call.cut()
        if not await self._idle_within(self._budgets.told, 2):
            _cancel(self._worker.service.running.intersection(streams))

    async def _cancel(self) -> None:
        """End what is in progress: tell the applications, then cancel them."""
        worker = self._worker
        for call in list(worker.service.running):
            call.peer_gone()
        for connection in list(worker.connections):
            connection.abort()
        if await self._idle_within(self._budgets.told, 3):
            return
        _cancel(worker.service.running)
        if not await self._idle_within(self._budgets.cancelled, 3):
            logger.error("Leaving %s, deaf to the cancellation", self._in_progress())

    async def _idle_within(self, seconds: float, urgency: int) -> bool:
        """Say whether everything ends within ``seconds``, or until we are asked so urgently."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._stop.unless(urgency, self._idle())
        return False

    async def _idle(self) -> None:
        """Return when nothing is in progress any more."""
        worker = self._worker
        while worker.connections or worker.service.running:
            self._changed.clear()
            await self._changed.wait()

    def _in_progress(self) -> str:
        return _count(self._worker.service.running, "request")


def _cancel(calls: Iterable[Running]) -> None:
    for call in list(calls):
        if call.task is not None:
            call.task.cancel("the server is shutting down")


def _count(calls: Iterable[Running], noun: str) -> str:
    count = len(list(calls))
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"
