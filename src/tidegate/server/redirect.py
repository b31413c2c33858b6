"""Where does a client go that speaks HTTP where HTTPS is meant?  To the same URL with ``https``.

A listener of its own, in clear, that knows nothing but this answer; the
connections on it are watched, limited and drained as all others.
"""

from __future__ import annotations

import dataclasses
import re
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..asgi import Receive, Scope, Send
from ..exchange.http import HttpExchange
from ..exchange.service import Policy, Service
from ..http import http_date
from ..net import sockets
from ..net.worker import WebSocketSettings, Worker

if TYPE_CHECKING:
    from .config import Config

__all__ = ["Redirect", "apart", "in_clear", "listen"]

_PORT = re.compile(rb":[0-9]*$")

_HTTPS = 443


class Redirect:
    """An ASGI application that answers 308, and 400 to who does not say which host is meant."""

    def __init__(self, port: int, date: bool = True) -> None:
        """``port`` is that of the HTTPS URL."""
        self._suffix = b"" if port == _HTTPS else b":%d" % port
        self._date = date

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = [(b"content-length", b"0")]
        if self._date:
            headers.append((b"date", http_date(time.time())))
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host = _PORT.sub(b"", hosts[0]) if hosts else b""
        if host:
            # 308 keeps the method (RFC 9110 section 15.4.9).
            query = b"?" + scope["query_string"] if scope["query_string"] else b""
            place = b"https://" + host + self._suffix + scope["raw_path"] + query
            headers.append((b"location", place))
        status = 308 if host else 400
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body"})


def listen(config: Config) -> list[socket.socket]:
    """Open what is to be listened on in clear, if anything.  Raises ``ConfigError``."""
    place = config.redirect_address(config.host)
    return [] if place is None else [sockets.tcp(*place, config.backlog)]


def apart(
    config: Config, listeners: Sequence[socket.socket]
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Divide listeners into those that serve the application, and the last, which redirects."""
    count = len(listeners) - (config.http_redirect is not None)
    return list(listeners[:count]), list(listeners[count:])


def in_clear(config: Config, worker: Worker, listener: socket.socket) -> Worker:
    """Return a worker whose connections redirect to ``listener``; it shares what it can."""
    own = worker.service
    name = listener.getsockname()
    port = config.http_redirect_to or (name[1] if isinstance(name, tuple) else _HTTPS)
    service = Service(
        Redirect(port, config.sends_date()), Policy(proxies=config.proxies()), own.loop, own.journal
    )
    service.on_change, service.running = own.on_change, own.running
    return dataclasses.replace(
        worker,
        service=service,
        exchange=HttpExchange,
        websocket=WebSocketSettings(enabled=False),
        max_requests=None,
    )
