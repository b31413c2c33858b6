"""From the field block of a request to a ``Head``, and from a response to a block.

Neither side's blocks refer to others: the table of QPACK that changes (RFC 9204
section 3.2) has no size here.  So a block always means the same, what was read
or written before is only looked up, and no request waits for another stream.
"""

from __future__ import annotations

import copy
from typing import Protocol

from ...errors import BadRequest
from ...http import LENGTH, Defaults, Head
from ..http2.head import check_trailers, request_head
from ..http2.hpack import Pair
from ..http2.limits import Http2Limits
from ..http2.sending import head_pairs
from ..http2.stream import ResponseHead

__all__ = ["Heads", "Qpack"]

_MAX_KNOWN = 64
_MAX_KNOWN_SIZE = 512

# RFC 7541 section 4.1 counts so, and RFC 9114 section 4.2.2 with it.
_FIELD_OVERHEAD = 32

# content-length by name, number 4 of the static table (RFC 9204 section 4.5.4).
_CONTENT_LENGTH = 0x54


class Qpack(Protocol):
    """The compression of field sections, without memory."""

    def encode(self, pairs: list[Pair]) -> bytes:
        """Return the block of some fields."""

    def decode(self, block: bytes) -> list[Pair]:
        """Return the fields of a block.  Raises ``Http3Error``."""


class Heads:
    """Reads and writes the heads of one connection."""

    __slots__ = ("_blocks", "_blocks_of", "_known", "_limits", "_qpack")

    def __init__(self, limits: Http2Limits, qpack: Qpack) -> None:
        self._limits = limits
        self._qpack = qpack
        self._known: dict[tuple[bytes, bool], Head] = {}
        self._blocks: dict[tuple[object, ...], bytes] = {}  # of responses, as far as they repeat
        self._blocks_of: Defaults | None = None  # for which these hold

    def request(self, block: bytes, ended: bool) -> Head:
        """Return the head of a request; ``ended`` says that no content follows.

        Raises ``BadRequest`` for one that is malformed (400) or not served,
        ``Http3Error`` if the compression is broken.
        """
        known = self._known.get((block, ended))
        if known is None:
            known = request_head(
                self._fields(block, self._limits.max_head_size), ended, self._limits
            )
            known.version = "3"
            if len(block) > _MAX_KNOWN_SIZE or len(self._known) >= _MAX_KNOWN:
                return known
            self._known[block, ended] = known
        head = copy.copy(known)
        head.headers = known.headers.copy()
        return head

    def trailers(self, block: bytes) -> list[Pair]:
        """Return trailer fields; raises as ``request`` does."""
        fields = self._fields(block, self._limits.max_trailer_size)
        check_trailers(fields)
        return fields

    def response(self, head: ResponseHead) -> bytes:
        """Return the block of a final head."""
        status, fields, roles, length, defaults = head
        if self._blocks_of is not defaults:
            self._blocks.clear()
            self._blocks_of = defaults
        key = (status, *fields)
        block = self._blocks.get(key)
        if block is None:
            block = self._qpack.encode(head_pairs(status, fields, roles, defaults))
            if len(self._blocks) < _MAX_KNOWN:
                self._blocks[key] = block
        if length is not None and length >= 0 and not roles & LENGTH:
            digits = b"%d" % length
            block += bytes((_CONTENT_LENGTH, len(digits))) + digits
        return block

    def encode(self, fields: list[Pair]) -> bytes:
        """Return the block of any other fields."""
        return self._qpack.encode(fields)

    def _fields(self, block: bytes, size: int) -> list[Pair]:
        fields = self._qpack.decode(block)
        found = sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in fields)
        # Pseudo-headers are fields here, and not counted as such.
        if found > size or len(fields) > self._limits.max_fields + 5:
            raise BadRequest(f"more than {size} bytes or {self._limits.max_fields} fields", 431)
        return fields
