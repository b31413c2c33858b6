"""How much of everything one HTTP/1 peer may send."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Http1Limits"]


@dataclass(slots=True)
class Http1Limits:
    """Bounds checked before the work they would cause; sizes are bytes.

    Each answers an attack named in THREATS.md.
    """

    max_head_size: int = 64 * 1024
    """Request line and fields together; more is answered 431."""

    max_fields: int = 100
    """Field lines of one head or trailer section; more is answered 431."""

    max_target_size: int = 8 * 1024
    """The request target; more is answered 414."""

    max_body_size: int = 1024 * 1024 * 1024
    """Content of one request after decoding; more is answered 413."""

    max_chunk_extension_size: int = 256
    """Extensions of one chunk; nobody uses them, so more is refused."""

    max_chunk_extensions_size: int = 16 * 1024
    """Extensions of one whole body."""

    max_trailer_size: int = 8 * 1024
    """Trailer section after a chunked body; more is answered 431."""
