"""Which worker serves in which slot, and who comes after it?

A slot is a place for one worker.  One that dies is replaced, the first time at
once and then after longer and longer pauses; one that is replaced on purpose
stops only when its replacement is ready, so that no request is lost.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from .child import Child, context_of
from .config import Config
from .listening import Listeners
from .recorder import last_words
from .seats import Seats
from .server import EXIT_STARTUP_FAILED

__all__ = ["Slots"]

logger = logging.getLogger("tidegate.error")

# A worker that dies at once must not be started again at once, but the first time.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_HEALTHY_SECONDS = 30.0

# On top of what the workers' own budgets allow.
_KILL_AFTER = 10.0

Talk = Callable[[Child, str, dict[str, Any]], Any]


class Slots:
    """The workers of a server.

    ``talk`` answers what a worker says, by name, and ``on_end`` hears which has
    ended.  ``stopping`` is set from outside when no more are to be started, and
    from here, with ``startup_failed``, if the first ones cannot start.
    """

    def __init__(
        self,
        config: Config,
        listeners: Listeners,
        talk: Talk,
        on_end: Callable[[Child], None],
        stopping: asyncio.Event,
    ) -> None:
        self.config = config
        self.wanted = config.workers
        self.children: set[Child] = set()  # also those that are to leave
        self.current: dict[int, Child] = {}  # who serves, by slot
        self.folder = Path()  # of the flight recorders
        self.startup_failed = False
        self._listeners = listeners
        self._seats = Seats()
        self._talk = talk
        self._on_end = on_end
        self._stopping = stopping
        self._changing: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._served = False  # some worker has been ready
        self._pauses: dict[int, float] = {}  # before the next start, by slot
        self._serial = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def resize(self, wanted: int) -> None:
        """Have so many workers."""
        self.wanted = wanted
        for slot in range(wanted):
            if slot not in self.current:
                self._spawn(self._fill(slot))
        for slot in [slot for slot in self.current if slot >= wanted]:
            self._give_up(slot)

    async def replace(self, slot: int, config: Config) -> bool:
        """Start another worker in a slot; once it is ready, the one before goes.

        Returns False, and nothing has changed, if it does not get ready.  One that is
        only starting is waited for.
        """
        async with self._changing[slot]:
            child = await self._start(slot, config)
            await _first(child.ready, child.ended, self._stopping)
            if not child.serves():
                return False
            self._settle(child)
            return True

    def recycle(self, child: Child, why: str) -> None:
        """Replace a worker; if it is to leave already, nothing happens."""
        serves = self.current.get(child.slot) is child
        if serves and not child.recycled and not self._stopping.is_set():
            child.recycled = True
            logger.info("Worker %d %s; starting another in its place", child.pid, why)
            self._spawn(self._recycle(child))

    async def end(self) -> None:
        """Ask all workers to stop, wait, and kill those that do not."""
        for child in list(self.children):
            if child.leaving:
                child.stop()
            else:
                self._dismiss(child)
        while self.children:
            await _first(*(each.ended for each in self.children))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- private -------------------------------------------------------------

    async def _fill(self, slot: int) -> None:
        """Have a worker in the slot; start others until one is ready."""
        while self._is_wanted(slot):
            async with self._changing[slot]:
                if not self._is_wanted(slot):
                    return  # a reload has filled it
                child = await self._start(slot, self.config)
                await _first(child.ready, child.ended, self._stopping)
                if child.serves():
                    self._settle(child)
                    return
            if not self._served and child.exitcode == EXIT_STARTUP_FAILED:
                # The reason is logged, and the next one would fail the same way.
                self.startup_failed = True
                self._stopping.set()
            elif not self._stopping.is_set():
                await self._pause_after(child)

    def _settle(self, child: Child) -> None:
        """It serves from now on, instead of who did, unless its place is gone meanwhile."""
        before = self.current.get(child.slot)
        self.current[child.slot] = child
        if before is not None:
            self._dismiss(before)
        if child.slot >= self.wanted and not self._stopping.is_set():
            self._give_up(child.slot)

    def _is_wanted(self, slot: int) -> bool:
        return not self._stopping.is_set() and slot < self.wanted and slot not in self.current

    async def _start(self, slot: int, config: Config) -> Child:
        self._serial += 1
        child = Child(slot, config, self.folder / f"worker-{self._serial}")
        if self.wanted > 1 and not config.reuse_port:
            child.seat = self._seats.take()

        def answer(name: str, args: dict[str, Any]) -> Any:
            if name == "ready":
                self._served = True
            return self._talk(child, name, args)

        child.start(context_of(config), self._listeners.of_slot(config, slot), answer)
        self.children.add(child)
        await child.opened()
        asyncio.get_running_loop().add_reader(child.sentinel, self._on_death, child)
        return child

    def _on_death(self, child: Child) -> None:
        """Its process is gone, for whatever reason."""
        asyncio.get_running_loop().remove_reader(child.sentinel)
        child.join()
        self.children.discard(child)
        if child.seat is not None:
            self._seats.give_back(child.seat)
        words = last_words(child.record)
        if child.died():
            what = "hung and was killed" if child.hung else f"died ({child.cause()})"
            told = f"; its last words:\n{words}" if words else ""
            logger.error("Worker %d %s after %.0f s%s", child.pid, what, child.age(), told)
        child.ended.set()
        self._on_end(child)
        if self.current.get(child.slot) is child:
            del self.current[child.slot]
            if not self._stopping.is_set():
                self._spawn(self._refill(child))

    async def _refill(self, child: Child) -> None:
        await self._pause_after(child)
        await self._fill(child.slot)

    async def _pause_after(self, child: Child) -> None:
        """Wait before the place of a dead worker is filled, longer each time."""
        pause = 0.0 if child.age() > _HEALTHY_SECONDS else self._pauses.get(child.slot, 0.0)
        self._pauses[child.slot] = min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        logger.info("Starting another worker in %.1f s", pause)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)

    async def _recycle(self, child: Child) -> None:
        while not await self.replace(child.slot, self.config):
            if self._stopping.is_set() or child.ended.is_set():
                return
            logger.error("Worker %d stays until another can start", child.pid)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _HEALTHY_SECONDS)

    def _give_up(self, slot: int) -> None:
        """Have no worker there any more."""
        self._dismiss(self.current.pop(slot))
        self._listeners.drop(slot)

    def _dismiss(self, child: Child) -> None:
        """Let a worker finish, but not for ever."""
        child.stop()
        config = child.config
        seconds = config.timeout_graceful_shutdown + config.timeout_lifespan_shutdown
        seconds += config.drain_delay + _KILL_AFTER
        asyncio.get_running_loop().call_later(seconds, _kill, child)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _kill(child: Child) -> None:
    if not child.ended.is_set():
        logger.error("Worker %d did not stop; killing it", child.pid)
        child.send(signal.SIGKILL)


async def _first(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waiting = {asyncio.ensure_future(each.wait()) for each in events}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
