"""One worker, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import socket
import time
from collections.abc import Coroutine
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .channel import Answer, Channel
from .config import Config
from .seats import Seat
from .server import EXIT_STARTUP_FAILED
from .serving import Post, work

__all__ = ["Child", "cause", "context_of"]

# A worker's age is drawn from this much more, so that not all are replaced at once.
_AGE_SPREAD = 0.1


class Child:
    """A worker in a slot: its process, the line to it, and what is known of it.

    ``start`` it and ``await opened()``.  ``ready`` becomes True when it accepts
    connections, and ``ended`` is set once its process is gone.
    """

    def __init__(self, slot: int, config: Config, record: Path) -> None:
        self.slot = slot
        self.config = config
        self.record = record
        self.seat: Seat | None = None  # None if it shares its sockets with nobody
        self.process: BaseProcess | None = None  # None until started
        self.channel: Channel | None = None  # None until started
        self.began = time.monotonic()
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.beat = self.began  # when it last gave a sign of life
        self.connections = 0
        self.rss = 0
        self.leaving = False  # was asked to stop
        self.recycled = False  # another is to take its place
        self.hung = False  # is about to be killed
        age = config.max_worker_age
        self.oldest = None if age is None else age * (1 + random.random() * _AGE_SPREAD)

    @property
    def pid(self) -> int:
        """The number of its process; 0 before it has one."""
        return self.process.pid or 0 if self.process is not None else 0

    @property
    def sentinel(self) -> int:
        """A descriptor that can be read once the process is gone."""
        return self._started().sentinel

    @property
    def exitcode(self) -> int | None:
        """How the process ended; None before."""
        return self.process.exitcode if self.process is not None else None

    def join(self) -> None:
        """Collect the process, which is gone."""
        self._started().join()

    def serves(self) -> bool:
        """Say whether it accepts connections."""
        return self.ready.is_set() and not self.ended.is_set()

    def died(self) -> bool:
        """Say whether it ended as nobody wanted; the reason of a failed start is logged already."""
        if self.exitcode == EXIT_STARTUP_FAILED:
            return False
        return not self.leaving or self.exitcode not in (0, -signal.SIGTERM)

    def start(self, context: Any, listeners: list[socket.socket], answer: Answer) -> None:
        """Start the process, of a context of ``multiprocessing``.

        ``answer`` does what it calls for.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            post = Post(listeners, theirs, self.record, self.seat)
            self.process = context.Process(target=work, args=(self.config, post))
            self.process.start()
        ours.setblocking(False)
        self.channel = Channel(answer, lambda: None)
        self._line = ours

    def opened(self) -> Coroutine[Any, Any, Any]:
        """Open the line; await it before anything else."""
        loop = asyncio.get_running_loop()
        channel = self.channel
        return loop.create_connection(lambda: channel, sock=self._line)

    def age(self) -> float:
        """Return the seconds since it was started."""
        return time.monotonic() - self.began

    def silence(self) -> float:
        """Return the seconds since its event loop gave a sign of life; 0 before it serves."""
        return time.monotonic() - self.beat if self.ready.is_set() else 0.0

    def worn_out(self) -> str:
        """Say why it should be replaced; nothing if it should not."""
        most = self.config.max_worker_memory
        if most is not None and self.rss > most:
            return f"holds {self.rss / 2**20:.0f} MB"
        if self.oldest is not None and self.age() > self.oldest:
            return f"is {self.age():.0f} s old"
        return ""

    def stop(self) -> None:
        """Ask it to let what is in progress end, and to stop."""
        self.leaving = True
        self.send(signal.SIGTERM)

    def send(self, signum: int) -> None:
        """Send a signal, if it is still there."""
        if self.pid and self.exitcode is None:
            os.kill(self.pid, signum)

    def cause(self) -> str:
        """Say how it ended."""
        return cause(self.exitcode)

    def _started(self) -> BaseProcess:
        if self.process is None:
            raise UsageError("the worker has not been started")
        return self.process


def cause(exitcode: int | None) -> str:
    """Say how a process ended."""
    if exitcode is not None and exitcode < 0:
        try:
            return f"signal {signal.Signals(-exitcode).name}"
        except ValueError:
            return f"signal {-exitcode}"
    return f"exit status {exitcode}"


def context_of(config: Config) -> Any:
    """Return how workers are started: each imports the application, or is forked after that."""
    if not config.preload:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, str(config.app).partition(":")[0]])
    return context
