"""One worker: start the application, listen, serve, drain, stop.

The order is the contract: the lifespan starts before the first connection is
accepted and shuts down after the last one is gone, always.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from .._pure import speed
from .._version import __version__
from ..asgi import Application
from ..bridge.guard import Guard, GuardSettings, Pace
from ..bridge.wsgi.asgi import Wsgi
from ..errors import ConfigError, TidegateError
from ..exchange.access import AccessLog
from ..exchange.lifespan import Lifespan, LifespanFailed
from ..exchange.service import Service
from ..exchange.wsgi import WsgiExchange, WsgiService
from ..net import sockets
from ..net.certificates import Certificates
from ..net.clock import Clock
from ..net.http1 import Http1Connection
from ..net.tls import Handshake
from ..net.worker import Worker
from ..wire.websocket.limits import WebSocketLimits
from .config import Config
from .live import LiveReload
from .logs import configure
from .mounts import load_all
from .signals import Stop
from .tls import certificates

__all__ = ["EXIT_STARTUP_FAILED", "Server", "StartupFailed", "announce", "listen"]

logger = logging.getLogger("tidegate.error")

EXIT_STARTUP_FAILED = 3

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_IMPORTLIB = os.path.dirname(importlib.__file__) + os.sep


def listen(config: Config) -> list[socket.socket]:
    """Open what the configuration says to listen on.  Raises ``ConfigError``."""
    if config.uds is not None:
        return [sockets.unix(config.uds, config.backlog)]
    if config.fd is not None:
        return [sockets.inherited(config.fd, config.backlog)]
    return [sockets.tcp(config.host, config.port, config.backlog)]


def _load(config: Config) -> Application:
    """Import the application; what fails inside it is logged without our own frames."""
    try:
        application = load_all(config)
        return LiveReload(application) if config.live_reload else application
    except ConfigError:
        raise
    except Exception as error:
        frames = error.__traceback__
        while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
            frames = frames.tb_next
        logger.error("%r cannot be loaded", config.app, exc_info=error.with_traceback(frames))
        raise StartupFailed(f"{config.app!r} cannot be loaded: {error!r}") from error


def _is_ours(filename: str) -> bool:
    return filename.startswith((_PACKAGE, _IMPORTLIB, "<frozen importlib"))


class StartupFailed(TidegateError):
    """The application did not start; the reason has been logged."""


class Server:
    """Serves ``config.app`` until asked to stop.

    ``await Server(config).serve()`` inside a running loop; from elsewhere
    ``tidegate.run``.  ``started`` is set while connections are accepted.
    """

    # When the graceful time is over, applications hear that their client has left
    # and have this long to end by themselves, then this long after a cancellation.
    told_seconds = 1.0
    cancel_seconds = 2.0

    def __init__(self, config: Config) -> None:
        self.config = config
        self.started = asyncio.Event()
        self.addresses: list[str] = []  # where it listens, as URLs
        self.servers: list[asyncio.AbstractServer] = []  # once it accepts, and after
        self.worker: Worker | None = None  # None until serve()
        self.guard: Guard | None = None  # None until serve(), or if not wanted
        self.certificates: Certificates | None = None  # None until serve(), or without TLS
        self._stop: Stop | None = None
        self._should_exit = False
        self._announces = True  # False in a worker: its supervisor did
        self._changed = asyncio.Event()
        self._max_requests = self._draw_max_requests()

    @property
    def should_exit(self) -> bool:
        """Set it to stop the server gracefully; from any thread."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if value and self._stop is not None:
            self._stop.request()

    async def serve(self, listeners: Sequence[socket.socket] | None = None) -> None:
        """Serve until SIGINT, SIGTERM or ``should_exit``; then drain and return.

        ``listeners`` replace what the configuration says about where to
        listen.  Raises ``ConfigError`` if the target or the place is no good,
        ``StartupFailed`` if the lifespan says so.
        """
        configure(self.config)
        config = self.config
        self._announces = listeners is None
        self.certificates = certificates(config)
        if self.certificates is not None and self._announces:
            self.certificates.warn()
        application = _load(config)
        # Before the lifespan: a taken port must not cost a start of the application.
        own = listen(config) if listeners is None else list(listeners)
        self._stop = stop = Stop()
        if self._should_exit:
            stop.request()
        try:
            with stop.listening():
                await self._serve(application, own, stop)
        finally:
            for listener in own:
                listener.close()
            if config.uds is not None and listeners is None:
                with suppress(FileNotFoundError):
                    os.unlink(config.uds)

    async def _serve(
        self, application: Application, listeners: list[socket.socket], stop: Stop
    ) -> None:
        began = time.monotonic()
        config = self.config
        lifespan = Lifespan(application, config.lifespan)
        if not await self._start(lifespan, stop):
            return
        worker = self._make_worker(application, lifespan)
        # Only now: what starts an application may block, nobody waits yet.
        self.guard = guard = self._make_guard()
        try:
            if guard is not None:
                guard.start()
            self.servers += await self._accept(worker, listeners)
            if self._announces:
                announce(listeners, config)
            seconds = time.monotonic() - began
            logger.debug("Started in %.0f ms, %s, process %d", seconds * 1000, speed(), os.getpid())
            self.started.set()
            await stop.until(1)
        finally:
            self.started.clear()
            for server in self.servers:
                server.close()
            await self._drain(worker, stop)
            worker.clock.stop()
            if guard is not None:
                guard.stop()
            await self._shut_down(lifespan, stop)

    async def _start(self, lifespan: Lifespan, stop: Stop) -> bool:
        """Run the startup of the application; False if we were asked to stop meanwhile."""
        try:
            if await stop.unless(1, lifespan.startup(self.config.timeout_lifespan_startup)):
                return True
        except LifespanFailed as error:
            logger.error("The application did not start: %s", error)
            raise StartupFailed(str(error)) from None
        logger.info("Stopped before the application had started")
        lifespan.abandon()
        return False

    def _make_worker(self, application: Application, lifespan: Lifespan) -> Worker:
        config = self.config
        service = self._make_service(application)
        service.state = lifespan.state
        clock = Clock(service, config.response_fields(), config.sends_date())
        clock.start()
        service.on_change = self._on_change
        self.worker = Worker(
            service,
            clock,
            config.timeouts(),
            config.http1(),
            config.websocket(),
            WebSocketLimits(max_message_size=config.ws_max_size),
            max_requests=self._max_requests,
        )
        if isinstance(service, WsgiService):
            self.worker.exchange = WsgiExchange
            # What asks for a socket is served as if it had not asked.
            self.worker.websocket.enabled = False
        return self.worker

    def _make_service(self, application: Application) -> Service:
        loop = asyncio.get_running_loop()
        access_log = AccessLog() if self.config.access_log else None
        if isinstance(application, Wsgi):
            return WsgiService(application, self.config.policy(), loop, access_log)
        return Service(application, self.config.policy(), loop, access_log)

    def _make_guard(self) -> Guard | None:
        config = self.config
        if not config.guard:
            return None
        target = config.app if isinstance(config.app, str) else ""
        settings = GuardSettings(
            pace=Pace(threshold=config.guard_threshold),
            sites=config.guard_sites,
            package=target.partition(":")[0].partition(".")[0],
        )
        return Guard(asyncio.get_running_loop(), settings)

    async def _accept(
        self, worker: Worker, listeners: list[socket.socket]
    ) -> list[asyncio.AbstractServer]:
        loop = asyncio.get_running_loop()
        backlog = self.config.backlog
        self.addresses = [_address(each, self.config) for each in listeners]
        make: Callable[[], asyncio.Protocol] = partial(Http1Connection, worker)
        if self.certificates is not None:
            worker.clock.watched.add(self.certificates)
            make = partial(Handshake, worker, self.certificates)
        return [await loop.create_server(make, sock=one, backlog=backlog) for one in listeners]

    def _draw_max_requests(self) -> int | None:
        limit = self.config.limit_max_requests
        if limit is None:
            return None
        return limit + random.randint(0, self.config.limit_max_requests_jitter)

    def _on_change(self) -> None:
        """A connection closed, or nothing is in progress, or enough was served."""
        self._changed.set()
        worker = self.worker
        if self._max_requests is None or worker is None or self._should_exit:
            return
        if worker.service.total_requests >= self._max_requests:
            logger.info("Served %d requests; stopping", worker.service.total_requests)
            self.should_exit = True

    async def _drain(self, worker: Worker, stop: Stop) -> None:
        """Let what is in progress end; after the graceful time, end it."""
        worker.draining = True
        for connection in list(worker.connections):
            connection.drain()
        seconds = self.config.timeout_graceful_shutdown
        if worker.service.running:
            logger.info("Waiting up to %g s for %s to end", seconds, _in_progress(worker))
        try:
            async with asyncio.timeout(seconds):
                if await stop.unless(2, self._idle(worker)):
                    return
            logger.warning("Asked again: cancelling %s", _in_progress(worker))
        except TimeoutError:
            logger.warning("After %g s: cancelling %s", seconds, _in_progress(worker))
        await self._cancel(worker, stop)

    async def _idle(self, worker: Worker) -> None:
        """Return when nothing is in progress any more."""
        while worker.connections or worker.service.running:
            self._changed.clear()
            await self._changed.wait()

    async def _cancel(self, worker: Worker, stop: Stop) -> None:
        """End what is in progress: tell the applications, then cancel them."""
        for exchange in list(worker.service.running):
            exchange.peer_gone()
        for connection in list(worker.connections):
            connection.abort()
        if await self._idle_within(self.told_seconds, worker, stop):
            return
        for exchange in list(worker.service.running):
            if exchange.task is not None:
                exchange.task.cancel("the server is shutting down")
        if not await self._idle_within(self.cancel_seconds, worker, stop):
            logger.error("Leaving %s, deaf to the cancellation", _in_progress(worker))

    async def _idle_within(self, seconds: float, worker: Worker, stop: Stop) -> bool:
        """Say whether everything ends within ``seconds``, or until we are asked again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await stop.unless(3, self._idle(worker))
        return False

    async def _shut_down(self, lifespan: Lifespan, stop: Stop) -> None:
        seconds = self.config.timeout_lifespan_shutdown
        # Whoever asked twice waits no longer than it takes to ask once more.
        if not await stop.unless(stop.urgency + 1, lifespan.shutdown(seconds)):
            logger.warning("Asked again: not waiting for the lifespan shutdown")
            lifespan.abandon()
        logger.info("Stopped")


def _in_progress(worker: Worker) -> str:
    count = len(worker.service.running)
    return "1 request" if count == 1 else f"{count} requests"


def announce(listeners: Sequence[socket.socket], config: Config) -> None:
    """Log where we listen; scripts wait for this line."""
    for listener in listeners:
        logger.info(
            "Tidegate %s running on %s (press Ctrl+C to stop)",
            __version__,
            _address(listener, config),
        )


def _address(listener: socket.socket, config: Config) -> str:
    return sockets.address_of(listener, "http" if config.ssl_certfile is None else "https")
