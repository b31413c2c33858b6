"""What of the responses of an HTTP/3 connection is sent, and what becomes of the rest?

Bytes are given to QUIC at once.  What the windows of the peer or the network do
not take waits there; ``settle`` looks how much that still is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...http import Field
from ..http2 import frames as http2
from ..http2.defence import Defence
from ..http2.sending import field_pairs
from ..http2.stream import ResponseHead, Stream
from ..sinks import Http2Sink
from . import frames
from .frames import HEADERS, Code
from .heads import Heads
from .reading import RequestReader

__all__ = ["QuicStreams", "Sending"]

# As of a transport: above the first a sender is to wait, until no more than the other waits.
_HIGH = 64 * 1024
_LOW = 16 * 1024

_CODES = {
    http2.Code.NO_ERROR: Code.NO_ERROR,
    http2.Code.INTERNAL_ERROR: Code.INTERNAL_ERROR,
    http2.Code.CANCEL: Code.REQUEST_CANCELLED,
}


class QuicStreams(Protocol):
    """The streams of a QUIC connection; what is said of one that is over has no effect."""

    def open(self) -> int:
        """Begin a one-way stream of ours and return its id."""

    def send(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Send bytes, as soon as the peer takes them."""

    def unsent(self, stream_id: int) -> int:
        """Return how many bytes wait to be sent."""

    def reset(self, stream_id: int, code: int) -> None:
        """Send nothing more; what waits is dropped."""

    def stop(self, stream_id: int, code: int) -> None:
        """Ask the peer to send nothing more."""

    def is_stopped(self, stream_id: int) -> bool:
        """Say whether the peer has asked us to."""

    def hold(self, stream_id: int, size: int) -> None:
        """So many bytes came that nobody takes: open no window for the stream again."""

    def release(self, stream_id: int) -> None:
        """They are taken, and what comes will be."""


class Sending:
    """The writing half of a core."""

    def __init__(self, sink: Http2Sink, quic: QuicStreams, heads: Heads) -> None:
        self._sink = sink
        self._quic = quic
        self._heads = heads
        self.defence = Defence()
        self.streams: dict[int, Stream] = {}  # those that are open
        self._readers: dict[int, RequestReader] = {}  # until the peer has ended its half
        self._unsent: dict[Stream, None] = {}

    @property
    def waiting(self) -> list[Stream]:
        """The streams of which something waits to be sent."""
        return list(self._unsent)

    def settle(self) -> None:
        """See what QUIC has sent, and whose turn it is to go on."""
        relieved: list[Stream] = []
        for stream in list(self._unsent):
            left = self._quic.unsent(stream.id)
            stream.sent += stream.pending_size - left
            stream.pending_size = left
            if stream.congested and left <= _LOW:
                stream.congested = False
                relieved.append(stream)
            if not left:
                del self._unsent[stream]
                if stream.local_ended:
                    self._on_end(stream)
        for stream in relieved:
            if not stream.closed:
                self._sink.on_writable(stream)

    # -- called by streams -------------------------------------------------

    def respond(self, stream: Stream, head: ResponseHead, body: bytes, ended: bool) -> None:
        """Send the final head and the first content."""
        data = frames.build_frame(HEADERS, self._heads.response(head))
        if body:
            data += frames.data_head(len(body)) + body
        self._send(stream, data, ended)

    def send_body(self, stream: Stream, data: bytes, ended: bool) -> None:
        """Send more content; ``data`` may be empty when ``ended``."""
        if data:
            data = frames.data_head(len(data)) + data
        if data or ended:
            self._send(stream, data, ended)

    def send_trailers(self, stream: Stream, fields: Sequence[Field]) -> None:
        """End the response with fields after its content."""
        block = self._heads.encode(field_pairs(fields))
        self._send(stream, frames.build_frame(HEADERS, block), True)

    def send_informational(self, stream: Stream, status: int, fields: Sequence[Field]) -> None:
        """Send an interim response (RFC 9110 section 15.2)."""
        kept = field_pairs([one for one in fields if not one.role])
        block = self._heads.encode([(b":status", b"%d" % status), *kept])
        self._send(stream, frames.build_frame(HEADERS, block), False)

    def reset(self, stream: Stream, code: int) -> None:
        """Give up a stream; ``code`` is one of HTTP/2."""
        own = _CODES.get(http2.Code(code), Code.GENERAL_PROTOCOL_ERROR)
        self._give_up(stream, own)

    def take(self, stream: Stream) -> None:
        """Let the peer send again on a held stream."""
        stream.held = False
        stream.withheld = 0
        if not stream.closed:
            self._quic.release(stream.id)

    # -- the end of a request ------------------------------------------------

    def _send(self, stream: Stream, data: bytes, ended: bool) -> None:
        if stream.closed or stream.local_ended:
            return
        stream.local_ended = ended
        self._quic.send(stream.id, data, ended)
        stream.pending_size += len(data)
        self._unsent[stream] = None
        if stream.pending_size > _HIGH:
            stream.congested = True

    def _on_end(self, stream: Stream) -> None:
        """The last of a response is on its way."""
        self.defence.served()
        if stream.remote_ended:
            self._close(stream)
        elif not stream.tunnel:
            # The rest of the request would be for nobody (section 4.1).
            self._quic.stop(stream.id, Code.NO_ERROR)
            self._close(stream)

    def _give_up(self, stream: Stream, code: int) -> None:
        if stream.closed:
            return
        self._quic.reset(stream.id, code)
        self._quic.stop(stream.id, code)
        self._close(stream)

    def _close(self, stream: Stream) -> None:
        self._quic.release(stream.id)
        stream.closed = True
        self._unsent.pop(stream, None)
        reader = self._readers.get(stream.id)
        if reader is not None:
            reader.ignore()
        del self.streams[stream.id]
        self._sink.on_closed(stream)
