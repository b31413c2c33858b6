"""One HTTP/3 connection as a state machine (RFC 9114), on streams that QUIC keeps.

``receive`` and its companions call the sink; ``Sending`` is the other half.

Rules that are about one request end its stream; those about the connection raise
``Http3Error``, whose status is the code to close it with.
"""

from __future__ import annotations

from ...errors import BadRequest, Http2Error, Http3Error
from ..http1.framing import CHUNKED
from ..http2.defence import EMPTY, PRIORITIES, RESETS
from ..http2.limits import Http2Limits
from ..http2.receiving import MakeStream
from ..http2.stream import Stream
from ..sinks import NOBODY, Http2Sink
from . import frames
from .frames import DATA, HEADERS, PUSH_PROMISE, Code, Setting
from .heads import Heads, Qpack
from .reading import BEGINS, CONTENT, IGNORED, TRAILED, ControlReader, RequestReader
from .sending import QuicStreams, Sending

__all__ = ["Http3Core"]

_EVERY_ID = 2**62


class Http3Core(Sending):
    """The requests of one connection; ``begin`` it once there are streams."""

    def __init__(
        self,
        sink: Http2Sink,
        quic: QuicStreams,
        qpack: Qpack,
        limits: Http2Limits,
        make: MakeStream,
    ) -> None:
        super().__init__(sink, quic, Heads(limits, qpack))
        self._limits = limits
        self._make = make
        self._one_way: dict[int, int] = {}  # id to kind, -1 before that is known
        self._control = ControlReader()
        self._own_control = 0
        self._served_until = _EVERY_ID  # later streams are refused
        self._last_id = -4  # the highest that was served
        self._now = 0.0

    def begin(self) -> None:
        """Send our settings."""
        values: list[tuple[int, int]] = [
            (Setting.MAX_FIELD_SECTION_SIZE, self._limits.max_head_size)
        ]
        if self._limits.websocket:
            values.append((Setting.ENABLE_CONNECT_PROTOCOL, 1))
        self._own_control = self._quic.open()
        said = frames.write_integer(frames.CONTROL) + frames.settings(values)
        self._quic.send(self._own_control, said, False)

    # -- called by the connection ----------------------------------------

    @property
    def owed_since(self) -> float | None:
        """When the first head began that is not complete; None if there is none."""
        return min(
            (one.began for one in self._readers.values() if one.state == BEGINS), default=None
        )

    def advance(self, now: float) -> None:
        """Let time pass; ``now`` is in seconds, from whatever moment."""
        if now != self._now:
            self._now = now
            self.defence.advance(now)

    def receive(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Take what came on a stream, in order.  Raises ``Http3Error``."""
        if stream_id & 2:
            self._on_one_way(stream_id, data, ended)
            return
        reader = self._readers.get(stream_id)
        if reader is None:
            self._readers[stream_id] = reader = RequestReader(stream_id, self._now)
        if reader.state != IGNORED:
            reader.feed(data)
            self._read(reader, ended)
        if ended:
            self._readers.pop(stream_id, None)

    def on_reset(self, stream_id: int, code: int) -> None:
        """The peer gave up its half of a stream.  Raises ``Http3Error``."""
        if stream_id & 2:
            self._on_one_way(stream_id, b"", True)
            return
        reader = self._readers.pop(stream_id, None)
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._cancel(stream, code)
        elif reader is None or reader.state == BEGINS:
            self._quic.reset(stream_id, Code.REQUEST_INCOMPLETE)
            self._spend(RESETS)

    def on_stopped(self, stream_id: int, code: int) -> None:
        """The peer wants nothing more on a stream.  Raises ``Http3Error``."""
        if stream_id == self._own_control:
            raise Http3Error("our control stream was refused", Code.CLOSED_CRITICAL_STREAM)
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._cancel(stream, code)

    def notice(self) -> None:
        """Say that the connection is to end; requests on their way are still served."""
        self._go_away(_EVERY_ID - 4)

    def go_away(self) -> None:
        """Serve no request beyond those that have come (section 5.2)."""
        self._served_until = self._last_id + 4
        self._go_away(self._served_until)

    def release(self) -> None:
        """The connection is gone: let go of the sink, which usually refers to us."""
        for stream in self.streams.values():
            stream.closed = True
        self._readers.clear()
        self._unsent.clear()
        self.streams.clear()
        self._sink = self._make = self._quic = NOBODY

    # -- requests ----------------------------------------------------------

    def _read(self, reader: RequestReader, ended: bool) -> None:
        told = False  # the end of the request was told with its last frame
        while reader.state != IGNORED:
            frame = reader.next(self._limits.max_head_size)
            if frame is None:
                break
            kind, payload = frame
            stream, last = reader.stream, ended and reader.between
            if kind == PUSH_PROMISE:
                self._on_long_head(reader)
            elif kind == HEADERS and stream is None:
                self._on_head(reader, payload, last)
                told = last
            elif kind == DATA and stream is not None:
                self._on_data(stream, payload, last)
                told = last
            elif kind == HEADERS and stream is not None:
                self._on_trailers(reader, stream, payload)
            else:
                # Section 9: to be ignored.
                self._spend(PRIORITIES)
        if not ended or reader.state == IGNORED:
            return
        if not reader.between:
            raise Http3Error("a stream ends within a frame", Code.FRAME_ERROR)
        stream = reader.stream
        if stream is None:
            self._refuse(reader, Code.REQUEST_INCOMPLETE)
        elif not told:
            self._on_last(reader, stream)

    def _on_head(self, reader: RequestReader, block: bytes, ended: bool) -> None:
        if self._turn_away(reader):
            return
        try:
            head = self._heads.request(block, ended)
        except BadRequest as error:
            if error.status == 400:
                self._refuse(reader, Code.MESSAGE_ERROR)
            else:
                self._sink.on_refused(self._open(reader, ended), error)
            return
        stream = self._open(reader, ended)
        stream.expected = head.body_length if head.body_length != CHUNKED else -1
        self._sink.on_request(stream, head, ended)

    def _on_long_head(self, reader: RequestReader) -> None:
        size = self._limits.max_head_size
        if reader.stream is not None:
            self._fail(reader.stream, Code.EXCESSIVE_LOAD)
            return
        if self._turn_away(reader):
            return
        stream = self._open(reader, False)
        reader.ignore()
        self._sink.on_refused(stream, BadRequest(f"more than {size} bytes", 431))

    def _turn_away(self, reader: RequestReader) -> bool:
        """Refuse a request whose head has come, if there is no place for it; say whether."""
        if self._quic.is_stopped(reader.id):
            # The word that nobody wants the response was faster than the request.
            self._refuse(reader, Code.REQUEST_CANCELLED)
            return True
        is_full = len(self.streams) >= self._limits.max_concurrent_streams
        if is_full or reader.id >= self._served_until:
            # It may be sent again, elsewhere or later (section 4.1.1).
            self._refuse(reader, Code.REQUEST_REJECTED, 0.25)
            return True
        return False

    def _open(self, reader: RequestReader, ended: bool) -> Stream:
        reader.state = CONTENT
        self._last_id = max(self._last_id, reader.id)
        stream = self._make(reader.id, 0, 0)
        stream.remote_ended = ended
        reader.stream = self.streams[reader.id] = stream
        return stream

    def _refuse(self, reader: RequestReader, code: int, weight: float = 1.0) -> None:
        """End a request that never began."""
        reader.ignore()
        self._quic.reset(reader.id, code)
        self._quic.stop(reader.id, code)
        self._spend(RESETS, weight)

    def _on_trailers(self, reader: RequestReader, stream: Stream, block: bytes) -> None:
        try:
            fields = self._heads.trailers(block)
        except BadRequest:
            self._fail(stream, Code.MESSAGE_ERROR)
            return
        reader.state = TRAILED
        self._sink.on_trailers(stream, fields)

    def _on_data(self, stream: Stream, data: bytes, ended: bool) -> None:
        if not data and not ended:
            self._spend(EMPTY)
        stream.received += len(data)
        expected = stream.expected
        if expected >= 0:
            stream.expected = expected = expected - len(data)
            if expected < 0 or (ended and expected):
                self._fail(stream, Code.MESSAGE_ERROR)
                return
        elif stream.received > self._limits.max_body_size and not stream.tunnel:
            reason = f"the content is longer than {self._limits.max_body_size} bytes"
            self._sink.on_refused(stream, BadRequest(reason, 413))
            return
        if data or ended:
            self._deliver(stream, data, ended)

    def _on_last(self, reader: RequestReader, stream: Stream) -> None:
        """The stream ended without a frame of content that could say so."""
        if stream.expected > 0:
            self._fail(stream, Code.MESSAGE_ERROR)
        else:
            self._deliver(stream, b"", True)

    def _deliver(self, stream: Stream, data: bytes, ended: bool) -> None:
        over = stream.local_ended and stream not in self._unsent
        stream.remote_ended = ended
        self._sink.on_body(stream, data, ended)
        if stream.closed:
            return
        if stream.held and data:
            stream.withheld += len(data)
            self._quic.hold(stream.id, len(data))
        if ended and over:
            # Only of tunnels our half can end first.
            self._close(stream)

    def _cancel(self, stream: Stream, code: int) -> None:
        """The peer gives a request up."""
        self._sink.on_reset(stream, code)
        self._give_up(stream, Code.REQUEST_CANCELLED)
        self._spend(RESETS)

    def _fail(self, stream: Stream, code: int) -> None:
        """The peer broke a rule that is about one request (section 4.1.2)."""
        self._sink.on_reset(stream, code)
        self._give_up(stream, code)
        self._spend(RESETS)

    def _spend(self, kind: int, amount: float = 1.0) -> None:
        try:
            self.defence.spend(kind, amount)
        except Http2Error as error:
            raise Http3Error(error.reason, Code.EXCESSIVE_LOAD) from None

    # -- one-way streams -----------------------------------------------------

    def _on_one_way(self, stream_id: int, data: bytes, ended: bool) -> None:
        kind = self._one_way.get(stream_id, -1)
        if kind < 0 and data:
            # Its kind takes one byte, or nobody here knows it.
            kind, data = (data[0] if data[0] < 0x40 else 0x40), data[1:]
            self._begin_one_way(stream_id, kind)
        if ended:
            self._one_way.pop(stream_id, None)
            if kind in (frames.CONTROL, frames.QPACK_ENCODER, frames.QPACK_DECODER):
                raise Http3Error("a stream ended that must not", Code.CLOSED_CRITICAL_STREAM)
        elif kind == frames.CONTROL:
            count, said = self._control.read(data)
            self._spend(PRIORITIES, count)
            if said is not None:
                frames.read_settings(said)
        elif kind == frames.QPACK_ENCODER and data.strip(b"\x20"):
            # Our table has no size; that may be said again, and nothing else.
            raise Http3Error("an entry for a table of size 0", Code.ENCODER_STREAM_ERROR)

    def _begin_one_way(self, stream_id: int, kind: int) -> None:
        known = kind <= frames.QPACK_DECODER
        if kind == frames.PUSH or (known and kind in self._one_way.values()):
            raise Http3Error("a push, or a second stream of a kind", Code.STREAM_CREATION_ERROR)
        if not known:
            self._spend(PRIORITIES)
            self._quic.stop(stream_id, Code.STREAM_CREATION_ERROR)
        self._one_way[stream_id] = kind

    def _go_away(self, stream_id: int) -> None:
        self._quic.send(
            self._own_control,
            frames.build_frame(frames.GOAWAY, frames.write_integer(stream_id)),
            False,
        )
