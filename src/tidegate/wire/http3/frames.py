"""How is a frame of HTTP/3 written, and where does one begin and end?  (RFC 9114 section 7)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from ...errors import Http3Error

__all__ = [
    "CONTROL",
    "DATA",
    "GOAWAY",
    "HEADERS",
    "PUSH",
    "PUSH_PROMISE",
    "QPACK_DECODER",
    "QPACK_ENCODER",
    "REQUEST_ONLY",
    "RESERVED",
    "SETTINGS",
    "Code",
    "Setting",
    "build_frame",
    "data_head",
    "read_integer",
    "read_settings",
    "settings",
    "write_integer",
]

DATA, HEADERS, SETTINGS, PUSH_PROMISE, GOAWAY = 0x0, 0x1, 0x4, 0x5, 0x7

RESERVED = frozenset((0x2, 0x6, 0x8, 0x9))
"""Frames of HTTP/2 that have no place here (section 7.2.8)."""

REQUEST_ONLY = frozenset((DATA, HEADERS, PUSH_PROMISE))
"""Frames that no control stream carries."""

# What a unidirectional stream is for (section 6.2, RFC 9204 section 4.2).
CONTROL, PUSH, QPACK_ENCODER, QPACK_DECODER = range(4)


class Code(IntEnum):
    """Why a stream or a connection ends (section 8.1, RFC 9204 section 6)."""

    NO_ERROR = 0x100
    GENERAL_PROTOCOL_ERROR = 0x101
    INTERNAL_ERROR = 0x102
    STREAM_CREATION_ERROR = 0x103
    CLOSED_CRITICAL_STREAM = 0x104
    FRAME_UNEXPECTED = 0x105
    FRAME_ERROR = 0x106
    EXCESSIVE_LOAD = 0x107
    ID_ERROR = 0x108
    SETTINGS_ERROR = 0x109
    MISSING_SETTINGS = 0x10A
    REQUEST_REJECTED = 0x10B
    REQUEST_CANCELLED = 0x10C
    REQUEST_INCOMPLETE = 0x10D
    MESSAGE_ERROR = 0x10E
    CONNECT_ERROR = 0x10F
    DECOMPRESSION_FAILED = 0x200
    ENCODER_STREAM_ERROR = 0x201
    DECODER_STREAM_ERROR = 0x202


class Setting(IntEnum):
    """What the two sides tell each other first."""

    MAX_FIELD_SECTION_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8  # RFC 9220


# Of HTTP/2; here an error (section 7.2.4.1).
_FORBIDDEN_SETTINGS = frozenset((0x2, 0x3, 0x4, 0x5))


def write_integer(value: int) -> bytes:
    """Return a number of less than 2**62 in as few bytes as it takes (RFC 9000 section 16)."""
    if value < 0x40:
        return bytes((value,))
    if value < 0x4000:
        return (value | 0x4000).to_bytes(2, "big")
    if value < 0x40000000:
        return (value | 0x80000000).to_bytes(4, "big")
    return (value | 0xC000000000000000).to_bytes(8, "big")


def read_integer(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at ``at``, and where it ends; the end is 0 if not all of it is there."""
    if at >= len(data):
        return 0, 0
    first = data[at]
    if first < 0x40:
        return first, at + 1
    size = 1 << (first >> 6)
    end = at + size
    if end > len(data):
        return 0, 0
    return int.from_bytes(data[at:end], "big") & ((1 << (size * 8 - 2)) - 1), end


def build_frame(kind: int, payload: bytes) -> bytes:
    """Return a frame."""
    return write_integer(kind) + write_integer(len(payload)) + payload


def data_head(size: int) -> bytes:
    """Return what comes before ``size`` bytes of content."""
    return b"\0" + write_integer(size)


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame."""
    pairs = (write_integer(number) + write_integer(value) for number, value in values)
    return build_frame(SETTINGS, b"".join(pairs))


def read_settings(payload: bytes) -> dict[int, int]:
    """Return what a SETTINGS frame says.  Raises ``Http3Error``."""
    found: dict[int, int] = {}
    at = 0
    while at < len(payload):
        number, at = read_integer(payload, at)
        value, end = read_integer(payload, at) if at else (0, 0)
        if not end:
            raise Http3Error("SETTINGS end in the middle", Code.FRAME_ERROR)
        if number in found or number in _FORBIDDEN_SETTINGS:
            raise Http3Error("a setting of HTTP/2, or one twice", Code.SETTINGS_ERROR)
        found[number] = value
        at = end
    return found
