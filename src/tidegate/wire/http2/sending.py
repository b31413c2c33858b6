"""What of the responses of an HTTP/2 connection may be sent now?

Heads are compressed when they are sent, not before: the order of blocks on the
wire is the order of the compression.  What the peer's windows, or the transport,
do not take waits in its stream; ``pump`` moves it on by priority.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...http import CODING, CONNECTION, DATE, LENGTH, REASON, SERVER, Defaults, Field
from ..sinks import Http2Sink
from . import frames
from .defence import Defence
from .frames import DATA, END_HEADERS, END_STREAM, FRAME_HEAD, HEADERS, MAX_FRAME_SIZE, Code
from .hpack import Encoder, Pair
from .priority import next_round
from .stream import ResponseHead, Stream

__all__ = ["Sending", "field_pairs", "head_pairs"]

_UNUSUAL = CODING | CONNECTION | DATE | SERVER | REASON

_LEFT_OUT = CODING | CONNECTION | REASON

# Section 8.2.2, besides those that have a role.
_FORBIDDEN = frozenset((b"keep-alive", b"proxy-connection", b"upgrade"))

# content-length without indexing: name index 28 in a four-bit prefix.
_CONTENT_LENGTH = b"\x0f\x0d"

_MAX_KNOWN_BLOCKS = 64

# As of a transport: above the first a sender is to wait, until no more than the other waits.
_HIGH = 64 * 1024
_LOW = 16 * 1024

# Closed streams that are remembered, so that what is on its way to them is no error.
_MAX_CLOSED = 512


class Sending:
    """The writing half of a core."""

    __slots__ = (
        *("_blocks", "_blocks_of", "_closed", "_connection_window", "_encoder", "_output"),
        *("_initial_window", "_sink", "_turns", "_waiting", "defence", "may_write"),
        *("output_size", "sent", "streams"),
    )  # fmt: skip

    def __init__(self, sink: Http2Sink) -> None:
        self._sink = sink
        self.defence = Defence()
        self.streams: dict[int, Stream] = {}  # those that are open
        # How the others were closed: True if we did it, so that the peer may not know.
        self._closed: dict[int, bool] = {}
        self._output: list[bytes] = []
        self.output_size = 0
        self.may_write = True  # the transport takes more
        self._encoder = Encoder()
        self._blocks: dict[tuple[object, ...], bytes] = {}  # heads encoded before
        self._blocks_of: tuple[int, Defaults | None] = (0, None)  # for which they hold
        self._connection_window = 65535  # what the peer takes of all streams together
        self._initial_window = 65535  # and of a new stream
        self._waiting: dict[Stream, None] = {}  # in the order of their arrival
        self._turns = 0
        self.sent = 0  # content, of all streams

    # -- called by the connection ----------------------------------------

    @property
    def waiting(self) -> list[Stream]:
        """The streams of which something waits to be sent."""
        return list(self._waiting)

    @property
    def blocked(self) -> bool:
        """Whether the peer takes nothing of any stream for now."""
        return self._connection_window <= 0

    def take_output(self) -> bytes:
        """Return the bytes for the transport."""
        output = self._output
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        self.output_size = 0
        return data

    def respond(
        self,
        stream: Stream,
        head: ResponseHead,
        body: bytes = b"",
        ended: bool = False,
    ) -> None:
        """Send the final head and the first content."""
        if stream.closed:
            return
        size = len(body)
        stream.local_ended = ended
        if (
            self.may_write
            and not self._waiting
            and size <= MAX_FRAME_SIZE
            and size <= stream.send_window
            and size <= self._connection_window
        ):
            self._send_head(stream, head, ended and not size)
            if size:
                self._send_data(stream, body, ended)
            return
        stream.pending_head = head
        if size:
            stream.pending.append(body)
            stream.pending_size = size
        stream.pending_end = ended
        self._wait(stream)

    def send_body(self, stream: Stream, data: bytes, ended: bool) -> None:
        """Send more content; ``data`` may be empty when ``ended``."""
        if stream.closed or stream.local_ended:
            return
        stream.local_ended = ended
        size = len(data)
        if (
            self.may_write
            and not self._waiting
            and size <= MAX_FRAME_SIZE
            and size <= stream.send_window
            and size <= self._connection_window
        ):
            if size or ended:
                self._send_data(stream, data, ended)
            return
        if size:
            stream.pending.append(data)
            stream.pending_size += size
        stream.pending_end = ended
        self._wait(stream)

    def send_trailers(self, stream: Stream, fields: Sequence[Field]) -> None:
        """End the response with fields after its content."""
        if stream.closed or stream.local_ended:
            return
        stream.local_ended = stream.pending_end = True
        stream.pending_trailers = fields
        self._wait(stream)

    def send_informational(self, stream: Stream, status: int, fields: Sequence[Field] = ()) -> None:
        """Send an interim response (RFC 9110 section 15.2)."""
        if not stream.closed:
            kept = [one for one in fields if not one.role]
            block = self._encoder.encode([(b":status", b"%d" % status), *field_pairs(kept)])
            self._write(frames.headers(stream.id, block, False))

    def reset(self, stream: Stream, code: int) -> None:
        """Give up a stream (section 5.4.2)."""
        if not stream.closed:
            self._write(frames.reset(stream.id, code))
            self._close(stream, True)

    def pump(self) -> None:
        """Send what waits, by priority, until enough is in the output."""
        relieved: list[Stream] = []
        while self.output_size < _HIGH and self._waiting and self.may_write:
            turn = next_round([one for one in self._waiting if self._can_send(one)])
            if not turn:
                break
            for stream in turn:
                if self._can_send(stream):
                    self._send_next(stream)
                if stream.congested and stream.pending_size <= _LOW:
                    stream.congested = False
                    relieved.append(stream)
        for stream in relieved:
            self._sink.on_writable(stream)

    # -- private -------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        self._output.append(data)
        self.output_size += len(data)

    def _wait(self, stream: Stream) -> None:
        self._waiting[stream] = None
        self.pump()
        if stream.pending_size > _HIGH:
            stream.congested = True

    def _can_send(self, stream: Stream) -> bool:
        if stream.pending_head is not None:
            return True
        if stream.pending_size:
            return stream.send_window > 0 and self._connection_window > 0
        return stream.pending_end

    def _send_next(self, stream: Stream) -> None:
        """Send one frame of what waits in a stream, or two if the second is the end."""
        self._turns += 1
        stream.turn = self._turns
        head, stream.pending_head = stream.pending_head, None
        if head is not None:
            ended = (
                stream.pending_end and not stream.pending_size and stream.pending_trailers is None
            )
            if ended:
                stream.pending_end = False
            if not stream.waiting:
                del self._waiting[stream]
            self._send_head(stream, head, ended)
            return
        window = min(stream.send_window, self._connection_window, MAX_FRAME_SIZE)
        data = stream.take(min(stream.pending_size, window)) if stream.pending_size else b""
        if stream.pending_size or not stream.pending_end:
            if not stream.pending_size:
                del self._waiting[stream]
            self._send_data(stream, data, False)
            return
        del self._waiting[stream]
        stream.pending_end = False
        trailers = stream.pending_trailers
        if data or trailers is None:
            self._send_data(stream, data, trailers is None)
        if trailers is not None:
            self._write(
                frames.headers(stream.id, self._encoder.encode(field_pairs(trailers)), True)
            )
            self._on_end(stream)

    def _send_head(self, stream: Stream, head: ResponseHead, ended: bool) -> None:
        block = self._encoded(head)
        size = len(block)
        if size > MAX_FRAME_SIZE:
            self._write(frames.headers(stream.id, block, ended))
        else:
            flags = END_HEADERS | END_STREAM if ended else END_HEADERS
            self._output += (
                FRAME_HEAD.pack(size >> 8, size & 0xFF, HEADERS, flags, stream.id),
                block,
            )
            self.output_size += size + 9
        if ended:
            self._on_end(stream)

    def _send_data(self, stream: Stream, data: bytes, ended: bool) -> None:
        size = len(data)
        stream.send_window -= size
        stream.sent += size
        self._connection_window -= size
        self.sent += size
        self.defence.sent(size)
        self._output += (
            FRAME_HEAD.pack(size >> 8, size & 0xFF, DATA, END_STREAM if ended else 0, stream.id),
            data,
        )
        self.output_size += size + 9
        if ended:
            self._on_end(stream)

    def _on_end(self, stream: Stream) -> None:
        """The last of a response is on its way."""
        self.defence.served()
        if stream.remote_ended:
            self._close(stream, False)
        elif not stream.tunnel:
            # The rest of the request would be for nobody (section 8.1).
            self._write(frames.reset(stream.id, Code.NO_ERROR))
            self._close(stream, True)

    def _close(self, stream: Stream, by_us: bool) -> None:
        stream.closed = True
        self._waiting.pop(stream, None)
        stream.forget()
        del self.streams[stream.id]
        self._remember(stream.id, by_us)
        self._sink.on_closed(stream)

    def _remember(self, stream_id: int, by_us: bool) -> None:
        closed = self._closed
        if len(closed) >= _MAX_CLOSED:
            del closed[next(iter(closed))]
        closed[stream_id] = by_us

    def _encoded(self, head: ResponseHead) -> bytes:
        """Return a head, compressed."""
        status, fields, roles, length, defaults = head
        encoder = self._encoder
        holds_for = self._blocks_of
        if holds_for[1] is not defaults or holds_for[0] != encoder.generation:
            self._blocks.clear()
            self._blocks_of = (encoder.generation, defaults)
        key = (status, *fields)
        block = self._blocks.get(key)
        if block is None:
            generation = encoder.generation
            block = encoder.encode(head_pairs(status, fields, roles, defaults))
            if encoder.generation == generation and len(self._blocks) < _MAX_KNOWN_BLOCKS:
                self._blocks[key] = block
        if length is not None and length >= 0 and not roles & LENGTH:
            digits = b"%d" % length
            block += _CONTENT_LENGTH + bytes((len(digits),)) + digits
        return block


def head_pairs(status: int, fields: Sequence[Field], roles: int, defaults: Defaults) -> list[Pair]:
    """Return the fields of a final head; but content-length, if it is not among them."""
    pairs = [(b":status", b"%d" % status)]
    if roles & _UNUSUAL:
        own = [one for one in defaults.fields if not one.role & roles & (DATE | SERVER)]
        pairs += field_pairs(own)
        pairs += field_pairs([one for one in fields if not one.role & _LEFT_OUT])
    else:
        pairs += field_pairs(defaults.fields)
        pairs += field_pairs(fields)
    return pairs


def field_pairs(fields: Sequence[Field]) -> list[Pair]:
    """Return fields as they are sent, without those that are about an HTTP/1 connection."""
    pairs = [(one.name.lower(), one.value.strip(b" \t")) for one in fields]
    return [pair for pair in pairs if pair[0] not in _FORBIDDEN]
