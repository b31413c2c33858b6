"""Serve while somebody changes the code: a new process for every change.

The listening sockets stay open in this process, so a client that comes during
a restart waits and is not refused.  This process never imports the
application; each new one is forked from a server that has imported Tidegate
and nothing else, which makes the restart quick.
"""

from __future__ import annotations

import atexit
import dataclasses
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from importlib.util import cache_from_source
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from ..errors import ConfigError
from .config import Config
from .environment import read_env_file
from .failure import FailurePage, described
from .listening import announce, listen
from .live import LiveReload
from .logs import configure
from .loops import run_in_loop
from .server import EXIT_STARTUP_FAILED, Server, StartupFailed
from .supervisor import cause
from .watch import Watcher

__all__ = ["Reloader", "serve_and_reload"]

logger = logging.getLogger("tidegate.error")

# What a developer waits for after each change; production has longer.
_REQUEST_SECONDS = 0.1
_SOCKET_SECONDS = 0.05
_LIFESPAN_SECONDS = 2.0

# A process whose loop is blocked hears nothing of all this.
_KILL_AFTER = 3.0

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Reloader:
    """Keeps one process serving, and replaces it when files change."""

    def __init__(self, config: Config) -> None:
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            # The new process imports the program that started this one.
            raise ConfigError(
                "the program starts the server when it is imported; "
                "write it below: if __name__ == '__main__':"
            )
        self.config = config
        self._inbox, self._outbox = multiprocessing.Pipe(duplex=False)
        self._watcher = Watcher(config, self._outbox.send)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._listeners: list[socket.socket] = []
        self._worker: BaseProcess | None = None  # None before the first, and between two
        self._failed = False  # it only shows what went wrong
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Serve until SIGINT or SIGTERM; return the exit status."""
        configure(self.config)
        if self.config.workers > 1:
            logger.warning("One worker instead of %d, because of reload", self.config.workers)
        self._listeners = listen(self.config)
        before = {signum: signal.signal(signum, self._on_signal) for signum in _SIGNALS}
        try:
            announce(self._listeners, self.config)
            folders = ", ".join(map(str, self._watcher.selection.folders))
            logger.info(
                "Process %d restarts the application when files change: %s", os.getpid(), folders
            )
            forkserver.ensure_running()
            self._watcher.start()
            self._start()
            while not self._stopping:
                self._wait()
        finally:
            self._end()
            for signum, handler in before.items():
                signal.signal(signum, handler)
        return self._status

    def _wait(self) -> None:
        """Act on the next change, death or signal."""
        worker = self._worker
        if worker is None:
            return
        ready = wait([self._inbox, worker.sentinel])
        if self._inbox not in ready:
            self._on_death(worker)
            return
        changed: list[str] = []
        while self._inbox.poll():
            news = self._inbox.recv()
            if isinstance(news, Exception):
                raise ConfigError(f"the folders cannot be watched: {news}; see --reload-dir")
            changed += news
        if not self._stopping:
            logger.info("%s; restarting", _changes(changed))
            self._stop_worker()
            _forget(changed)
            self._start()

    def _start(self, failure: str = "") -> None:
        """Start a process that serves the application, or says what went wrong."""
        if self._stopping:
            return
        self._failed = bool(failure)
        arguments = (self.config, self._listeners, failure)
        worker = self._context.Process(target=_work, args=arguments, name="tidegate-worker")
        worker.start()
        self._worker = worker

    def _on_death(self, worker: BaseProcess) -> None:
        worker.join()
        self._worker = None
        if self._stopping:
            return
        if worker.exitcode == 0:
            # It has served its requests.
            self._start()
        elif self._failed:
            logger.error("Process %d died (%s)", worker.pid, cause(worker.exitcode))
            self._status = EXIT_STARTUP_FAILED
            self._stopping = True
        else:
            text = f"Process {worker.pid} died ({cause(worker.exitcode)})"
            logger.error("%s; waiting for a change", text)
            self._start(text)

    def _stop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.terminate()
        worker.join(_KILL_AFTER)
        if worker.exitcode is None:
            logger.warning("Process %d did not stop; killing it", worker.pid)
            worker.kill()
            worker.join()

    def _end(self) -> None:
        self._watcher.stop()
        self._stop_worker()
        for listener in self._listeners:
            listener.close()
        if self.config.uds is not None:
            with suppress(FileNotFoundError):
                os.unlink(self.config.uds)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._outbox.send([])


def serve_and_reload(config: Config) -> int:
    """Serve, restarting for every change; return the exit status."""
    return Reloader(config).run()


def _changes(paths: list[str]) -> str:
    """Name what changed, as seen from here."""
    here = Path.cwd()
    names = [
        str(path.relative_to(here) if path.is_relative_to(here) else path)
        for path in map(Path, dict.fromkeys(paths))
    ]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more} changed"


def _forget(paths: list[str]) -> None:
    """Remove the bytecode of what changed.

    Python sees that it is stale by the size and the second of the last change
    of its source: two changes in one second may look the same.
    """
    for path in paths:
        if path.endswith(".py"):
            with suppress(OSError):
                os.unlink(cache_from_source(path))


class _Server(Server):
    """Does not let a developer wait for streams."""

    told_seconds = 0.1
    cancel_seconds = 1.0


def _work(config: Config, listeners: list[socket.socket], failure: str) -> None:
    """What the process that serves does."""
    with suppress(OSError):
        # multiprocessing takes it away; a debugger needs it.
        sys.stdin = os.fdopen(0, closefd=False)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # For the page, should the application fail: what serves it closes its own.
    spare = [listener.dup() for listener in listeners]
    try:
        if not failure:
            failure = _serve(config, listeners)
        if failure:
            _show(config, spare, failure)
    except KeyboardInterrupt:
        sys.exit(130)
    except ConfigError as error:
        logger.error("%s", error)
        sys.exit(EXIT_STARTUP_FAILED)
    finally:
        # A forked process of multiprocessing skips them.
        atexit._run_exitfuncs()


def _serve(config: Config, listeners: list[socket.socket]) -> str:
    """Serve the application; return what kept it from starting, or nothing."""
    try:
        if config.env_file is not None:
            read_env_file(config.env_file)
        quick = dataclasses.replace(
            config,
            timeout_graceful_shutdown=min(config.timeout_graceful_shutdown, _REQUEST_SECONDS),
            timeout_stream_drain=min(config.timeout_stream_drain, _SOCKET_SECONDS),
            timeout_ws_drain=min(config.timeout_ws_drain, _SOCKET_SECONDS),
            drain_delay=0.0,
            drain_linger=0.0,
            timeout_lifespan_shutdown=min(config.timeout_lifespan_shutdown, _LIFESPAN_SECONDS),
        )
        run_in_loop(quick, lambda: _Server(quick).serve(listeners))
    except (StartupFailed, ConfigError) as error:
        if isinstance(error, ConfigError):
            configure(config)
            logger.error("%s", error)
        return described(error)
    except SystemExit as error:
        logger.error("The application called sys.exit(%r)", error.code, exc_info=error)
        return described(error)
    return ""


def _show(config: Config, listeners: list[socket.socket], failure: str) -> None:
    """Answer every request with what went wrong."""
    page = FailurePage(failure)
    settings = dataclasses.replace(
        config,
        app=LiveReload(page) if config.live_reload else page,
        factory=False,
        interface="asgi3",
        mounts={},
        lifespan="off",
        # It may be what went wrong.
        env_file=None,
        reload=False,
        live_reload=False,
        guard=False,
        limit_max_requests=None,
        timeout_graceful_shutdown=_REQUEST_SECONDS,
        drain_delay=0.0,
        drain_linger=0.0,
    )
    run_in_loop(settings, lambda: _Server(settings).serve(listeners))


def _end_with_parent() -> None:
    """Stop when nobody is left who could stop us."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
