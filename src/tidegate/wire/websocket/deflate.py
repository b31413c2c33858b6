"""permessage-deflate (RFC 7692): negotiation, compression, bounded decompression."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ...errors import WebSocketError

__all__ = ["Deflate", "DeflateParameters", "negotiate"]

# Every compressed message ends in these four bytes, which are not sent
# (RFC 7692 section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"

# A window of 4 KiB compresses chat and JSON as well as one of 32 KiB, and takes a
# tenth of the memory, which a server pays for every socket.
_OUR_WINDOW_BITS = 12
_MEMORY_LEVEL = 5

# A peer may end the stream and begin another (RFC 7692 section 7.2.3.4), at the
# end of a message or of a fragment; inside of one, each costs us a copy of the rest.
_MAX_STREAMS = 128

# Shorter messages only grow.
MIN_COMPRESSED_SIZE = 64


@dataclass(slots=True)
class DeflateParameters:
    """What was agreed; ``response`` is the value for Sec-WebSocket-Extensions."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = _OUR_WINDOW_BITS
    client_max_window_bits: int = 15
    response: str = ""


def negotiate(offers: bytes) -> DeflateParameters | None:
    """Choose the first acceptable offer in Sec-WebSocket-Extensions; None if there is none."""
    for offer in offers.decode("latin-1").split(","):
        name, *parameters = [part.strip() for part in offer.split(";")]
        if name.lower() == "permessage-deflate":
            accepted = _accept(parameters)
            if accepted is not None:
                return accepted
    return None


def _accept(parameters: list[str]) -> DeflateParameters | None:
    """Take one offer, or None if it asks for what we cannot do (section 7.1)."""
    seen: dict[str, str] = {}
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        name, value = name.strip().lower(), value.strip().strip('"')
        if name in seen or not _is_valid(name, value):
            return None
        seen[name] = value
    agreed = DeflateParameters(
        server_no_context_takeover="server_no_context_takeover" in seen,
        client_no_context_takeover="client_no_context_takeover" in seen,
    )
    words = ["permessage-deflate"]
    words += [
        name
        for name in ("server_no_context_takeover", "client_no_context_takeover")
        if name in seen
    ]
    wanted = int(seen.get("server_max_window_bits", "15"))
    agreed.server_max_window_bits = min(wanted, _OUR_WINDOW_BITS)
    words.append(f"server_max_window_bits={agreed.server_max_window_bits}")
    if "client_max_window_bits" in seen:
        limit = int(seen["client_max_window_bits"] or "15")
        agreed.client_max_window_bits = min(limit, _OUR_WINDOW_BITS)
        words.append(f"client_max_window_bits={agreed.client_max_window_bits}")
    agreed.response = "; ".join(words)
    return agreed


def _is_valid(name: str, value: str) -> bool:
    if name in ("server_no_context_takeover", "client_no_context_takeover"):
        return value == ""
    if name == "client_max_window_bits" and value == "":
        return True
    if name in ("server_max_window_bits", "client_max_window_bits"):
        # zlib cannot keep to a window of 8 bits; 9 to 15 are fine.
        return value in ("9", "10", "11", "12", "13", "14", "15")
    return False


# A bomb is defused piece by piece: zlib would double one large result again and
# again, and hold twice the limit before it is known to be too much.
_STEP = 256 * 1024


class Deflate:
    """Compresses what we send and inflates what the peer sends, within bounds.

    Both halves are made on first use: an idle socket costs nothing.
    """

    __slots__ = ("_compressor", "_inflater", "_parameters", "_streams")

    def __init__(self, parameters: DeflateParameters) -> None:
        self._parameters = parameters
        self._compressor: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None
        self._streams = 0  # that ended in the message being read

    def compress(self, data: bytes) -> bytes:
        """Return a whole message compressed."""
        compressor = self._compressor
        if compressor is None:
            bits = self._parameters.server_max_window_bits
            compressor = zlib.compressobj(wbits=-bits, memLevel=_MEMORY_LEVEL)
            if not self._parameters.server_no_context_takeover:
                self._compressor = compressor
        packed = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return packed[:-4]

    def inflate(self, data: bytes, limit: int, last: bool) -> bytes:
        """Return what a piece of a message holds.

        Raises ``WebSocketError`` 1009 as soon as that is more than ``limit``
        bytes, before they are all inflated, 1007 if it is not deflate, and 1008
        if it is cut into too many streams.
        """
        try:
            plain = self._inflate(data, limit)
            if last:
                plain += self._inflate(_TAIL, limit - len(plain))
        except zlib.error:
            raise WebSocketError("a compressed message is not deflate", 1007) from None
        if last:
            self._streams = 0
            if self._parameters.client_no_context_takeover:
                self._inflater = None
        return plain

    def _inflate(self, data: bytes, limit: int) -> bytes:
        pieces: list[bytes] = []
        room = limit + 1
        full = False
        while data or full:
            inflater = self._inflater
            if inflater is None:
                # Whatever window the peer uses, the largest can read it.
                inflater = self._inflater = zlib.decompressobj(wbits=-15)
            piece = inflater.decompress(data, min(room, _STEP))
            pieces.append(piece)
            # With room left over, zlib has given all that it has.
            full = len(piece) == min(room, _STEP)
            room -= len(piece)
            if room <= 0:
                raise WebSocketError("message too big", 1009)
            data = inflater.unconsumed_tail
            if inflater.eof:
                data, full = inflater.unused_data, False
                self._inflater = None
                self._streams += 1
                if self._streams > _MAX_STREAMS:
                    raise WebSocketError("too many deflate streams in a message", 1008)
        return b"".join(pieces)
