"""From the field blocks of one connection to heads of requests.

Clients send the same few heads again and again, byte for byte once they are
compressed.  A block that changed nothing in the header table means the same as
before for as long as the table stays as it is, so its head is only copied.
"""

from __future__ import annotations

import copy
from typing import TypeAlias

from ...errors import BadRequest, Http2Error
from ...http import Head
from .frames import Code
from .head import check_trailers, request_head
from .hpack import Decoder, Pair
from .limits import Http2Limits
from .priority import read_priority

__all__ = ["Heads", "Priority"]

Priority: TypeAlias = tuple[int, bool]
"""Urgency, and whether it is incremental."""

_MAX_KNOWN = 32
_MAX_KNOWN_SIZE = 512

_PRIORITY = b"priority"


class Heads:
    """Reads the blocks of one peer, in order."""

    __slots__ = ("_decoder", "_known", "_limits")

    def __init__(self, limits: Http2Limits) -> None:
        self._limits = limits
        self._decoder = Decoder()
        self._known: dict[tuple[bytes, bool], tuple[Head, Priority | None]] = {}

    def request(self, block: bytes, ended: bool) -> tuple[Head, Priority | None]:
        """Return the head of a request, and its priority if it says one.

        Raises ``BadRequest`` for a request that is malformed (400) or not
        served, ``Http2Error`` if the compression is broken.
        """
        known = self._known.get((block, ended))
        if known is not None:
            head = copy.copy(known[0])
            head.headers = head.headers.copy()
            return head, known[1]
        before = self._decoder.generation
        fields = self._fields(block, self._limits.max_head_size)
        head = request_head(fields, ended, self._limits)
        values = [value for name, value in head.headers if name == _PRIORITY]
        priority = read_priority(b",".join(values)) if values else None
        if (
            self._decoder.generation == before
            and len(block) <= _MAX_KNOWN_SIZE
            and len(self._known) < _MAX_KNOWN
        ):
            kept = copy.copy(head)
            kept.headers = head.headers.copy()
            self._known[block, ended] = kept, priority
        return head, priority

    def trailers(self, block: bytes) -> list[Pair]:
        """Return trailer fields; raises as ``request`` does."""
        fields = self._fields(block, self._limits.max_trailer_size)
        check_trailers(fields)
        return fields

    def skip(self, block: bytes) -> None:
        """Read a block whose fields nobody wants.  Raises ``Http2Error``."""
        self._decode(block, 0)

    def _fields(self, block: bytes, size: int) -> list[Pair]:
        fields = self._decode(block, size)
        if self._decoder.overflowed:
            raise BadRequest(f"more than {size} bytes or {self._limits.max_fields} fields", 431)
        return fields

    def _decode(self, block: bytes, size: int) -> list[Pair]:
        before = self._decoder.generation
        try:
            # Pseudo-headers are fields here, and not counted as such.
            return self._decoder.decode(block, size, self._limits.max_fields + 5)
        except BadRequest as error:
            raise Http2Error(error.reason, Code.COMPRESSION_ERROR) from None
        finally:
            if self._decoder.generation != before:
                self._known.clear()
