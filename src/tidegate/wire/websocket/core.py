"""One WebSocket as a state machine without I/O, the server's side (RFC 6455).

``receive`` calls the sink; ``text``, ``binary``, ``ping``, ``pong`` and
``close`` return the bytes to send.  Payloads are checked as they arrive: bad
UTF-8 and messages that are too big are refused before their frame is complete.
"""

from __future__ import annotations

import codecs
from io import BytesIO

from ...errors import WebSocketError
from ..sinks import NOBODY, WebSocketSink
from .deflate import MIN_COMPRESSED_SIZE, Deflate
from .frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    build_frame,
    close_payload,
    parse_close,
    unmask,
)
from .limits import WebSocketLimits

__all__ = ["WebSocketCore"]

# What reading a frame costs beside its content, in bytes of content, about.
_FRAME_COST = 16 * 1024

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class WebSocketCore:
    """Reads frames into messages and writes messages as frames.

    After an error or a close frame nothing more is read.
    """

    __slots__ = (
        *("_buffer", "_compressed", "_content", "_controls", "_decoder", "_deflate", "_empty"),
        *("_fin", "_key", "_limits", "_offset", "_opcode", "_payload", "_remaining", "_short"),
        *("_rest", "_sink", "_size", "_start", "_type", "close_sent", "closed", "held", "waiting"),
    )

    def __init__(
        self, sink: WebSocketSink, limits: WebSocketLimits, deflate: Deflate | None = None
    ) -> None:
        self._sink = sink
        self._limits = limits
        self._short = min(125, limits.max_message_size)
        self._deflate = deflate  # None unless agreed in the handshake
        self._buffer = bytearray()  # an incomplete frame header, or what came while held
        self._rest = b""  # frames that wait from _start on; before those in _buffer
        self._start = 0
        # The frame being read; _remaining is -1 between frames.
        self._opcode = 0
        self._fin = False
        self._key = b""
        self._remaining = -1
        self._offset = 0
        self._payload = b""  # of a control frame, as far as it has arrived
        # The message being read; _type is 0 between messages.
        self._type = 0
        self._compressed = False
        # Its content so far; None while there is none.  Not a list: one object for
        # each fragment of a byte or two would take thirty times the memory.
        self._content: BytesIO | None = None
        self._size = 0
        self._empty = 0
        self._decoder: codecs.IncrementalDecoder | None = None  # None unless it is text
        self._controls = 0  # control frames since the last tick
        self.close_sent = False
        self.closed = False  # nothing more is read
        # Set while messages are to wait, unpacked, in what was received.
        self.held = False
        self.waiting = False  # not all that was received is read

    # -- reading ---------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take what the peer sent.  Raises ``WebSocketError`` with the code to close with.

        One call reads ``max_turn_size`` and no more: if ``waiting`` is set, call
        ``receive(b"")`` when others had their turn and nothing is ``held``.
        """
        if self.closed:
            return
        if self.held:
            self._buffer += data
            self.waiting = True
            return
        if self._remaining < 0 and self._type == 0 and not self._buffer and not self._rest:
            # The common case: one short text or binary frame, and nothing else.
            size = len(data) - 6
            if 0 <= size <= self._short and data[1] == 0x80 | size and data[0] in (0x81, 0x82):
                payload = unmask(data[6:], data[2:6])
                self._sink.on_message(self._decode(payload) if data[0] == 0x81 else payload)
                return
        try:
            self._read(data)
        except WebSocketError:
            self.closed = True
            raise

    def tick(self) -> None:
        """Some time has passed: the peer may send control frames again."""
        self._controls = 0

    def release(self) -> None:
        """Read no more, and let go of the sink, which usually refers to us."""
        self.closed = True
        self._sink = NOBODY

    def _decode(self, payload: bytes) -> str:
        try:
            return payload.decode()
        except UnicodeDecodeError:
            self.closed = True
            raise WebSocketError("a text message is not UTF-8", 1007) from None

    def _read(self, data: bytes) -> None:
        position = 0
        if self._buffer:
            data = bytes(self._buffer) + data
            self._buffer.clear()
        if self._rest:
            if data:
                data = self._rest[self._start :] + data
            else:
                # Not copied: that would be quadratic work, for a few messages each time.
                data, position = self._rest, self._start
            self._rest = b""
        self.waiting = False
        size = len(data)
        allowance = self._limits.max_turn_size
        while not self.closed:
            if self._remaining < 0:
                if self.held or allowance <= 0:
                    self._rest, self._start = data, position
                    self.waiting = True
                    return
                allowance -= _FRAME_COST
                start = self._read_header(data, position)
                if start < 0:
                    self._buffer += data[position:]
                    return
                position = start
            piece = data[position : position + self._remaining]
            if self._remaining and not piece:
                return
            position += len(piece)
            self._remaining -= len(piece)
            plain = unmask(piece, self._key, self._offset) if piece else b""
            self._offset += len(piece)
            ended = self._remaining == 0
            if ended:
                self._remaining = -1
            if self._opcode & 0x8:
                self._on_control(plain, ended)
            else:
                allowance -= self._on_data(plain, ended)
            if position == size and ended:
                return

    def _read_header(self, data: bytes, start: int) -> int:
        """Read a frame header at ``start``; return where its payload starts, -1 if incomplete."""
        available = len(data) - start
        if available < 1:
            return -1
        first = data[start]
        self._check_first(first)
        if available < 2:
            return -1
        second = data[start + 1]
        if not second & 0x80:
            raise WebSocketError("a frame of a client is not masked", 1002)
        length = second & 0x7F
        if first & 0x8 and length > 125:
            raise WebSocketError("a control frame is too long", 1002)
        extra = {126: 2, 127: 8}.get(length, 0)
        if available < 6 + extra:
            return -1
        position = start + 2
        if extra:
            length = int.from_bytes(data[position : position + extra], "big")
            position += extra
            # RFC 6455 section 5.2: in the fewest bytes possible, and below 2**63.
            if length < (126 if extra == 2 else 65536) or length >> 63:
                raise WebSocketError("invalid frame length", 1002)
        self._key = data[position : position + 4]
        self._begin_frame(first, length)
        return position + 4

    def _check_first(self, first: int) -> None:
        """Judge the first byte of a frame: it says all but the length."""
        opcode = first & 0x0F
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise WebSocketError("unknown opcode", 1002)
        reserved = first & 0x70
        compressible = self._deflate is not None and opcode in (TEXT, BINARY)
        if reserved and not (reserved == 0x40 and compressible):
            raise WebSocketError("a reserved bit is set", 1002)
        if opcode & 0x8:
            if not first & 0x80:
                raise WebSocketError("a control frame is fragmented", 1002)
        elif opcode == CONTINUATION and self._type == 0:
            raise WebSocketError("a continuation without a message", 1002)
        elif opcode != CONTINUATION and self._type != 0:
            raise WebSocketError("a new message inside another", 1002)

    def _begin_frame(self, first: int, length: int) -> None:
        opcode = first & 0x0F
        self._opcode = opcode
        self._fin = bool(first & 0x80)
        self._remaining = length
        self._offset = 0
        if opcode & 0x8:
            self._payload = b""
            return
        if opcode != CONTINUATION:
            self._type = opcode
            self._compressed = bool(first & 0x40)
            self._size = self._empty = 0
            self._decoder = _Utf8Decoder() if opcode == TEXT else None
        if not self._compressed and self._size + length > self._limits.max_message_size:
            raise WebSocketError("message too big", 1009)
        if length == 0 and not self._fin:
            self._empty += 1
            if self._empty > self._limits.max_empty_fragments:
                raise WebSocketError("too many empty fragments", 1008)

    def _on_data(self, plain: bytes, ended: bool) -> int:
        """Take a piece of a message; return how much content that is."""
        last = ended and self._fin
        if self._compressed and self._deflate is not None:
            room = self._limits.max_message_size - self._size
            plain = self._deflate.inflate(plain, room, last)
        self._size += len(plain)
        if self._decoder is not None:
            try:
                # Only to judge it: as text it may take four times the memory.
                self._decoder.decode(plain, last)
            except UnicodeDecodeError:
                raise WebSocketError("a text message is not UTF-8", 1007) from None
        if not last:
            if self._content is None:
                self._content = BytesIO()
            self._content.write(plain)
            return len(plain)
        message = plain
        if self._content is not None:
            self._content.write(plain)
            message = self._content.getvalue()
            self._content = None
        self._type = 0
        self._sink.on_message(message if self._decoder is None else message.decode())
        return len(plain)

    def _on_control(self, plain: bytes, ended: bool) -> None:
        self._payload += plain
        if not ended:
            return
        payload = self._payload
        if self._opcode == CLOSE:
            code, reason = parse_close(payload)
            self.closed = True
            self._sink.on_close(code, reason)
            return
        self._controls += 1
        if self._controls > self._limits.max_control_frames:
            raise WebSocketError("too many control frames", 1008)
        if self._opcode == PING:
            self._sink.on_ping(payload)
        else:
            self._sink.on_pong(payload)

    # -- writing ---------------------------------------------------------

    def text(self, message: str) -> bytes:
        """Return a text message.  Raises ``UnicodeEncodeError`` for lone surrogates."""
        return self._message(TEXT, message.encode())

    def binary(self, message: bytes) -> bytes:
        """Return a binary message."""
        return self._message(BINARY, message)

    def ping(self, payload: bytes) -> bytes:
        """Return a ping of at most 125 bytes."""
        return build_frame(PING, payload)

    def pong(self, payload: bytes) -> bytes:
        """Return the answer to a ping."""
        return build_frame(PONG, payload)

    def close(self, code: int, reason: str = "") -> bytes:
        """Return a close frame, or nothing if one was sent before."""
        if self.close_sent:
            return b""
        self.close_sent = True
        return build_frame(CLOSE, close_payload(code, reason))

    def _message(self, opcode: int, payload: bytes) -> bytes:
        if self._deflate is not None and len(payload) >= MIN_COMPRESSED_SIZE:
            return build_frame(opcode, self._deflate.compress(payload), compressed=True)
        return build_frame(opcode, payload)
