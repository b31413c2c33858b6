"""One line for each request, when its response is over."""

from __future__ import annotations

import logging

from .out import Address

__all__ = ["CLIENT_LEFT", "AccessLog", "format_address"]

CLIENT_LEFT = 499
"""Logged as the status when the client left before any answer (nginx's convention)."""


class AccessLog:
    """Writes to the logger ``tidegate.access``.

    The arguments of each record are client, method, target, HTTP version and
    status, as existing formatters expect, then milliseconds and bytes of content.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("tidegate.access")

    def write(
        self,
        client: Address | None,
        request: tuple[str, bytes, str],
        status: int,
        seconds: float,
        size: int,
    ) -> None:
        """Log one request: ``request`` is method, target as received and version."""
        method, target, version = request
        self._logger.info(
            '%s - "%s %s HTTP/%s" %d %.1fms %dB',
            format_address(client),
            method,
            # Checked on arrival: visible ASCII only, so nothing to escape.
            target.decode("ascii"),
            version,
            status,
            seconds * 1000,
            size,
        )

    def write_socket(
        self,
        client: Address | None,
        target: bytes,
        what: str,
        code: int | None,
        seconds: float,
    ) -> None:
        """Log that a WebSocket was accepted or closed, with the close code."""
        address, path = format_address(client), target.decode("ascii")
        if code is None:
            self._logger.info('%s - "WebSocket %s" [%s]', address, path, what)
        else:
            text = '%s - "WebSocket %s" [%s %d] %.1fs'
            self._logger.info(text, address, path, what, code, seconds)


def format_address(address: Address | None) -> str:
    """Return ``host:port`` as people write it."""
    if address is None:
        return "-"
    host, port = address
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
