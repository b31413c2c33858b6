"""Whom a protocol core calls.

A core never returns event objects: it calls its sink while it is being fed.
The sink is a connection, or the recorder of ``tidegate.testing.wire``.
"""

from __future__ import annotations

from typing import Protocol

from ..http import Head

__all__ = ["Http1Sink", "WebSocketSink"]


class Http1Sink(Protocol):
    """What an HTTP/1 core reports, in order, one request at a time."""

    def on_request(self, head: Head, body: bytes, ended: bool) -> None:
        """A head is complete.

        ``body`` is what of the content came along with it.  ``ended`` says that
        nothing of this request follows: most requests are this one call.
        """

    def on_body(self, data: bytes, ended: bool) -> None:
        """More content arrived.  ``data`` may be empty only when ``ended``."""

    def on_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Trailer fields arrived; the last ``on_body`` follows at once."""


class WebSocketSink(Protocol):
    """What a WebSocket core reports, in order."""

    def on_message(self, message: str | bytes) -> None:
        """A message is complete: ``str`` if it is text."""

    def on_ping(self, payload: bytes) -> None:
        """A ping arrived; it must be answered with the same payload."""

    def on_pong(self, payload: bytes) -> None:
        """A pong arrived."""

    def on_close(self, code: int, reason: str) -> None:
        """The peer closes; ``code`` is 1005 if it gave none.  Nothing follows."""
