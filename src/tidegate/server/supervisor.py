"""Several worker processes on the same listening sockets.

The supervisor opens the sockets, starts the workers, replaces those that die
and passes on the request to stop.  It never runs the application itself.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType

from ..errors import ConfigError
from .config import Config
from .logs import configure
from .loops import leave_threads_behind, run_in_loop
from .server import EXIT_STARTUP_FAILED, Server, StartupFailed, announce, listen
from .tls import certificates

__all__ = ["Supervisor", "cause", "supervise"]

logger = logging.getLogger("tidegate.error")

# A worker that dies at once must not be started again at once.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_HEALTHY_SECONDS = 30.0

# On top of what the workers' own budgets allow.
_KILL_AFTER = 10.0


class Supervisor:
    """Keeps ``config.workers`` processes alive until asked to stop."""

    def __init__(self, config: Config) -> None:
        if not isinstance(config.app, str):
            raise ConfigError("workers: several need the target as 'module:attribute'")
        self.config = config
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[BaseProcess, float] = {}  # and when each was started
        self._listeners: list[socket.socket] = []
        self._stopping = False
        self._pause = _FIRST_PAUSE
        self._due: list[float] = []  # when to start replacements
        self._startup_failed = False
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)

    def run(self) -> int:
        """Run until all workers have ended; return the exit status."""
        configure(self.config)
        shown = certificates(self.config)
        if shown is not None:
            # Here once, rather than in every worker.
            shown.warn()
        self._listeners = listen(self.config)
        before = {n: signal.signal(n, self._on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            announce(self._listeners, self.config)
            logger.info(
                "Starting %d workers, supervised by process %d", self.config.workers, os.getpid()
            )
            for _ in range(self.config.workers):
                self._start()
            self._watch()
        finally:
            self._end()
            for signum, handler in before.items():
                signal.signal(signum, handler)
            # Not before: the handlers write to it.
            os.close(self._wake_reader)
            os.close(self._wake_writer)
        return EXIT_STARTUP_FAILED if self._startup_failed else 0

    def _watch(self) -> None:
        while not self._stopping:
            now = time.monotonic()
            due = [moment for moment in self._due if moment <= now]
            self._due = [moment for moment in self._due if moment > now]
            for _ in due:
                self._start()
            timeout = min(self._due) - now if self._due else None
            ready = wait([self._wake_reader, *(w.sentinel for w in self._workers)], timeout)
            if self._wake_reader in ready:
                os.read(self._wake_reader, 1024)
            for worker in [w for w in self._workers if w.exitcode is not None]:
                self._on_death(worker)

    def _start(self) -> None:
        worker = self._context.Process(target=_work, args=(self.config, self._listeners))
        worker.start()
        self._workers[worker] = time.monotonic()

    def _on_death(self, worker: BaseProcess) -> None:
        lived = time.monotonic() - self._workers.pop(worker)
        if self._stopping:
            return
        if worker.exitcode == EXIT_STARTUP_FAILED:
            # The reason is logged, and the next one would fail the same way.
            self._startup_failed = self._stopping = True
            return
        if worker.exitcode == 0:
            logger.info("Worker %d has served its requests; starting another", worker.pid)
            self._start()
            return
        self._pause = _FIRST_PAUSE if lived > _HEALTHY_SECONDS else self._pause
        logger.error(
            "Worker %d died after %.0f s (%s); starting another in %.1f s",
            worker.pid,
            lived,
            cause(worker.exitcode),
            self._pause,
        )
        self._due.append(time.monotonic() + self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _end(self) -> None:
        """Ask the workers to stop, wait, and kill those that do not."""
        for listener in self._listeners:
            listener.close()
        for worker in self._workers:
            worker.terminate()
        config = self.config
        seconds = config.timeout_graceful_shutdown + config.timeout_lifespan_shutdown + _KILL_AFTER
        deadline = time.monotonic() + seconds
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.exitcode is None:
                logger.error("Worker %d did not stop; killing it", worker.pid)
                worker.kill()
                worker.join()
        if config.uds is not None:
            with suppress(FileNotFoundError):
                os.unlink(config.uds)
        logger.info("All workers have stopped")

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._stopping and signum == signal.SIGINT:
            # A terminal's Ctrl+C reaches the workers as well; repeat for those
            # that were started without one.
            for worker in self._workers:
                if worker.pid is not None and worker.exitcode is None:
                    os.kill(worker.pid, signal.SIGINT)
        self._stopping = True
        os.write(self._wake_writer, b"!")


def supervise(config: Config) -> int:
    """Serve with ``config.workers`` processes; return the exit status."""
    return Supervisor(config).run()


def _work(config: Config, listeners: list[socket.socket]) -> None:
    """What a worker process does."""
    try:
        run_in_loop(config, lambda: Server(config).serve(listeners))
        leave_threads_behind()
    except (StartupFailed, ConfigError) as error:
        if isinstance(error, ConfigError):
            logger.error("%s", error)
        sys.exit(EXIT_STARTUP_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def cause(exitcode: int | None) -> str:
    """Say how a process ended."""
    if exitcode is not None and exitcode < 0:
        try:
            return f"signal {signal.Signals(-exitcode).name}"
        except ValueError:
            return f"signal {-exitcode}"
    return f"exit status {exitcode}"
