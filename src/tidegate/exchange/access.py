"""One line for each request, when its response is over."""

from __future__ import annotations

import logging
import time

from .ended import Ended, EndedRequest, EndedSocket
from .formats import Line, escaped
from .out import Address

__all__ = ["CLIENT_LEFT", "AccessLog", "format_address"]

CLIENT_LEFT = 499
"""Logged as the status when the client left before any answer (nginx's convention)."""


class AccessLog:
    """Writes to the logger ``tidegate.access``.

    The arguments of each record are client, method, target, HTTP version and
    status, as existing formatters expect, then milliseconds and bytes of content.
    With a ``line``, records also have an attribute ``access``: what that
    returns for the request.  A WebSocket then has one line, when it is closed.
    """

    def __init__(self, line: Line | None = None, logger: logging.Logger | None = None) -> None:
        self._line = line
        self._logger = logger or logging.getLogger("tidegate.access")

    def write(self, request: EndedRequest, client: Address | None, status: int) -> None:
        """Log one request."""
        if not self._logger.isEnabledFor(logging.INFO):
            return
        seconds = time.perf_counter() - request.started_at
        extra = None if request.names is None else request.names.fields()
        if self._line is not None:
            extra = {"access": self._line(Ended.request(request, client, status)), **(extra or {})}
        head = request.head
        self._logger.info(
            '%s - "%s %s HTTP/%s" %d %.1fms %dB',
            format_address(client),
            head.method,
            # Checked on arrival: visible ASCII only, so nothing to escape.
            head.target.decode("ascii"),
            head.version,
            status,
            seconds * 1000,
            request.size,
            extra=extra,
        )

    def write_socket(self, socket: EndedSocket, what: str, code: int | None) -> None:
        """Log that a WebSocket was accepted or closed, with the close code."""
        if not self._logger.isEnabledFor(logging.INFO):
            return
        address = format_address(socket.scope["client"])
        path = socket.target.decode("ascii")
        if code is None:
            if self._line is None:
                self._logger.info('%s - "WebSocket %s" [%s]', address, path, what)
            return
        extra = None if socket.names is None else socket.names.fields()
        if self._line is not None:
            extra = {"access": self._line(Ended.socket(socket, code)), **(extra or {})}
        text = '%s - "WebSocket %s" [%s %d] %.1fs'
        seconds = time.perf_counter() - socket.started_at
        self._logger.info(text, address, path, what, code, seconds, extra=extra)


def format_address(address: Address | None) -> str:
    """Return ``host:port`` as people write it."""
    if address is None:
        return "-"
    host, port = address
    if not (host.isascii() and host.isprintable()):
        # A proxy passes on what clients write.
        host = escaped(host.encode("utf-8", "surrogateescape"))
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
