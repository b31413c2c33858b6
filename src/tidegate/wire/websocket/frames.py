"""Frames (RFC 6455 section 5): headers, masking, close codes."""

from __future__ import annotations

from ...errors import WebSocketError

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "build_frame",
    "close_payload",
    "is_close_code",
    "parse_close",
    "unmask",
]

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

# RFC 6455 section 5.5.
_MAX_CONTROL_SIZE = 125

# Payloads are unmasked in pieces of this size: one big number for all of a
# large message would be copied several times over.
_PIECE = 64 * 1024

# RFC 6455 section 7.4 and the IANA registry; 1004 to 1006 and 1015 must not be sent.
_SENDABLE = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))


def unmask(data: bytes, key: bytes, offset: int = 0) -> bytes:
    """Apply a masking key of four bytes; ``offset`` bytes of the payload came before."""
    if offset & 3:
        shift = offset & 3
        key = key[shift:] + key[:shift]
    size = len(data)
    if size <= _PIECE:
        return _xor(data, key, size)
    return b"".join(
        [
            _xor(data[start : start + _PIECE], key, min(_PIECE, size - start))
            for start in range(0, size, _PIECE)
        ]
    )


def build_frame(opcode: int, payload: bytes, compressed: bool = False) -> bytes:
    """Return one unmasked frame that is a whole message, as servers send them."""
    size = len(payload)
    first = 0x80 | opcode | (0x40 if compressed else 0)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def close_payload(code: int, reason: str) -> bytes:
    """Return the payload of a close frame; 1005 is the one without any.

    The reason is cut to the 123 bytes that fit, between two characters.
    """
    if code == 1005:
        return b""
    text = reason.encode()[: _MAX_CONTROL_SIZE - 2]
    return code.to_bytes(2, "big") + text.decode("utf-8", "ignore").encode()


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame; 1005 if it gives none.

    Raises ``WebSocketError`` (1002 or 1007) if the peer must not send that.
    """
    if not payload:
        return 1005, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not is_close_code(code):
        raise WebSocketError("invalid close code", 1002)
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise WebSocketError("the reason of a close frame is not UTF-8", 1007) from None


def is_close_code(code: int) -> bool:
    """Say whether a close frame may carry ``code``."""
    return code in _SENDABLE or 3000 <= code <= 4999


def _xor(data: bytes, key: bytes, size: int) -> bytes:
    # One big number instead of a loop over bytes: linear, and in C.
    mask = (key * ((size + 3) >> 2))[:size]
    number = int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")
    return number.to_bytes(size, "little")
