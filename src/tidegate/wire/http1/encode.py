"""From a response to bytes (RFC 9112 sections 4 and 7).

Names and values arrive as ``Field`` objects, which are checked already.  The
application has no say in framing: its Transfer-Encoding and Connection fields
are dropped, and only its wish to close is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...http import CODING, CONNECTION, DATE, SERVER, Field, phrase

__all__ = ["LAST_CHUNK", "chunk", "encode_head", "informational"]

LAST_CHUNK = b"0\r\n\r\n"

_STATUS_LINES: dict[int, bytes] = {}


def encode_head(
    status: int, fields: Sequence[Field], roles: int, defaults: Sequence[Field], framing: bytes
) -> bytes:
    """Return the head of a response, empty line included.

    ``roles`` is the union of the roles of ``fields``.  ``defaults`` are the
    server's own fields (Date, Server), sent unless the application gave its
    own.  ``framing`` is zero or more complete lines that say where the content
    ends and what becomes of the connection.
    """
    parts = [_STATUS_LINES.get(status) or _status_line(status)]
    if roles & (DATE | SERVER | CODING | CONNECTION):
        parts += [f.line for f in defaults if not (f.role & roles & (DATE | SERVER))]
        parts += [f.line for f in fields if not f.role & (CODING | CONNECTION)]
    else:
        for default in defaults:
            parts.append(default.line)
        for field in fields:
            parts.append(field.line)
    parts.append(framing)
    parts.append(b"\r\n")
    return b"".join(parts)


def informational(status: int, fields: Sequence[Field]) -> bytes:
    """Return an interim response (1xx); the final one is still to come."""
    return encode_head(status, fields, 0, (), b"")


def chunk(data: bytes) -> bytes:
    """Return ``data``, which must not be empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _status_line(status: int) -> bytes:
    line = f"HTTP/1.1 {status} {phrase(status)}\r\n".encode()
    _STATUS_LINES[status] = line
    return line
