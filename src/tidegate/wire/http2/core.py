"""One HTTP/2 connection as a state machine without I/O (RFC 9113).

Reading: ``receive`` calls the sink.  Writing: the methods of ``Sending`` put
frames into the output, which ``take_output`` returns for the transport.

Rules that are about one stream end that stream; those about the connection raise
``Http2Error``, whose status is the code for ``go_away``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from ...errors import Http2Error
from ...http import Head
from ..sinks import NOBODY, Http2Sink
from . import frames
from .defence import PINGS, PRIORITIES, RESETS, SETTINGS
from .frames import (
    ACK,
    CONTINUATION,
    DATA,
    FRAME_HEAD,
    HEADERS,
    MAX_FRAME_SIZE,
    MAX_STREAM_ID,
    MAX_WINDOW,
    PREFACE,
    Code,
    Setting,
)
from .limits import Http2Limits
from .priority import read_priority
from .receiving import MakeStream, Receiving, check_priority
from .stream import Stream

__all__ = ["Http2Core"]

_SETTING = struct.Struct(">HI")


class Http2Core(Receiving):
    """Parses the frames of one connection; see ``Sending`` for its other half.

    After ``go_away`` with an error nothing more is parsed.
    """

    __slots__ = ("_begun", "_buffer", "_dead", "_now", "_preface", "owed_since")

    def __init__(self, sink: Http2Sink, limits: Http2Limits, make: MakeStream = Stream) -> None:
        super().__init__(sink, limits, make)
        self._buffer = b""
        self._preface = PREFACE  # what of it must still come
        self._begun = False  # the peer's settings have come
        self._dead = False  # nothing more is parsed
        self._now = 0.0
        # When the frame or field block began of which the rest is still to come.
        self.owed_since: float | None = None
        self._write(frames.settings(_own_settings(limits)))
        if limits.connection_window > 65535:
            self._write(frames.window_update(0, limits.connection_window - 65535))

    def receive(self, data: bytes, now: float = 0.0) -> None:
        """Take what the peer sent.  Raises ``Http2Error``.

        ``now`` is in seconds, from whatever moment.
        """
        if self._dead:
            return
        if now != self._now:
            self._now = now
            self.defence.advance(now)
        if self._preface:
            data = self._after_preface(data)
        if self._buffer:
            data = self._buffer + data
        at, size = 0, len(data)
        while size - at >= 9:
            upper, lower, kind, flags, stream_id = FRAME_HEAD.unpack_from(data, at)
            length = upper << 8 | lower
            if length > MAX_FRAME_SIZE:
                raise Http2Error("a frame is too large", Code.FRAME_SIZE_ERROR)
            start = at + 9
            if size - start < length:
                break
            at = start + length
            if self._block_id or not self._begun:
                self._check_order(kind, flags, stream_id)
            self._on_frame(kind, flags, stream_id & MAX_STREAM_ID, data[start:at])
        self._buffer = rest = data[at:]
        # Of content it is asked elsewhere whether it comes fast enough.
        if self._block_id or not self._begun or (rest and rest[3:4] != b"\0"):
            if self.owed_since is None or (at and not self._block_id):
                self.owed_since = now
        else:
            self.owed_since = None

    def upgrade(self, head: Head, settings: bytes) -> None:
        """Serve the request that asked for the upgrade (RFC 7540 section 3.2.1).

        ``settings`` is the payload of the SETTINGS frame that it brought.
        Raises ``Http2Error``.
        """
        self._apply_settings(settings)
        self._last_id = 1
        self._sink.on_request(self._open(1, True), head, True)

    def notice(self) -> None:
        """Say that the connection is to end, and ask for an answer (section 6.8).

        When that has come, or not in time, ``go_away`` is to follow.
        """
        self._write(frames.goaway(MAX_STREAM_ID, Code.NO_ERROR, ""))
        self._write(frames.build_frame(frames.PING, 0, 0, b"good-bye"))

    def go_away(self, code: int = Code.NO_ERROR, reason: str = "") -> None:
        """Serve no stream beyond those that have come; after an error, none at all."""
        self._served_until = self._last_id
        self._write(frames.goaway(self._last_id, code, reason))
        if code:
            self.close()

    def close(self) -> None:
        """Ignore whatever still arrives."""
        self._dead = True
        self._buffer = b""
        self._block.clear()
        self._block_id = 0

    def release(self) -> None:
        """Close for good, and let go of the sink, which usually refers to us."""
        self.close()
        self._waiting.clear()
        self.streams.clear()
        self.take_output()
        self._sink = self._make = NOBODY

    # -- private -------------------------------------------------------------

    def _after_preface(self, data: bytes) -> bytes:
        expected = self._preface
        if data[: len(expected)] != expected[: len(data)]:
            raise Http2Error("what begins the connection is not HTTP/2", Code.PROTOCOL_ERROR)
        self._preface = expected[len(data) :]
        return data[len(expected) :]

    def _check_order(self, kind: int, flags: int, stream_id: int) -> None:
        if self._block_id and (kind != CONTINUATION or stream_id != self._block_id):
            raise Http2Error("another frame within a field block", Code.PROTOCOL_ERROR)
        if not self._begun and (kind != frames.SETTINGS or flags & ACK):
            # Section 3.4.
            raise Http2Error("SETTINGS must come first", Code.PROTOCOL_ERROR)
        self._begun = True

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == HEADERS:
            self._on_headers(flags, stream_id, payload)
        elif kind == DATA:
            self._on_data(flags, stream_id, payload)
        elif kind in _HANDLERS:
            _HANDLERS[kind](self, flags, stream_id, payload)
        else:
            # Section 4.1: to be ignored.
            self.defence.spend(PRIORITIES)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise Http2Error("PRIORITY without a stream", Code.PROTOCOL_ERROR)
        self.defence.spend(PRIORITIES)
        check_priority(stream_id, payload)

    def _on_reset(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error("RST_STREAM is not 4 bytes", Code.FRAME_SIZE_ERROR)
        stream = self._find(stream_id)
        self.defence.spend(RESETS)
        if stream is not None:
            self._sink.on_reset(stream, int.from_bytes(payload, "big"))
            self._close(stream, False)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error("SETTINGS on a stream", Code.PROTOCOL_ERROR)
        if flags & ACK:
            if payload:
                raise Http2Error("SETTINGS acknowledged with content", Code.FRAME_SIZE_ERROR)
            return
        self.defence.spend(SETTINGS)
        self._apply_settings(payload)
        self._write(frames.build_frame(frames.SETTINGS, ACK, 0, b""))

    def _apply_settings(self, payload: bytes) -> None:
        if len(payload) % _SETTING.size:
            raise Http2Error("SETTINGS are not 6 bytes each", Code.FRAME_SIZE_ERROR)
        for number, value in _SETTING.iter_unpack(payload):
            if number == Setting.INITIAL_WINDOW_SIZE:
                self._set_initial_window(value)
            elif number == Setting.HEADER_TABLE_SIZE:
                self._encoder.resize(value)
            elif number == Setting.ENABLE_PUSH and value > 1:
                raise Http2Error("ENABLE_PUSH is neither 0 nor 1", Code.PROTOCOL_ERROR)
            elif number == Setting.MAX_FRAME_SIZE and not MAX_FRAME_SIZE <= value < 2**24:
                raise Http2Error("MAX_FRAME_SIZE is out of range", Code.PROTOCOL_ERROR)

    def _set_initial_window(self, value: int) -> None:
        """Section 6.9.2: it changes what is left of the windows of streams, too."""
        if value > MAX_WINDOW:
            raise Http2Error("INITIAL_WINDOW_SIZE is too large", Code.FLOW_CONTROL_ERROR)
        change = value - self._initial_window
        self._initial_window = value
        for stream in self.streams.values():
            stream.send_window += change
            if stream.send_window > MAX_WINDOW:
                raise Http2Error("a window became too large", Code.FLOW_CONTROL_ERROR)

    def _on_push(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise Http2Error("PUSH_PROMISE from a client", Code.PROTOCOL_ERROR)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error("PING on a stream", Code.PROTOCOL_ERROR)
        if len(payload) != 8:
            raise Http2Error("PING is not 8 bytes", Code.FRAME_SIZE_ERROR)
        self.defence.spend(PINGS)
        if flags & ACK:
            self._sink.on_pong(payload)
        else:
            self._write(frames.build_frame(frames.PING, ACK, 0, payload))

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        """The peer wants nothing new from us; we never begin anything."""
        if stream_id:
            raise Http2Error("GOAWAY on a stream", Code.PROTOCOL_ERROR)
        if len(payload) < 8:
            raise Http2Error("GOAWAY is too short", Code.FRAME_SIZE_ERROR)
        self.defence.spend(SETTINGS)

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error("WINDOW_UPDATE is not 4 bytes", Code.FRAME_SIZE_ERROR)
        self.defence.updated()
        increment = int.from_bytes(payload, "big") & MAX_WINDOW
        if not stream_id:
            self._connection_window += increment
            if not increment:
                raise Http2Error("WINDOW_UPDATE by nothing", Code.PROTOCOL_ERROR)
            if self._connection_window > MAX_WINDOW:
                raise Http2Error("the window is too large", Code.FLOW_CONTROL_ERROR)
            return
        stream = self._find(stream_id)
        if stream is None:
            return
        stream.send_window += increment
        if not increment:
            self._fail(stream, Code.PROTOCOL_ERROR)
        elif stream.send_window > MAX_WINDOW:
            self._fail(stream, Code.FLOW_CONTROL_ERROR)

    def _on_priority_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        """RFC 9218 section 7.1."""
        if stream_id:
            raise Http2Error("PRIORITY_UPDATE on a stream", Code.PROTOCOL_ERROR)
        if len(payload) < 4:
            raise Http2Error("PRIORITY_UPDATE is too short", Code.FRAME_SIZE_ERROR)
        self.defence.spend(PRIORITIES)
        number = int.from_bytes(payload[:4], "big") & MAX_STREAM_ID
        if not number & 1:
            raise Http2Error("PRIORITY_UPDATE of no request", Code.PROTOCOL_ERROR)
        priority = read_priority(payload[4:])
        stream = self.streams.get(number)
        if stream is not None:
            stream.urgency, stream.incremental = priority
        elif number > self._last_id:
            early = self._early_priorities
            if number in early or len(early) < self._limits.max_concurrent_streams:
                early[number] = priority

    def _find(self, stream_id: int) -> Stream | None:
        """Return the stream; None if it is closed.  Raises ``Http2Error`` if it is idle."""
        stream = self.streams.get(stream_id)
        if stream is None and (stream_id > self._last_id or not stream_id & 1):
            raise Http2Error("a frame for a stream that never began", Code.PROTOCOL_ERROR)
        return stream


_HANDLERS: dict[int, Callable[[Http2Core, int, int, bytes], None]] = {
    frames.PRIORITY: Http2Core._on_priority,
    frames.RST_STREAM: Http2Core._on_reset,
    frames.SETTINGS: Http2Core._on_settings,
    frames.PUSH_PROMISE: Http2Core._on_push,
    frames.PING: Http2Core._on_ping,
    frames.GOAWAY: Http2Core._on_goaway,
    frames.WINDOW_UPDATE: Http2Core._on_window_update,
    frames.CONTINUATION: Http2Core._on_continuation,
    frames.PRIORITY_UPDATE: Http2Core._on_priority_update,
}


def _own_settings(limits: Http2Limits) -> list[tuple[int, int]]:
    values: list[tuple[int, int]] = [
        (Setting.MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams),
        (Setting.INITIAL_WINDOW_SIZE, limits.stream_window),
        (Setting.MAX_HEADER_LIST_SIZE, limits.max_head_size),
        (Setting.NO_RFC7540_PRIORITIES, 1),
    ]
    if limits.websocket:
        values.append((Setting.ENABLE_CONNECT_PROTOCOL, 1))
    return values
