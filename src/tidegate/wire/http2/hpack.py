"""Header compression (RFC 7541): from a block to fields, and back.

What a peer may make us remember is bounded by the table size that we announce;
what a block may unpack to is bounded by the caller.  A block must be read to its
end even if it is too long, or the two tables would differ ever after.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from ...errors import BadRequest
from . import huffman

__all__ = ["STATIC_TABLE", "TABLE_SIZE", "Decoder", "Encoder", "Pair", "integer"]

Pair: TypeAlias = tuple[bytes, bytes]

TABLE_SIZE = 4096
"""Bytes of a dynamic table, as section 4.1 counts; both peers' default."""

_ENTRY_OVERHEAD = 32

# Beyond any size or index of ours, and never more than these octets long.
_MAX_INTEGER = 2**24
_MAX_INTEGER_OCTETS = 5

# Appendix A, in order; a name with a value has it after a blank.
_STATIC = """
:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https
:status 200|:status 204|:status 206|:status 304|:status 400|:status 404|:status 500
accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept
access-control-allow-origin|age|allow|authorization|cache-control|content-disposition
content-encoding|content-language|content-length|content-location|content-range|content-type
cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range
if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate
proxy-authorization|range|referer|refresh|retry-after|server|set-cookie
strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate
"""


def _static_table() -> list[Pair]:
    rows = [row.partition(" ") for row in _STATIC.strip().replace("\n", "|").split("|")]
    return [(name.encode(), value.encode()) for name, _, value in rows]


STATIC_TABLE = [(b"", b""), *_static_table()]
"""Fields that both sides know; the first index is 1 (section 2.3.1)."""

_STATIC_SIZE = len(STATIC_TABLE) - 1

_PAIR_INDEXES = {pair: index for index, pair in enumerate(STATIC_TABLE) if pair[1]}
_NAME_INDEXES = {
    name: index for index, (name, _) in reversed(list(enumerate(STATIC_TABLE))) if index
}

# Secrets: a table shared with what an attacker sends would betray them (section 7.1).
_NEVER_INDEXED = frozenset((b"set-cookie", b"authorization", b"proxy-authenticate"))

# Seldom twice the same: they would only push the others out.
_NOT_INDEXED = frozenset(
    b"age content-length content-range etag expires last-modified location retry-after "
    b"traceparent x-request-id".split()
)

_MAX_INDEXED_SIZE = TABLE_SIZE // 8


class Decoder:
    """Reads the blocks of one peer, in order.

    ``generation`` changes whenever the same block may come to mean something else.
    """

    __slots__ = ("_entries", "_limit", "_size", "generation", "overflowed")

    def __init__(self) -> None:
        self._entries: list[Pair] = []  # the dynamic table, newest last
        self._size = 0
        self._limit = TABLE_SIZE  # as the peer has set it
        self.generation = 0
        self.overflowed = False  # the last block had more than was allowed

    def decode(self, block: bytes, max_size: int, max_fields: int) -> list[Pair]:
        """Return the fields of a block.

        Of a block that has more than ``max_size`` bytes (names, values and 32
        for each field) or ``max_fields`` only the first are returned, and
        ``overflowed`` says so.  Raises ``BadRequest`` if the compression is broken.
        """
        fields: list[Pair] = []
        room = max_size
        self.overflowed = False
        at, end = 0, len(block)
        begun = False
        while at < end:
            byte = block[at]
            if byte & 0x80:
                index, at = self._integer(block, at, 0x7F)
                pair = self._entry(index)
            elif byte & 0xE0 == 0x20:
                if begun:
                    raise BadRequest("a table size update after a field (RFC 7541 section 4.2)")
                at = self._update_size(block, at)
                continue
            else:
                kept = byte & 0x40
                index, at = self._integer(block, at, 0x3F if kept else 0x0F)
                name = self._entry(index)[0] if index else b""
                if not index:
                    name, at = self._string(block, at)
                value, at = self._string(block, at)
                pair = (name, value)
                if kept:
                    self._add(pair)
            begun = True
            room -= len(pair[0]) + len(pair[1]) + _ENTRY_OVERHEAD
            if room < 0 or len(fields) >= max_fields:
                self.overflowed = True
            else:
                fields.append(pair)
        return fields

    def _entry(self, index: int) -> Pair:
        if 0 < index <= _STATIC_SIZE:
            return STATIC_TABLE[index]
        place = index - _STATIC_SIZE
        if not 0 < place <= len(self._entries):
            raise BadRequest(f"index {index} is in neither header table")
        return self._entries[-place]

    def _add(self, pair: Pair) -> None:
        self.generation += 1
        self._entries.append(pair)
        self._size += len(pair[0]) + len(pair[1]) + _ENTRY_OVERHEAD
        self._evict()

    def _evict(self) -> None:
        count = 0
        while self._size > self._limit:
            name, value = self._entries[count]
            self._size -= len(name) + len(value) + _ENTRY_OVERHEAD
            count += 1
        del self._entries[:count]

    def _update_size(self, block: bytes, at: int) -> int:
        size, at = self._integer(block, at, 0x1F)
        if size > TABLE_SIZE:
            raise BadRequest("a header table larger than we allow (RFC 7541 section 6.3)")
        self.generation += 1
        self._limit = size
        self._evict()
        return at

    @staticmethod
    def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
        """Read an integer (section 5.1); return it, and where it ends."""
        value = block[at] & mask
        at += 1
        if value < mask:
            return value, at
        for shift, byte in enumerate(block[at : at + _MAX_INTEGER_OCTETS]):
            value += (byte & 0x7F) << 7 * shift
            if byte < 0x80:
                if value > _MAX_INTEGER:
                    break
                return value, at + shift + 1
        raise BadRequest("an integer in a header block is too large or cut off")

    def _string(self, block: bytes, at: int) -> tuple[bytes, int]:
        """Read a string (section 5.2); return it, and where it ends."""
        if at >= len(block):
            raise BadRequest("a header block is cut off")
        coded = block[at] & 0x80
        size, at = self._integer(block, at, 0x7F)
        end = at + size
        if end > len(block):
            raise BadRequest("a header block is cut off")
        text = block[at:end]
        return (huffman.decode(text) if coded else text), end


