"""What a worker process does: serve, and tell its supervisor how it is."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..exchange.ended import Both
from .accounts import become, relays_of
from .channel import Channel
from .config import Config
from .doors import Udp
from .listening import datagrams
from .loops import leave_threads_behind, run_in_loop
from .recorder import Recorder
from .seats import Seat
from .server import EXIT_STARTUP_FAILED, Server, StartupFailed

__all__ = ["BEAT_SECONDS", "Post", "work"]

logger = logging.getLogger("tidegate.error")

BEAT_SECONDS = 0.5

# Figures are large beside a sign of life.
_SAMPLES_EVERY = 10


class Post(NamedTuple):
    """What a worker is given: its sockets, the line to its supervisor, the recorder's file.

    ``seat`` is its place among those that share the sockets; None if nobody does.
    """

    listeners: list[socket.socket]
    line: socket.socket
    record: Path
    seat: Seat | None


def work(config: Config, post: Post) -> None:
    """Serve until the supervisor says stop, or is gone."""
    # Its terminal is not ours to lose, and Ctrl+C is for the supervisor to pass on.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        recorder = Recorder(post.record)
        # Before we lose the right to take a low port.
        opened = datagrams(config, post.listeners, shared=True)
        become(config)
        run_in_loop(config, lambda: _Worker(config, post, recorder, opened).serve())
        leave_threads_behind()
    except (StartupFailed, ConfigError) as error:
        if isinstance(error, ConfigError):
            logger.error("%s", error)
        sys.exit(EXIT_STARTUP_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


class _Worker:
    """A server, and the line to the supervisor."""

    def __init__(
        self, config: Config, post: Post, recorder: Recorder, opened: list[socket.socket]
    ) -> None:
        self._post = post
        self._recorder = recorder
        self._samples = config.observes()
        self._server = server = Server(config)
        server.turns = post.seat
        relays = relays_of(post.record.parent)
        server.udp = Udp(opened, relays if opened and relays.is_dir() else None)
        server.on_enough = self._on_enough
        server.everybodys_samples = self._everybodys_samples
        self._channel = Channel(self._answer, self._on_end)
        self._beats = 0

    async def serve(self) -> None:
        """Serve; tell the supervisor when we are ready, that we live, and the last figures."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._channel, sock=self._post.line)
        ready = asyncio.ensure_future(self._when_ready())
        try:
            await self._server.serve(self._post.listeners)
        finally:
            ready.cancel()
            self._tell_samples()

    async def _when_ready(self) -> None:
        await self._server.started.wait()
        worker = self._server.worker
        if worker is not None and worker.service.journal is not None:
            worker.service.journal = Both(worker.service.journal, self._recorder)
        # Whatever kills us from now on, there is something to read.
        self._beat()
        self._channel.tell("ready")
        while True:
            began = time.monotonic()
            self._beat()
            await asyncio.sleep(max(0.0, began + BEAT_SECONDS - time.monotonic()))

    def _beat(self) -> None:
        observer = self._server.observer
        if observer is None:
            return
        status = observer.status()
        self._recorder.beat(status)
        connections = sum(status["connections"].values())
        self._channel.tell("beat", {"rss": status["rss"], "connections": connections})
        if self._samples and self._beats % _SAMPLES_EVERY == 0:
            self._tell_samples()
        self._beats += 1

    def _tell_samples(self) -> None:
        if self._samples and self._server.observer is not None:
            self._channel.tell("samples", self._server.observer.samples())

    def _answer(self, name: str, args: dict[str, Any]) -> Any:
        calls: dict[str, Callable[[dict[str, Any]], Any]] = {}
        if self._server.observer is not None:
            calls = self._server.observer.calls
        if name not in calls:
            raise ConfigError(f"a worker has no call {name!r}")
        return calls[name](args)

    async def _everybodys_samples(self) -> dict[str, float]:
        samples: dict[str, float] = await self._channel.call("samples_of_all")
        return samples

    def _on_enough(self) -> None:
        worker = self._server.worker
        served = worker.service.total_requests if worker is not None else 0
        self._channel.tell("enough", {"why": f"has served {served} requests"})

    def _on_end(self) -> None:
        # Whoever supervised us is gone: nobody else would stop us.
        self._server.should_exit = True
