"""From a response to bytes (RFC 9112 sections 4 and 7).

Names and values arrive as ``Field`` objects, which are checked already.  The
application has no say in framing: its Transfer-Encoding and Connection fields
are dropped, and only its wish to close is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...http import (
    CODING,
    CONNECTION,
    DATE,
    LENGTH,
    REASON,
    SERVER,
    Defaults,
    Field,
    phrase,
)

__all__ = ["LAST_CHUNK", "chunk", "chunk_size", "encode_head", "informational", "last_chunk"]

LAST_CHUNK = b"0\r\n\r\n"

# An application that sends one of these needs a closer look.
_UNUSUAL = CODING | CONNECTION | DATE | SERVER | REASON

_NO_DEFAULTS = Defaults(())

_STATUS_LINES: dict[int, bytes] = {}


def encode_head(
    status: int,
    fields: Sequence[Field],
    roles: int,
    defaults: Defaults,
    framing: bytes,
    body: bytes = b"",
) -> bytes:
    """Return the head of a response, empty line included, and ``body`` after it.

    ``roles`` is the union of the roles of ``fields``.  ``defaults`` are the
    server's own fields (Date, Server), sent unless the application gave its
    own.  ``framing`` is zero or more complete lines that say where the content
    ends and what becomes of the connection.
    """
    status_lines = _STATUS_LINES
    parts = [status_lines.get(status) or _status_line(status)]
    if roles & _UNUSUAL:
        for reason in [f.value for f in fields if f.role == REASON]:
            parts = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
        parts += [f.line for f in defaults.fields if not f.role & roles & (DATE | SERVER)]
        parts += [f.line for f in fields if not f.role & (CODING | CONNECTION | REASON)]
    else:
        parts.append(defaults.lines)
        for field in fields:
            parts.append(field.line)
    parts.append(framing)
    parts.append(b"\r\n")
    parts.append(body)
    return b"".join(parts)


def informational(status: int, fields: Sequence[Field]) -> bytes:
    """Return an interim response (1xx); the final one is still to come.

    It has no content, so nothing in it may say how long that is; and only 101
    is about the connection (RFC 9110 section 7.8).
    """
    kept = [field for field in fields if not field.role & (CODING | LENGTH | CONNECTION)]
    framing = b"connection: upgrade\r\n" if status == 101 else b""
    return encode_head(status, kept, 0, _NO_DEFAULTS, framing)


def chunk(data: bytes) -> bytes:
    """Return ``data``, which must not be empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunk_size(size: int) -> bytes:
    """Return what stands before ``size`` bytes of one chunk; an empty line follows them."""
    return b"%x\r\n" % size


def last_chunk(trailers: Sequence[Field]) -> bytes:
    """Return the end of chunked content, with the fields that come after it."""
    return b"".join([b"0\r\n", *[field.line for field in trailers], b"\r\n"])


def _status_line(status: int) -> bytes:
    line = f"HTTP/1.1 {status} {phrase(status)}\r\n".encode()
    _STATUS_LINES[status] = line
    return line
