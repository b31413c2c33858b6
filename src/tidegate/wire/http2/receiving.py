"""What becomes of the requests of an HTTP/2 connection, and of their content.

Windows are opened as content is taken, and only now and then: a WINDOW_UPDATE
for every frame would cost more than the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ...errors import BadRequest, Http2Error
from ..http1.framing import CHUNKED
from ..sinks import Http2Sink
from . import frames
from .defence import EMPTY, MAX_CONTINUATIONS, RESETS
from .frames import (
    END_HEADERS,
    END_STREAM,
    MAX_STREAM_ID,
    PADDED,
    PRIORITY_FLAG,
    Code,
)
from .heads import Heads, Priority
from .limits import Http2Limits
from .sending import Sending
from .stream import Stream

__all__ = ["MakeStream", "Receiving", "check_priority"]

MakeStream: TypeAlias = Callable[[int, int, int], Stream]
"""From id, send window and receive window to a stream."""

# A request too many is the peer's mistake, but an easy one to make before it has our settings.
_REFUSED = 0.25

# As many as fit a window, in small frames.
_LATE = 0.25


class Receiving(Sending):
    """The reading half of a core, as far as streams are concerned."""

    __slots__ = (
        *("_block", "_block_ended", "_block_id", "_continuations", "_early_priorities"),
        *("_heads", "_last_id", "_limits", "_make", "_receive_window", "_served_until"),
        "_unpaid",
    )  # fmt: skip

    def __init__(self, sink: Http2Sink, limits: Http2Limits, make: MakeStream) -> None:
        super().__init__(sink)
        self._limits = limits
        self._make = make
        self._heads = Heads(limits)
        self._last_id = 0  # the highest that the peer has used
        self._served_until = MAX_STREAM_ID  # later streams are ignored
        # A field block that is not complete; the id is 0 while there is none.
        self._block_id = 0
        self._block_ended = False
        self._block = bytearray()
        self._continuations = 0
        self._early_priorities: dict[int, Priority] = {}  # of streams yet to come
        self._receive_window = limits.connection_window
        self._unpaid = 0  # content taken and not yet given back to the connection's window

    def take(self, stream: Stream) -> None:
        """Give what has arrived on a held stream, and will, back to the peer's windows."""
        stream.held = False
        size, stream.withheld = stream.withheld, 0
        if size:
            self._pay(stream, size)

    # -- heads -----------------------------------------------------------

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & (PADDED | PRIORITY_FLAG):
            if flags & PADDED:
                payload = unpadded(payload)
            if flags & PRIORITY_FLAG:
                check_priority(stream_id, payload[:5])
                payload = payload[5:]
        ended = flags & END_STREAM != 0
        if flags & END_HEADERS:
            self._on_block(stream_id, ended, payload)
            return
        if not payload:
            self.defence.spend(EMPTY)
        self._block_id = stream_id
        self._block_ended = ended
        self._block += payload
        self._continuations = 0

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._block_id:
            raise Http2Error("CONTINUATION without HEADERS", Code.PROTOCOL_ERROR)
        self._continuations += 1
        self._block += payload
        # One that is a little too long is read and answered.
        too_long = len(self._block) > 2 * self._limits.max_head_size
        if too_long or self._continuations > MAX_CONTINUATIONS:
            raise Http2Error("a field block does not end", Code.ENHANCE_YOUR_CALM)
        if flags & END_HEADERS:
            block = bytes(self._block)
            self._block.clear()
            self._block_id = 0
            self._on_block(stream_id, self._block_ended, block)

    def _on_block(self, stream_id: int, ended: bool, block: bytes) -> None:
        if stream_id > self._last_id and stream_id & 1:
            self._on_new(stream_id, ended, block)
            return
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._on_trailer_block(stream, ended, block)
        elif self._closed.get(stream_id, False):
            # It was on its way when we closed the stream.
            self._heads.skip(block)
        elif stream_id in self._closed:
            raise Http2Error("HEADERS on a closed stream", Code.STREAM_CLOSED)
        else:
            raise Http2Error("a stream id that cannot be new", Code.PROTOCOL_ERROR)

    def _on_new(self, stream_id: int, ended: bool, block: bytes) -> None:
        self._last_id = stream_id
        if stream_id > self._served_until:
            self._heads.skip(block)
            self._remember(stream_id, True)
            return
        if len(self.streams) >= self._limits.max_concurrent_streams:
            self._heads.skip(block)
            self._refuse(stream_id, Code.REFUSED_STREAM, _REFUSED)
            return
        try:
            head, priority = self._heads.request(block, ended)
        except BadRequest as error:
            if error.status == 400:
                self._refuse(stream_id, Code.PROTOCOL_ERROR)
            else:
                self._sink.on_refused(self._open(stream_id, ended), error)
            return
        stream = self._open(stream_id, ended)
        stream.expected = head.body_length if head.body_length != CHUNKED else -1
        if self._early_priorities:
            priority = self._early_priorities.pop(stream_id, priority)
        if priority is not None:
            stream.urgency, stream.incremental = priority
        self._sink.on_request(stream, head, ended)

    def _open(self, stream_id: int, ended: bool) -> Stream:
        stream = self._make(stream_id, self._initial_window, self._limits.stream_window)
        stream.remote_ended = ended
        self.streams[stream_id] = stream
        return stream

    def _refuse(self, stream_id: int, code: int, weight: float = 1.0) -> None:
        """Reset a stream that never began."""
        self._write(frames.reset(stream_id, code))
        self._remember(stream_id, True)
        self.defence.spend(RESETS, weight)

    def _on_trailer_block(self, stream: Stream, ended: bool, block: bytes) -> None:
        if stream.remote_ended:
            self._heads.skip(block)
            self._fail(stream, Code.STREAM_CLOSED)
            return
        try:
            fields = self._heads.trailers(block)
        except BadRequest:
            self._fail(stream, Code.PROTOCOL_ERROR)
            return
        if not ended or stream.expected > 0:
            self._fail(stream, Code.PROTOCOL_ERROR)
            return
        stream.remote_ended = True
        self._sink.on_trailers(stream, fields)
        self._deliver(stream, b"", True)

    # -- content ---------------------------------------------------------

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise Http2Error("more than the connection's window", Code.FLOW_CONTROL_ERROR)
        if flags & PADDED:
            payload = unpadded(payload)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_late_data(stream_id, size)
            return
        ended = flags & END_STREAM != 0
        if not payload and not ended:
            self.defence.spend(EMPTY)
        stream.receive_window -= size
        stream.received += len(payload)
        if stream.remote_ended or stream.receive_window < 0:
            self._pay_connection(size)
            late = stream.remote_ended
            self._fail(stream, Code.STREAM_CLOSED if late else Code.FLOW_CONTROL_ERROR)
            return
        expected = stream.expected
        if expected >= 0:
            stream.expected = expected = expected - len(payload)
            if expected < 0 or (ended and expected):
                self._pay_connection(size)
                self._fail(stream, Code.PROTOCOL_ERROR)
                return
        elif stream.received > self._limits.max_body_size and not stream.tunnel:
            self._pay_connection(size)
            reason = f"the content is longer than {self._limits.max_body_size} bytes"
            self._sink.on_refused(stream, BadRequest(reason, 413))
            return
        stream.remote_ended = ended
        if payload or ended:
            self._deliver(stream, payload, ended)
        if stream.held:
            stream.withheld += size
        else:
            self._pay(stream, size)

    def _deliver(self, stream: Stream, data: bytes, ended: bool) -> None:
        over = stream.local_ended and not stream.waiting
        self._sink.on_body(stream, data, ended)
        if ended and over and not stream.closed:
            # Only of tunnels our half can end first.
            self._close(stream, False)

    def _on_late_data(self, stream_id: int, size: int) -> None:
        if not self._closed.get(stream_id, False):
            known = stream_id in self._closed
            code = Code.STREAM_CLOSED if known else Code.PROTOCOL_ERROR
            raise Http2Error("DATA on a stream that is not open", code)
        # What was on its way when we closed the stream is soon over.
        self.defence.spend(EMPTY, _LATE if size else 1.0)
        self._pay_connection(size)

    def _pay(self, stream: Stream, size: int) -> None:
        """What arrived is taken: let the peer send as much again, now and then."""
        self._pay_connection(size)
        if stream.remote_ended or stream.closed:
            return
        stream.unpaid += size
        if stream.unpaid * 2 >= self._limits.stream_window:
            self._write(frames.window_update(stream.id, stream.unpaid))
            stream.receive_window += stream.unpaid
            stream.unpaid = 0

    def _pay_connection(self, size: int) -> None:
        self._unpaid += size
        if self._unpaid * 2 >= self._limits.connection_window:
            self._write(frames.window_update(0, self._unpaid))
            self._receive_window += self._unpaid
            self._unpaid = 0

    def _fail(self, stream: Stream, code: int) -> None:
        """The peer broke a rule that is about one stream (section 5.4.2)."""
        self._sink.on_reset(stream, code)
        self.reset(stream, code)
        self.defence.spend(RESETS)

    def _close(self, stream: Stream, by_us: bool) -> None:
        if stream.withheld:
            self._pay_connection(stream.withheld)
            stream.withheld = 0
        super()._close(stream, by_us)


def unpadded(payload: bytes) -> bytes:
    """Take the padding off (section 6.1).  Raises ``Http2Error``."""
    if not payload or payload[0] >= len(payload):
        raise Http2Error("more padding than payload", Code.PROTOCOL_ERROR)
    return payload[1 : len(payload) - payload[0]]


def check_priority(stream_id: int, payload: bytes) -> None:
    """Check the old priority, which nobody heeds (section 5.3.2).  Raises ``Http2Error``."""
    if len(payload) != 5:
        raise Http2Error("a priority is not 5 bytes", Code.FRAME_SIZE_ERROR)
    if int.from_bytes(payload[:4], "big") & MAX_STREAM_ID == stream_id:
        raise Http2Error("a stream that depends on itself", Code.PROTOCOL_ERROR)
