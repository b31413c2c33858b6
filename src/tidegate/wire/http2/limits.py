"""How much of everything one HTTP/2 peer may send."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Http2Limits"]


@dataclass(slots=True)
class Http2Limits:
    """Bounds checked before the work they would cause; sizes are bytes.

    Each answers an attack named in THREATS.md.
    """

    max_concurrent_streams: int = 128
    """Requests at once on one connection; more are refused, and may be repeated."""

    max_head_size: int = 64 * 1024
    """Fields of a head as HPACK counts them; more is answered 431."""

    max_fields: int = 100
    """Fields of one head or trailer section; more is answered 431."""

    max_target_size: int = 8 * 1024
    """The path and query; more is answered 414."""

    max_body_size: int = 1024 * 1024 * 1024
    """Content of one request; more is answered 413."""

    stream_window: int = 256 * 1024
    """What a peer may send of one request before we have taken it."""

    connection_window: int = 1024 * 1024
    """The same, of all requests of a connection together."""

    max_trailer_size: int = 8 * 1024
    """Fields after the content."""

    websocket: bool = True
    """Whether CONNECT may ask for a WebSocket (RFC 8441)."""
