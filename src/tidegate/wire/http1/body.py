"""The content of a request: so many bytes, or chunks (RFC 9112 sections 6 and 7).

A body object is fed what arrives and returns the content in it.  An error does
not swallow the content before it: it waits in ``error`` for the caller to raise.
"""

from __future__ import annotations

import re

from ...errors import BadRequest
from ...http import PROXY_FIELDS
from .head import parse_field
from .limits import Http1Limits

__all__ = ["ChunkedBody", "LengthBody"]

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(;[\t\x20-\x7e\x80-\xff]*)?")

# 15 digits, as in framing.MAX_DIGITS: above any limit, within 64 bits.
_MAX_SIZE_DIGITS = 15

# RFC 9110 section 6.5.1: fields that frame, route or authenticate must not
# arrive when the head has been acted upon already.
_FORBIDDEN_TRAILERS = frozenset(
    b"authorization connection content-encoding content-length content-range content-type "
    b"cookie expect host keep-alive max-forwards proxy-authorization range set-cookie te "
    b"trailer transfer-encoding upgrade".split()
).union(PROXY_FIELDS)

_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)


class LengthBody:
    """Content whose length the head announced."""

    __slots__ = ("_remaining", "ended", "error", "rest", "trailers")

    def __init__(self, length: int) -> None:
        self._remaining = length
        self.ended = length == 0
        self.error: BadRequest | None = None
        self.rest = b""  # what followed the content in the same bytes
        self.trailers: list[tuple[bytes, bytes]] = []

    @property
    def remaining(self) -> int | None:
        """Bytes still to come; None when nobody can know."""
        return self._remaining

    def feed(self, data: bytes) -> bytes:
        """Return the content in ``data``; what follows it is left in ``rest``."""
        if len(data) < self._remaining:
            self._remaining -= len(data)
            return data
        content, self.rest = data[: self._remaining], data[self._remaining :]
        self._remaining = 0
        self.ended = True
        return content


class ChunkedBody:
    """Content in chunks, with extensions and trailers bounded."""

    __slots__ = (
        *("_extensions_size", "_line", "_limits", "_remaining", "_state", "_total"),
        *("_trailer_size", "ended", "error", "rest", "trailers"),
    )

    def __init__(self, limits: Http1Limits) -> None:
        self._limits = limits
        self._state = _SIZE
        self._line = b""  # the part of a line that has arrived
        self._remaining = 0  # of the current chunk
        self._total = 0
        self._extensions_size = 0
        self._trailer_size = 0
        self.ended = False
        self.error: BadRequest | None = None
        self.rest = b""
        self.trailers: list[tuple[bytes, bytes]] = []

    @property
    def remaining(self) -> int | None:
        """Bytes still to come; None when nobody can know."""
        return None

    def feed(self, data: bytes) -> bytes:
        """Return the content in ``data``; what follows the body is left in ``rest``."""
        if self._line:
            data = self._line + data
            self._line = b""
        content: list[bytes] = []
        position = 0
        size = len(data)
        try:
            while position < size and not self.ended:
                if self._state == _DATA:
                    piece = data[position : position + self._remaining]
                    content.append(piece)
                    position += len(piece)
                    self._remaining -= len(piece)
                    if self._remaining == 0:
                        self._state = _DATA_END
                elif self._state == _DATA_END:
                    if data[position : position + 2] == b"\r\n":
                        self._state = _SIZE
                        position += 2
                    elif data[position:] == b"\r":
                        self._line = b"\r"
                        break
                    else:
                        raise BadRequest("a chunk does not end in CRLF")
                else:
                    line_end = data.find(b"\n", position)
                    self._check_line_size((line_end + 1 or size) - position)
                    if line_end < 0:
                        self._line = data[position:]
                        break
                    self._on_line(data[position : line_end + 1])
                    position = line_end + 1
        except BadRequest as error:
            self.error = error
        if self.ended:
            self.rest = data[position:]
        return b"".join(content)

    def _check_line_size(self, size: int) -> None:
        if self._state == _TRAILERS:
            if self._trailer_size + size > self._limits.max_trailer_size:
                raise BadRequest("trailer section too large", 431)
        elif size > _MAX_SIZE_DIGITS + self._limits.max_chunk_extension_size + 2:
            raise BadRequest("chunk size line too long")

    def _on_line(self, line: bytes) -> None:
        if line[-2:] != b"\r\n":
            raise BadRequest("a line of a chunked body ends in a bare LF")
        if self._state == _SIZE:
            self._on_size(line[:-2])
        elif len(line) == 2:
            self.ended = True
        else:
            self._on_trailer(line)

    def _on_size(self, line: bytes) -> None:
        parts = _CHUNK_SIZE.fullmatch(line)
        if parts is None:
            raise BadRequest("chunk size is not a hexadecimal number")
        self._extensions_size += len(parts[2] or b"")
        if len(parts[2] or b"") > self._limits.max_chunk_extension_size:
            raise BadRequest("chunk extension too long")
        if self._extensions_size > self._limits.max_chunk_extensions_size:
            raise BadRequest("chunk extensions too long")
        self._remaining = int(parts[1], 16)
        self._total += self._remaining
        if self._total > self._limits.max_body_size:
            limit = self._limits.max_body_size
            raise BadRequest(f"content larger than the limit of {limit} bytes", 413)
        self._state = _DATA if self._remaining else _TRAILERS

    def _on_trailer(self, line: bytes) -> None:
        self._trailer_size += len(line)
        name, value = parse_field(line[:-2])
        if name in _FORBIDDEN_TRAILERS:
            raise BadRequest(f"field {name.decode()} is not allowed in a trailer")
        if len(self.trailers) >= self._limits.max_fields:
            raise BadRequest(f"more than {self._limits.max_fields} trailer fields", 431)
        self.trailers.append((name, value))
