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
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from .._pure import speed
from ..asgi import Application
from ..bridge.guard import Guard, GuardSettings, Pace
from ..bridge.wsgi.asgi import Wsgi
from ..errors import ConfigError, TidegateError
from ..exchange.lifespan import Lifespan, LifespanFailed
from ..exchange.service import Service
from ..exchange.wsgi import WsgiExchange, WsgiService
from ..net.acceptor import Acceptor, Turns
from ..net.certificates import Certificates
from ..net.clock import Clock
from ..net.worker import Worker
from ..wire.websocket.limits import WebSocketLimits
from . import redirect
from .config import Config
from .control import Control
from .desk import Desk, in_loop
from .doors import Udp, doors, http3
from .drain import Budgets, Drain
from .front import Choice, behind
from .listening import address_of, announce, datagrams, listen, remove
from .live import LiveReload
from .logs import configure
from .metrics.counts import Samples
from .metrics.exposition import added
from .metrics.page import MetricsPage
from .mounts import load_all
from .observer import Observer
from .policies import give_lanes
from .pools import close_threads, running_where
from .signals import Stop
from .static import StaticFiles
from .tls import certificates, rereading

if TYPE_CHECKING:
    from .http3 import Http3

__all__ = ["EXIT_STARTUP_FAILED", "Server", "StartupFailed"]

logger = logging.getLogger("tidegate.error")

EXIT_STARTUP_FAILED = 3

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_IMPORTLIB = os.path.dirname(importlib.__file__) + os.sep


