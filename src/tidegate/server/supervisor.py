"""Who keeps the workers alive?  One process that serves nothing itself.

It opens the sockets, looks after the workers in their slots, and does what
signals and the control socket ask for: reload, more or fewer workers, another
server in its place, the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import ConfigError, TidegateError
from .accounts import make_folder
from .channel import Channel
from .child import Child, cause
from .config import Config
from .fleet import Fleet
from .listening import Listeners, announce, remove
from .logs import configure
from .notify import notify, reloading, watchdog_seconds
from .observer import Call
from .presence import appear, vanish
from .server import EXIT_STARTUP_FAILED
from .slots import Slots
from .tls import certificates
from .upgrade import Upgrade

__all__ = ["Supervisor", "cause", "supervise"]

logger = logging.getLogger("tidegate.error")

_LOOK_SECONDS = 0.25

# For the stacks of a worker that hangs to be written.
_STACK_SECONDS = 0.5


class Supervisor:
    """Keeps ``config.workers`` processes alive until asked to stop.

    ``again`` reads the configuration anew, for SIGHUP.
    """

    def __init__(self, config: Config, again: Callable[[], Config] | None = None) -> None:
        if not isinstance(config.app, str):
            raise ConfigError("workers: several need the target as 'module:attribute'")
        self.config = config
        self._again = again or (lambda: config)
        self._listeners = Listeners()
        self._stopping = asyncio.Event()
        self._slots = Slots(config, self._listeners, self._answer, self._on_end, self._stopping)
        self._upgrade = Upgrade(self._listeners)
        self._fleet: Fleet  # from the moment on that there is a loop
        self._appeared = False
        self._reloading: asyncio.Task[None] | None = None  # None until the first time
        self._reload_again = False

    def run(self) -> int:
        """Run until all workers have ended; return the exit status."""
        configure(self.config)
        shown = certificates(self.config)
        if shown is not None:
            # Here once, rather than in every worker.
            shown.warn()
        self._listeners.open(self.config)
        folder = Path(tempfile.mkdtemp(prefix="tidegate-"))
        self._slots.folder = folder
        if self.config.http3:
            make_folder(self.config, folder)
        try:
            return asyncio.run(self._run())
        finally:
            self._listeners.close()
            shutil.rmtree(folder, ignore_errors=True)
            vanish(self.config.pid)
            if not self._upgrade.done:
                remove(self.config)

    async def _run(self) -> int:
        self._fleet = Fleet(self.config, self._channels, self._orders())
        self._listen_to_signals()
        announce(self._listeners.all(), self.config)
        count = self._slots.wanted
        workers = "1 worker" if count == 1 else f"{count} workers"
        logger.info("Starting %s, supervised by process %d", workers, os.getpid())
        self._fleet.control.start()
        try:
            self._slots.resize(count)
            await self._look()
        finally:
            self._stopping.set()
            notify("STOPPING=1")
            await self._slots.end()
            self._fleet.control.stop()
        logger.info("All workers have stopped")
        return EXIT_STARTUP_FAILED if self._slots.startup_failed else 0

    async def _look(self) -> None:
        """Look after the workers, until we are to stop."""
        watchdog = watchdog_seconds()
        due = time.monotonic()
        while not self._stopping.is_set():
            for child in list(self._slots.current.values()):
                self._check(child)
            if watchdog is not None and time.monotonic() >= due:
                notify("WATCHDOG=1")
                due = time.monotonic() + watchdog
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _LOOK_SECONDS)

    def _check(self, child: Child) -> None:
        patience = child.config.timeout_worker_healthcheck
        if patience and child.silence() > patience and not child.hung:
            child.hung = True
            logger.error(
                "The event loop of worker %d has been blocked for %.0f s", child.pid, patience
            )
            child.send(signal.SIGQUIT)  # where does it stand?
            asyncio.get_running_loop().call_later(_STACK_SECONDS, child.send, signal.SIGKILL)
            return
        why = child.worn_out()
        if why:
            self._slots.recycle(child, why)

    # -- what workers say ----------------------------------------------------

    def _answer(self, child: Child, name: str, args: dict[str, Any]) -> Any:
        """Do what a worker calls for."""
        if name == "ready":
            child.beat = time.monotonic()
            child.ready.set()
            self._on_ready()
        elif name == "beat":
            child.beat = time.monotonic()
            child.rss, child.connections = args["rss"], args["connections"]
        elif name == "enough":
            self._slots.recycle(child, args["why"])
        else:
            return self._fleet.answer(child.pid, name, args)
        return None

    def _on_ready(self) -> None:
        ready = sum(each.ready.is_set() for each in self._slots.children)
        if self._appeared or ready < self._slots.wanted:
            return
        self._appeared = True
        try:
            appear(self.config.pid, ready)
        except ConfigError as error:
            logger.error("%s", error)
        logger.info("Workers ready: %d", ready)
        self._upgrade.finish()

    def _on_end(self, child: Child) -> None:
        self._fleet.ended(child.pid, replaced=not self._stopping.is_set())

    def _channels(self) -> dict[int, Channel]:
        return {
            each.pid: each.channel
            for each in self._slots.children
            if each.channel is not None and each.ready.is_set()
        }

    # -- orders --------------------------------------------------------------

    def _orders(self) -> dict[str, Call]:
        """Return what the control socket may order."""
        return {
            "drain": lambda args: self.stop(),
            "reload": lambda args: self.reload(),
            "recycle": lambda args: self.recycle(args.get("pid")),
        }

    def stop(self) -> None:
        """Stop everything."""
        self._stopping.set()

    def recycle(self, pid: int | None) -> None:
        """Replace one worker, or all.  Raises ``ConfigError`` if there is no such worker."""
        chosen = [each for each in self._slots.current.values() if pid in (None, each.pid)]
        if not chosen:
            raise ConfigError(f"there is no worker {pid}")
        for child in chosen:
            self._slots.recycle(child, "is to be replaced")

    def resize(self, change: int) -> None:
        """Have so many workers more, or less, but one."""
        wanted = max(1, self._slots.wanted + change)
        logger.info("Workers from now on: %d", wanted)
        self._slots.resize(wanted)

    def reload(self) -> None:
        """Read the configuration anew and replace all workers, one after the other."""
        if self._reloading is not None and not self._reloading.done():
            self._reload_again = True
        else:
            self._reloading = asyncio.ensure_future(self._reload())

    async def _reload(self) -> None:
        while not self._stopping.is_set():
            self._reload_again = False
            reloading()
            await self._reload_once()
            notify("READY=1")
            if not self._reload_again:
                return

    async def _reload_once(self) -> None:
        slots = self._slots
        try:
            config = self._again()
            configure(config)
            self._listeners.open(config)
        except TidegateError as error:
            configure(self.config)
            logger.error("Nothing is reloaded, the workers stay as they are: %s", error)
            return
        logger.info("Reloading: replacing the workers, one after the other")
        # Also those that are only starting, or that are added meanwhile.
        slot = 0
        while slot < slots.wanted:
            if self._stopping.is_set():
                return
            if not await slots.replace(slot, config):
                configure(self.config)
                logger.error("The new worker did not start; those that serve stay as they are")
                return
            slot += 1
        changed = config.workers != self.config.workers
        self.config = slots.config = config
        slots.resize(config.workers if changed else slots.wanted)
        logger.info("Reloaded")

    # -- signals -------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self._on_interrupt)
        if sys.platform != "win32":
            loop.add_signal_handler(signal.SIGHUP, self.reload)
            loop.add_signal_handler(signal.SIGTTIN, self.resize, 1)
            loop.add_signal_handler(signal.SIGTTOU, self.resize, -1)
            loop.add_signal_handler(signal.SIGUSR2, self._upgrade.begin)
            loop.add_signal_handler(signal.SIGQUIT, self._pass_on, signal.SIGQUIT)

    def _on_interrupt(self) -> None:
        if self._stopping.is_set():
            # A terminal's Ctrl+C reaches the workers as well; repeat for those
            # that were started without one.
            self._pass_on(signal.SIGINT)
        self._stopping.set()

    def _pass_on(self, signum: int) -> None:
        for child in self._slots.children:
            child.send(signum)


def supervise(config: Config, again: Callable[[], Config] | None = None) -> int:
    """Serve with ``config.workers`` processes; return the exit status."""
    return Supervisor(config, again).run()
