"""How do a pool and its worker talk?  Frames over a socket pair, one at a time each way.

A frame is a header and a body.  The body is a pickle of protocol 5 (PEP 574);
if the pickled object holds large buffers, a table of their sizes comes first
and the buffers themselves last.  A large body goes through the shared segment
and only its header through the socket.

Whoever has sent a frame waits for the answer before it sends another, so a
reader never holds more than one.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from typing import Any

from .shared import Segment

__all__ = [
    "CALL",
    "ERROR",
    "HELLO",
    "READY",
    "REFUSED",
    "RESULT",
    "RETIRE",
    "Channel",
    "Frame",
    "body_size",
    "pack",
]

# To the worker.
HELLO, CALL = 0, 1
# From the worker: it can take calls; what the function returned; what it
# raised; why something could not travel.
READY, RESULT, ERROR, REFUSED = 2, 3, 4, 5

# Flags: the body is in the segment; the worker wants to be replaced.
_SHARED, RETIRE = 1, 2

# Kind, flags, number of separate buffers, size of the body.
_HEADER = struct.Struct("<BBIQ")

Part = bytes | memoryview


def pack(value: object) -> list[Part]:
    """Return the parts of a body.  Raises whatever pickling raises."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, 5, buffer_callback=buffers.append)
    if not buffers:
        return [data]
    views = [buffer.raw() for buffer in buffers]
    # The lowest bit says whether the receiver may write to its copy.
    sizes = (view.nbytes << 1 | view.readonly for view in views)
    return [struct.pack(f"<{len(views)}Q", *sizes), data, *views]


def body_size(parts: Sequence[Part]) -> int:
    """Return the size of a body in bytes."""
    return sum(map(len, parts))


class Frame:
    """One message as it arrived.  Read it before anything is sent in answer."""

    __slots__ = ("_body", "_buffers", "flags", "kind")

    def __init__(self, kind: int, flags: int, buffers: int, body: memoryview) -> None:
        self.kind = kind
        self.flags = flags
        self._buffers = buffers
        self._body = body

    def value(self) -> Any:
        """Unpickle the body.  Raises whatever unpickling raises."""
        with self._body as body:
            if not self._buffers:
                return pickle.loads(body)
            # Copies, because the sender writes over the originals with its
            # next message, and the receiver may keep what it got.
            start = self._buffers * 8
            sizes = struct.unpack_from(f"<{self._buffers}Q", body)
            end = len(body) - sum(size >> 1 for size in sizes)
            position, copies = end, list[bytes | bytearray]()
            for size in sizes:
                piece = body[position : position + (size >> 1)]
                copies.append(bytes(piece) if size & 1 else bytearray(piece))
                position += size >> 1
                piece.release()
            with body[start:end] as data:
                return pickle.loads(data, buffers=copies)


class Channel:
    """Turns messages into bytes for the socket, and bytes from it into frames."""

    def __init__(self, segment: Segment, shared_size: int) -> None:
        """Send bodies above ``shared_size`` bytes through ``segment``."""
        self._segment = segment
        self._shared_size = shared_size
        self._held = bytearray()

    def outgoing(self, kind: int, parts: Sequence[Part], flags: int = 0) -> bytes:
        """Return what to write to the socket.  Raises ``OSError`` if the segment cannot grow."""
        buffers = max(len(parts) - 2, 0)
        size = body_size(parts)
        if size > self._shared_size:
            self._segment.write(parts)
            return _HEADER.pack(kind, flags | _SHARED, buffers, size)
        return b"".join((_HEADER.pack(kind, flags, buffers, size), *parts))

    def incoming(self, data: bytes) -> Frame | None:
        """Take what the socket gave; return the frame if it is complete now."""
        pieces: bytes | bytearray = data
        if self._held:
            self._held += data
            pieces = self._held
        if len(pieces) >= _HEADER.size:
            kind, flags, buffers, size = _HEADER.unpack_from(pieces)
            if flags & _SHARED:
                self._held = bytearray()
                return Frame(kind, flags, buffers, self._segment.view(size))
            if len(pieces) >= _HEADER.size + size:
                self._held = bytearray()
                return Frame(kind, flags, buffers, memoryview(pieces)[_HEADER.size :])
        if pieces is data:
            self._held += data
        return None