class Encoder:
    """Writes the blocks for one peer, in order.

    ``generation`` changes whenever the same block comes to mean something else.
    """

    __slots__ = ("_entries", "_least", "_limit", "_places", "_size", "count", "generation")

    def __init__(self) -> None:
        self._entries: list[Pair] = []  # the dynamic table, oldest first
        self._places: dict[Pair, int] = {}  # which entry of all that ever were
        self.count = 0  # of all entries that ever were
        self._size = 0
        self._limit = TABLE_SIZE
        self._least: int | None = None  # a limit that the peer must be told
        self.generation = 0

    def resize(self, size: int) -> None:
        """Take note of the size that the peer allows (section 4.2)."""
        size = min(size, TABLE_SIZE)
        if size == self._limit:
            return
        self._least = size if self._least is None else min(self._least, size)
        self._limit = size
        self.generation += 1
        self._evict()

    def encode(self, pairs: Iterable[Pair]) -> bytes:
        """Return a block; names are lower-case."""
        parts = []
        if self._least is not None:
            parts.append(integer(self._least, 0x1F, 0x20))
            if self._least < self._limit:
                parts.append(integer(self._limit, 0x1F, 0x20))
            self._least = None
            self.generation += 1  # the same block without that is another one
        for pair in pairs:
            index = _PAIR_INDEXES.get(pair)
            if index is None:
                place = self._places.get(pair)
                if place is None:
                    parts.append(self._literal(pair))
                    continue
                index = _STATIC_SIZE + self.count - place
            parts.append(integer(index, 0x7F, 0x80))
        return b"".join(parts)

    def _literal(self, pair: Pair) -> bytes:
        name, value = pair
        index = _NAME_INDEXES.get(name, 0)
        size = len(name) + len(value) + _ENTRY_OVERHEAD
        if name in _NEVER_INDEXED:
            start = integer(index, 0x0F, 0x10)
        elif name in _NOT_INDEXED or size > min(_MAX_INDEXED_SIZE, self._limit):
            start = integer(index, 0x0F, 0x00)
        else:
            start = integer(index, 0x3F, 0x40)
            self._add(pair, size)
        if not index:
            start += _string(name)
        return start + _string(value)

    def _add(self, pair: Pair, size: int) -> None:
        self._entries.append(pair)
        self._places[pair] = self.count
        self.count += 1
        self._size += size
        self.generation += 1
        self._evict()

    def _evict(self) -> None:
        count = 0
        while self._size > self._limit:
            pair = self._entries[count]
            del self._places[pair]
            self._size -= len(pair[0]) + len(pair[1]) + _ENTRY_OVERHEAD
            count += 1
        del self._entries[:count]


def integer(value: int, mask: int, flags: int) -> bytes:
    """Return a number whose first octet shares its bits outside of ``mask`` (section 5.1)."""
    if value < mask:
        return bytes((flags | value,))
    octets = [flags | mask]
    value -= mask
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _string(text: bytes) -> bytes:
    coded = huffman.encode(text)
    if len(coded) < len(text):
        return integer(len(coded), 0x7F, 0x80) + coded
    return integer(len(text), 0x7F, 0) + text
