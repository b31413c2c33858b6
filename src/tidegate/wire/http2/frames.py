"""The layout of HTTP/2 frames, and the numbers that RFC 9113 gives to things."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "FRAME_HEAD",
    "GOAWAY",
    "HEADERS",
    "MAX_FRAME_SIZE",
    "MAX_STREAM_ID",
    "MAX_WINDOW",
    "PADDED",
    "PING",
    "PREFACE",
    "PRIORITY",
    "PRIORITY_FLAG",
    "PRIORITY_UPDATE",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "WINDOW_UPDATE",
    "Code",
    "Setting",
    "build_frame",
    "goaway",
    "headers",
    "reset",
    "settings",
    "window_update",
]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (section 3.4)."""

# Section 6; PRIORITY_UPDATE is RFC 9218 section 7.1.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
PRIORITY_UPDATE = 0x10

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY_FLAG = 0x20

MAX_FRAME_SIZE = 16384
"""Bytes of a payload that every peer takes; we never ask for more (section 4.2)."""

MAX_WINDOW = 2**31 - 1
MAX_STREAM_ID = 2**31 - 1

FRAME_HEAD = struct.Struct(">HBBBI")
"""Length (upper 16 and lower 8 bits), type, flags, stream (section 4.1)."""


class Code(IntEnum):
    """Why a stream or a connection ends (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(IntEnum):
    """What each side may tell the other of itself (section 6.5.2, RFC 8441, RFC 9218)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6
    ENABLE_CONNECT_PROTOCOL = 8
    NO_RFC7540_PRIORITIES = 9


def build_frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """Return one frame; ``payload`` is at most 16,384 bytes."""
    size = len(payload)
    return FRAME_HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream_id) + payload


def headers(stream_id: int, block: bytes, ended: bool) -> bytes:
    """Return a field block in one HEADERS frame, or as many more as it takes (section 4.3)."""
    flags = END_STREAM if ended else 0
    if len(block) <= MAX_FRAME_SIZE:
        return build_frame(HEADERS, flags | END_HEADERS, stream_id, block)
    pieces = [block[at : at + MAX_FRAME_SIZE] for at in range(0, len(block), MAX_FRAME_SIZE)]
    frames = [build_frame(HEADERS, flags, stream_id, pieces[0])]
    frames += [build_frame(CONTINUATION, 0, stream_id, piece) for piece in pieces[1:-1]]
    frames.append(build_frame(CONTINUATION, END_HEADERS, stream_id, pieces[-1]))
    return b"".join(frames)


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame (section 6.5)."""
    payload = b"".join([struct.pack(">HI", *pair) for pair in values])
    return build_frame(SETTINGS, 0, 0, payload)


def reset(stream_id: int, code: int) -> bytes:
    """Return RST_STREAM (section 6.4)."""
    return build_frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def window_update(stream_id: int, increment: int) -> bytes:
    """Return WINDOW_UPDATE (section 6.9); stream 0 is the connection."""
    return build_frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def goaway(last_stream_id: int, code: int, reason: str) -> bytes:
    """Return GOAWAY (section 6.8)."""
    payload = struct.pack(">II", last_stream_id, code) + reason.encode("ascii", "replace")[:256]
    return build_frame(GOAWAY, 0, 0, payload)
