"""uvicorn's ``Server`` and ``run``, with Tidegate's server inside."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from types import FrameType
from typing import Unpack

from ..asgi import Application
from ..errors import ConfigError
from ..server.loops import run_in_loop
from ..server.run import serve
from ..server.server import EXIT_STARTUP_FAILED, StartupFailed
from ..server.server import Server as TidegateServer
from .config import Config, Settings

__all__ = ["Server", "ServerState", "run"]

logger = logging.getLogger("uvicorn.error")


class ServerState:
    """What the server is doing: ``total_requests``, ``connections`` and ``tasks``."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def total_requests(self) -> int:
        """Return how many requests have begun."""
        worker = self._server.inner.worker if self._server.inner else None
        return worker.service.total_requests if worker else 0

    @property
    def connections(self) -> set[object]:
        """Return the open connections."""
        worker = self._server.inner.worker if self._server.inner else None
        return set(worker.connections) if worker else set()

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """Return the tasks of requests in progress."""
        worker = self._server.inner.worker if self._server.inner else None
        running = worker.service.running if worker else ()
        return {each.task for each in running if each.task is not None}


class Server:
    """uvicorn's ``Server``: ``serve`` in a loop that runs, or ``run`` in one of its own.

    ``inner`` is Tidegate's server, None until ``serve``.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.inner: TidegateServer | None = None
        self.server_state = ServerState(self)
        self._should_exit = False

    @property
    def started(self) -> bool:
        """Say whether connections are, or were, accepted."""
        return self.inner is not None and bool(self.inner.servers)

    @property
    def servers(self) -> list[asyncio.AbstractServer]:
        """Return the listening servers of asyncio, for their ``sockets``."""
        return self.inner.servers if self.inner is not None else []

    @property
    def should_exit(self) -> bool:
        """Set it to stop gracefully; from any thread."""
        return self.inner.should_exit if self.inner is not None else self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if self.inner is not None:
            self.inner.should_exit = value

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully: what a signal handler calls."""
        self.should_exit = True

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in a new event loop."""
        run_in_loop(self.config.tidegate(), lambda: self.serve(sockets))

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal or ``should_exit``.

        If the application does not start, that is logged and ``started`` stays
        false.  Raises ``ConfigError`` if the target or the place is no good.
        """
        self.inner = TidegateServer(self.config.tidegate())
        self.inner.should_exit = self._should_exit
        try:
            await self.inner.serve(sockets)
        except StartupFailed:
            self.should_exit = True


def run(
    app: Application | str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    **settings: Unpack[Settings],
) -> None:
    """Serve ``app`` until a signal says stop, as ``uvicorn.run`` does.

    Leaves the process with status 3 if the server does not start.
    """
    try:
        config = Config(app, host, port, **settings)
        if config.use_subprocess:
            serve(config.tidegate())
            return
        server = Server(config)
        server.run()
        if server.started:
            return
    except ConfigError as error:
        logger.error("%s", error)
    except StartupFailed:
        pass
    except KeyboardInterrupt:
        return
    sys.exit(EXIT_STARTUP_FAILED)
