"""Where in a QUIC stream are its frames?  Of a request's stream, and of a one-way stream."""

from __future__ import annotations

from ...errors import Http3Error
from ..http2.stream import Stream
from .frames import (
    DATA,
    GOAWAY,
    HEADERS,
    PUSH_PROMISE,
    REQUEST_ONLY,
    RESERVED,
    SETTINGS,
    Code,
    read_integer,
)

__all__ = ["BEGINS", "CONTENT", "IGNORED", "TRAILED", "ControlReader", "RequestReader"]

# What has come of a request: nothing yet, its head, its trailers; or nobody wants the rest.
BEGINS, CONTENT, TRAILED, IGNORED = range(4)

# Only on a control stream (sections 7.2.3 to 7.2.7).
_CONTROL_ONLY = frozenset((0x3, SETTINGS, GOAWAY, 0xD))

_MAX_SETTINGS_SIZE = 4096


class RequestReader:
    """The incoming half of one request's stream."""

    __slots__ = ("_at", "_data", "_kind", "_left", "began", "id", "state", "stream")

    def __init__(self, stream_id: int, now: float) -> None:
        self.id = stream_id
        self.began = now
        self.state = BEGINS
        self.stream: Stream | None = None  # None before the head
        self._data = b""
        self._at = 0  # what comes before is read
        self._kind = 0  # of the frame that has begun
        self._left = -1  # bytes of it still to come; -1 between frames

    @property
    def between(self) -> bool:
        """Whether nothing of a frame is missing."""
        return self._left < 0 and self._at == len(self._data)

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._data = self._data[self._at :] + data
        self._at = 0

    def next(self, max_head_size: int) -> tuple[int, bytes] | None:
        """Return kind and payload of the next frame, or a part of it; None if there is none.

        A head is only returned whole.  One of more than ``max_head_size`` bytes
        is returned at once as ``PUSH_PROMISE``, which no request has.
        Raises ``Http3Error``.
        """
        data = self._data
        if self._left < 0:
            kind, at = read_integer(data, self._at)
            size, end = read_integer(data, at) if at else (0, 0)
            if not end:
                return None
            self._check(kind)
            if kind == HEADERS and size > max_head_size:
                return PUSH_PROMISE, b""
            self._kind, self._left, self._at = kind, size, end
        kind, left, start = self._kind, self._left, self._at
        here = len(data) - start
        if here >= left:
            self._left = -1
            self._at = end = start + left
            return kind, data[start:end]
        if kind == HEADERS or not here:
            return None
        self._left = left - here
        self._at = len(data)
        return kind, data[start:]

    def ignore(self) -> None:
        """Nobody wants the rest."""
        self.state = IGNORED
        self.stream = None
        self._data, self._at = b"", 0

    def _check(self, kind: int) -> None:
        if kind in RESERVED or kind in _CONTROL_ONLY or kind == PUSH_PROMISE:
            raise Http3Error("a frame that no request has", Code.FRAME_UNEXPECTED)
        if (kind == DATA and self.state != CONTENT) or (kind == HEADERS and self.state == TRAILED):
            raise Http3Error("content before a head, or after the trailers", Code.FRAME_UNEXPECTED)


class ControlReader:
    """The client's control stream: only its settings matter, the rest is skipped."""

    __slots__ = ("_rest", "_skip", "settled")

    def __init__(self) -> None:
        self.settled = False  # SETTINGS have come
        self._rest = b""
        self._skip = 0  # bytes of a frame that is not read

    def read(self, data: bytes) -> tuple[int, bytes | None]:
        """Take bytes; return how many frames began, and the settings once.

        Raises ``Http3Error``.
        """
        data = self._rest + data
        at = count = 0
        found = None
        while True:
            skipped = min(self._skip, len(data) - at)
            at += skipped
            self._skip -= skipped
            kind, middle = read_integer(data, at)
            size, end = read_integer(data, middle) if middle else (0, 0)
            if not end:
                break
            self._check(kind, size)
            if kind == SETTINGS:
                if len(data) - end < size:
                    break
                found = data[end : end + size]
                self.settled = True
            self._skip, at = size, end
            count += 1
        self._rest = data[at:]
        return count, found

    def _check(self, kind: int, size: int) -> None:
        if kind in REQUEST_ONLY or kind in RESERVED or (kind == SETTINGS and self.settled):
            raise Http3Error("a frame that has no place here", Code.FRAME_UNEXPECTED)
        if kind != SETTINGS and not self.settled:
            raise Http3Error("SETTINGS must come first", Code.MISSING_SETTINGS)
        if kind == SETTINGS and size > _MAX_SETTINGS_SIZE:
            raise Http3Error("SETTINGS are too long", Code.EXCESSIVE_LOAD)
