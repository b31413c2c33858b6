"""Whom a protocol core calls.

A core never returns event objects: it calls its sink while it is being fed.
The sink is a connection, or the recorder of ``tidegate.testing.wire``.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..errors import BadRequest
from ..http import Head
from .http2.stream import Stream

__all__ = ["NOBODY", "Http1Sink", "Http2Sink", "WebSocketSink"]

NOBODY: Any = None
"""The sink of a core that was released: closed, it has nothing to tell."""


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


class Http2Sink(Protocol):
    """What an HTTP/2 core reports: in order for one stream, in any order for several."""

    def on_request(self, stream: Stream, head: Head, ended: bool) -> None:
        """A head is complete.  ``ended`` says that nothing of this request follows."""

    def on_body(self, stream: Stream, data: bytes, ended: bool) -> None:
        """More content arrived.  ``data`` may be empty only when ``ended``."""

    def on_trailers(self, stream: Stream, fields: list[tuple[bytes, bytes]]) -> None:
        """Trailer fields arrived; the last ``on_body`` follows at once."""

    def on_refused(self, stream: Stream, error: BadRequest) -> None:
        """A request cannot be served; answer with the status of ``error``.

        It is new, or one whose content has become too much.
        """

    def on_reset(self, stream: Stream, code: int) -> None:
        """The stream ended before its time: the peer cancelled it, or broke its rules."""

    def on_writable(self, stream: Stream) -> None:
        """``stream.congested`` has become False."""

    def on_closed(self, stream: Stream) -> None:
        """Nothing more is sent or received on the stream, for whatever reason."""

    def on_pong(self, payload: bytes) -> None:
        """A ping of ours was answered."""


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