def _load(config: Config) -> Application:
    """Import the application; what fails inside it is logged without our own frames."""
    try:
        application = load_all(config)
        if config.static:
            application = StaticFiles(
                config.static,
                application,
                fallthrough=config.static_fallthrough,
                cache_control=config.static_cache_control,
            )
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

    # At the very end, for calls in threads that nobody waits for.
    thread_seconds = 1.0

    def __init__(self, config: Config) -> None:
        self.config = config
        self.started = asyncio.Event()
        self.addresses: list[str] = []  # where it listens, as URLs
        self.servers: list[asyncio.AbstractServer] = []  # once it accepts, and after
        self.worker: Worker | None = None  # None until serve()
        self.guard: Guard | None = None  # None until serve(), or if not wanted
        self.certificates: Certificates | None = None  # None until serve(), or without TLS
        self.observer: Observer | None = None  # None until serve()
        self.control: Control | None = None  # None until serve()
        # How a worker asks its supervisor for the figures of all; None without one.
        self.everybodys_samples: Callable[[], Awaitable[Samples]] | None = None
        # Set before serve() if other processes share the listeners.
        self.turns: Turns | None = None
        self.udp: Udp | None = None  # the same
        self.on_enough = self._stop_serving  # called after limit_max_requests
        self._stop: Stop | None = None
        self._acceptor: Acceptor | None = None  # None unless it is to take turns
        self._http3: Http3 | None = None  # None unless it is spoken
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
        with running_where(self.config):
            await self._run(listeners)

    async def _run(self, listeners: Sequence[socket.socket] | None) -> None:
        config = self.config
        self._announces = listeners is None
        self.certificates = certificates(config)
        if self.certificates is not None and self._announces:
            self.certificates.warn()
        application = _load(config)
        if config.otel:
            # Not imported by whoever does without.
            application = importlib.import_module(".otel", __package__).Traced(application)
        if config.metrics_path is not None:
            application = MetricsPage(config.metrics_path, self._samples, application)
        # Before the lifespan: a taken port must not cost a start of the application.
        own = listen(config) if listeners is None else list(listeners)
        self._http3 = http3(config, self.certificates, self.udp or Udp(datagrams(config, own)))
        self.observer, self.control = self._make_observer()
        self._stop = stop = Stop()
        if self._should_exit:
            stop.request()
        try:
            if self.everybodys_samples is None:
                self.control.start()
            with stop.listening(), rereading(self.certificates):
                await self._serve(application, own, stop)
        finally:
            self.control.stop()
            if self._http3 is not None:
                self._http3.close()
            for listener in own:
                listener.close()
            if listeners is None:
                remove(config)

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
        observer = self.observer
        if observer is not None:
            observer.attach(worker, guard, self.certificates)
            observer.start()
        try:
            if guard is not None:
                guard.start()
            await self._accept(worker, listeners)
            if self._announces:
                announce(listeners, config)
            seconds = time.monotonic() - began
            logger.debug("Started in %.0f ms, %s, process %d", seconds * 1000, speed(), os.getpid())
            self.started.set()
            await stop.until(1)
            await self._delay(worker, stop)
        finally:
            self.started.clear()
            await self._stop_accepting()
            await self._drain(worker, stop)
            worker.clock.stop()
            if observer is not None:
                observer.stop()
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
        sockets = config.ws != "none" and not isinstance(service, WsgiService)
        multiplexed = config.http2_limits(sockets)
        self.worker = Worker(
            service,
            clock,
            config.timeouts(),
            config.http1(),
            config.websocket(),
            WebSocketLimits(max_message_size=config.ws_max_size),
            http2=multiplexed if config.http2 else None,
            http3=multiplexed if config.http3 else None,
            max_requests=self._max_requests,
            drain_linger=config.drain_linger,
        )
        if isinstance(service, WsgiService):
            self.worker.exchange = WsgiExchange
            # What asks for a socket is served as if it had not asked.
            self.worker.websocket.enabled = False
        choice = Choice(application)
        if choice.is_needed:
            self.worker.exchange = choice
        self.worker.limit_connections(
            config.limit_connections, config.limit_connections_per_address
        )
        observer = self.observer
        give_lanes(config, self.worker, observer.counts if observer is not None else None)
        return self.worker

    def _make_service(self, application: Application) -> Service:
        loop = asyncio.get_running_loop()
        policy = self.config.policy()
        journal = self.observer.journal() if self.observer is not None else None
        service: Service
        innermost = behind(application)[0]
        if isinstance(innermost, Wsgi):
            service = WsgiService(innermost, policy, loop, journal)
            service.call(application)
        else:
            service = Service(application, policy, loop, journal)
        service.naming = self.config.naming()
        return service

    def _make_observer(self) -> tuple[Observer, Control]:
        """Return who knows about this process, and who tells others."""
        loop = asyncio.get_running_loop()
        observer = Observer(self.config, loop)
        desk = Desk(in_loop(loop, observer.calls), {"drain": self._on_drain_order})
        return observer, Control(self.config, desk)

    def _on_drain_order(self, args: dict[str, Any]) -> bool:
        logger.info("Asked to drain by way of the control socket")
        self.should_exit = True
        return True

    async def _samples(self) -> Samples:
        """Return the figures for the page on our own listener: those of all workers."""
        if self.everybodys_samples is not None:
            return await self.everybodys_samples()
        return added([self.observer.samples()]) if self.observer is not None else {}

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

    async def _accept(self, worker: Worker, listeners: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        backlog = self.config.backlog
        own = redirect.apart(self.config, listeners)[0]
        self.addresses = [address_of(each, self.config) for each in own]
        if self.certificates is not None:
            worker.clock.watched.add(self.certificates)
        if self._http3 is not None:
            self._http3.start(worker)
        makers = doors(self.config, worker, self.certificates, listeners)
        if self.turns is not None:
            self._acceptor = Acceptor(makers, self.turns, worker.connections.__len__)
            self._acceptor.start()
            return
        for one, make in makers:
            self.servers.append(await loop.create_server(make, sock=one, backlog=backlog))

    async def _stop_accepting(self) -> None:
        for server in self.servers:
            server.close()
        if self._acceptor is not None:
            await self._acceptor.close()
        if self._http3 is not None:
            self._http3.stop_accepting()

    def _draw_max_requests(self) -> int | None:
        limit = self.config.limit_max_requests
        if limit is None:
            return None
        return limit + random.randint(0, self.config.limit_max_requests_jitter)

    def _on_change(self) -> None:
        """A connection closed, or nothing is in progress, or enough was served."""
        self._changed.set()
        if self._acceptor is not None:
            self._acceptor.count()
        worker = self.worker
        if self._max_requests is None or worker is None or self._should_exit:
            return
        if worker.service.total_requests >= self._max_requests:
            self._max_requests = None
            self.on_enough()

    def _stop_serving(self) -> None:
        """Stop after enough requests; nobody is there who would start another."""
        logger.info("Served enough requests; stopping")
        self.should_exit = True

    async def _delay(self, worker: Worker, stop: Stop) -> None:
        """Go on serving, no longer ready, until everybody has heard that we are leaving."""
        worker.ready = False
        seconds = self.config.drain_delay
        if seconds:
            logger.info("Not ready any more; serving for another %g s", seconds)
            await stop.unless(2, asyncio.sleep(seconds))

    async def _drain(self, worker: Worker, stop: Stop) -> None:
        """Let what is in progress end; after its time, end it."""
        config = self.config
        budgets = Budgets(
            requests=config.timeout_graceful_shutdown,
            streams=config.timeout_stream_drain,
            told=self.told_seconds,
            cancelled=self.cancel_seconds,
        )
        await Drain(worker, stop, self._changed, budgets).run()

    async def _shut_down(self, lifespan: Lifespan, stop: Stop) -> None:
        seconds = self.config.timeout_lifespan_shutdown
        # Whoever asked twice waits no longer than it takes to ask once more.
        if not await stop.unless(stop.urgency + 1, lifespan.shutdown(seconds)):
            logger.warning("Asked again: not waiting for the lifespan shutdown")
            lifespan.abandon()
        await close_threads(self.thread_seconds)
        logger.info("Stopped")
