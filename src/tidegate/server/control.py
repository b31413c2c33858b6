"""The control socket, and the listener for metrics: a thread with a loop of its own.

It answers while the application blocks the loop that serves: that is when
somebody looks.  One line is one call, ``{"call": "status", "args": {}}``, and
one line is the answer, ``{"ok": ...}`` or ``{"error": "..."}``.  Who may open
the socket may stop the server, so its mode is 0600.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ..asgi import Receive, Scope, Send
from ..errors import ConfigError, TidegateError
from ..exchange.service import Policy, Service
from ..net import sockets
from ..net.clock import Clock
from ..net.http1 import Http1Connection
from ..net.worker import Worker
from .config import Config
from .desk import Desk
from .metrics.page import MetricsPage

__all__ = ["Control"]

logger = logging.getLogger("tidegate.error")

_MAX_LINE = 64 * 1024
_BACKLOG = 64
_STOP_SECONDS = 2.0


class Control:
    """Opens what the configuration asks for; ``start`` it, and ``stop`` it at the end.

    ``addresses`` are where metrics are served, as URLs.
    """

    def __init__(self, config: Config, desk: Desk) -> None:
        self.addresses: list[str] = []
        self._config = config
        self._desk = desk
        self._listeners: list[socket.socket] = []
        self._socket: socket.socket | None = None  # for control; None if not wanted
        self._thread: threading.Thread | None = None  # None unless running
        self._loop = asyncio.new_event_loop()

    def start(self) -> None:
        """Listen, if anything is to be listened on.  Raises ``ConfigError``."""
        place = self._config.metrics_place()
        if place is not None:
            listener = sockets.tcp(*place, _BACKLOG)
            self._listeners.append(listener)
            self.addresses.append(sockets.address_of(listener) + "/metrics")
            logger.info("Metrics are at %s", self.addresses[0])
        if self._config.control_socket is not None:
            try:
                self._socket = sockets.unix(self._config.control_socket, _BACKLOG, 0o600)
            except ConfigError as error:
                raise ConfigError(f"control_socket: {error}") from None
        if place is not None or self._socket is not None:
            self._thread = threading.Thread(target=self._run, name="tidegate-control", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Close everything.  Harmless if nothing was started."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(_STOP_SECONDS)
        for listener in self._listeners:
            listener.close()
        if self._socket is not None and self._config.control_socket is not None:
            self._socket.close()
            self._socket = None
            with suppress(FileNotFoundError):
                os.unlink(self._config.control_socket)
        if thread is None or not thread.is_alive():
            self._loop.close()

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        try:
            servers = loop.run_until_complete(self._open())
            loop.run_forever()
            for server in servers:
                server.close()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
        except Exception:
            logger.exception("The control thread failed; nobody answers there any more")

    async def _open(self) -> Sequence[asyncio.AbstractServer]:
        servers: list[asyncio.AbstractServer] = []
        if self._socket is not None:
            servers.append(
                await asyncio.start_unix_server(self._talk, sock=self._socket, limit=_MAX_LINE)
            )
        page = MetricsPage("/metrics", self._desk.samples, _not_found)
        service = Service(page, Policy(), self._loop)
        clock = Clock(service)
        worker = Worker(service, clock)
        clock.start()
        for listener in self._listeners:
            make = partial(Http1Connection, worker)
            servers.append(await self._loop.create_server(make, sock=listener))
        return servers

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the lines of one connection until it ends."""
        try:
            while line := await reader.readline():
                writer.write(await self._answer(line))
                await writer.drain()
        except (OSError, ValueError):
            pass  # it is gone, or sent a line without end
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> bytes:
        try:
            asked = json.loads(line)
            name, args = asked["call"], asked.get("args") or {}
            if not isinstance(name, str) or not isinstance(args, dict):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError):
            return _line({"error": 'write one line: {"call": "status", "args": {}}'})
        try:
            return _line({"ok": await self._desk.answer(name, args)})
        except TidegateError as error:
            return _line({"error": str(error)})
        except Exception as error:
            logger.exception("The call %r failed", name)
            return _line({"error": repr(error)})


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": b"404 Not Found: see /metrics\n"})


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"
