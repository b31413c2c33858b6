"""Whom a protocol core calls.

A core never returns event objects: it calls its sink while it is being fed.
The sink is a connection, or the recorder of ``tidegate.testing.wire``.
"""

from __future__ import annotations

from typing import Protocol

from ..http import Head

__all__ = ["Http1Sink"]


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
