"""The other end of an HTTP/2 core: a sink that writes everything down, and frames by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from tidegate.errors import BadRequest, Http2Error
from tidegate.http import Defaults, Field, Head
from tidegate.http import field as response_field
from tidegate.wire.http2 import frames
from tidegate.wire.http2.core import Http2Core
from tidegate.wire.http2.frames import Code
from tidegate.wire.http2.hpack import Decoder, Encoder, Pair
from tidegate.wire.http2.limits import Http2Limits
from tidegate.wire.http2.stream import Stream

NO_DEFAULTS = Defaults(())

GET = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/"),
    (b":authority", b"test"),
]
POST = [(b":method", b"POST"), *GET[1:]]


@dataclass
class Request:
    """What the sink was told of one stream."""

    stream: Stream
    head: Head | None = None
    body: bytes = b""
    trailers: list[Pair] = field(default_factory=list)
    ended: bool = False
    refused: int = 0
    reset: int | None = None
    closed: bool = False
    writable: int = 0


class Recorder:
    """A sink."""

    def __init__(self) -> None:
        self.requests: dict[int, Request] = {}
        self.pongs: list[bytes] = []
        self.calls = 0

    def on_request(self, stream: Stream, head: Head, ended: bool) -> None:
        self.calls += 1
        self.requests[stream.id] = Request(stream, head, ended=ended)

    def on_body(self, stream: Stream, data: bytes, ended: bool) -> None:
        self.calls += 1
        self.requests[stream.id].body += data
        self.requests[stream.id].ended = ended

    def on_trailers(self, stream: Stream, fields: list[Pair]) -> None:
        self.requests[stream.id].trailers = fields

    def on_refused(self, stream: Stream, error: BadRequest) -> None:
        self.requests.setdefault(stream.id, Request(stream)).refused = error.status

    def on_reset(self, stream: Stream, code: int) -> None:
        self.requests[stream.id].reset = code

    def on_writable(self, stream: Stream) -> None:
        self.requests[stream.id].writable += 1

    def on_closed(self, stream: Stream) -> None:
        if stream.id in self.requests:
            self.requests[stream.id].closed = True

    def on_pong(self, payload: bytes) -> None:
        self.pongs.append(payload)


@dataclass
class Frame:
    """One frame as the core sent it."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of RST_STREAM or GOAWAY."""
        at = 4 if self.kind == frames.GOAWAY else 0
        return int.from_bytes(self.payload[at : at + 4], "big")


def parse(data: bytes) -> list[Frame]:
    """Return the frames of ``data``, which must be whole."""
    found = []
    while data:
        upper, lower, kind, flags, stream_id = frames.FRAME_HEAD.unpack_from(data)
        size = upper << 8 | lower
        assert len(data) >= 9 + size, "a frame is cut off"
        found.append(Frame(kind, flags, stream_id, data[9 : 9 + size]))
        data = data[9 + size :]
    return found


class Client:
    """Feeds a core, and reads what it sends."""

    def __init__(
        self, limits: Http2Limits | None = None, settings: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.now = 0.0
        self.sink = Recorder()
        self.core = Http2Core(self.sink, limits or Http2Limits())
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.greeting = self.sent()
        self.feed(frames.PREFACE + frames.settings(settings))
        assert [frame.kind for frame in self.sent()] == [frames.SETTINGS]

    def feed(self, data: bytes, now: float | None = None) -> None:
        """Let bytes arrive; a broken connection ends as a connection would end it."""
        self.now = self.now if now is None else now
        try:
            self.core.receive(data, self.now)
        except Http2Error as error:
            self.core.go_away(error.status, error.reason)

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes = b"") -> None:
        self.feed(frames.build_frame(kind, flags, stream_id, payload))

    def head(self, pairs: Sequence[Pair] = GET, ended: bool = True) -> bytes:
        return self.encoder.encode(pairs)

    def request(self, stream_id: int, pairs: Sequence[Pair] = GET, ended: bool = True) -> Request:
        """Send a request head; return what the sink knows of it."""
        self.feed(frames.headers(stream_id, self.encoder.encode(pairs), ended))
        return self.sink.requests[stream_id]

    def data(self, stream_id: int, data: bytes = b"", ended: bool = False) -> None:
        self.frame(frames.DATA, frames.END_STREAM if ended else 0, stream_id, data)

    def update(self, stream_id: int, size: int) -> None:
        self.frame(frames.WINDOW_UPDATE, 0, stream_id, struct.pack(">I", size))

    def sent(self) -> list[Frame]:
        """Return the frames that the core has sent since the last call."""
        self.core.pump()
        return parse(self.core.take_output())

    def fields(self, frame: Frame) -> list[Pair]:
        """Read the block of a HEADERS frame."""
        return self.decoder.decode(frame.payload, 10**6, 10**4)

    def went_away(self) -> Code:
        """Return the code of the GOAWAY that must be the last frame."""
        last = self.sent()[-1]
        assert last.kind == frames.GOAWAY
        return Code(last.code)

    def was_reset(self) -> Code:
        """Return the code of the RST_STREAM that must be among the frames."""
        found = [frame for frame in self.sent() if frame.kind == frames.RST_STREAM]
        return Code(found[-1].code)

    def ended_by(self) -> Code:
        """Return why the stream, or with it the connection, ended."""
        found = [frame for frame in self.sent() if frame.kind in (frames.RST_STREAM, frames.GOAWAY)]
        return Code(found[-1].code)


def fields(*pairs: Pair) -> tuple[list[Field], int]:
    """Return response fields and the union of their roles."""
    made = [response_field(*pair) for pair in pairs]
    roles = 0
    for one in made:
        roles |= one.role
    return made, roles


def respond(
    client: Client,
    stream: Stream,
    body: bytes = b"",
    ended: bool = True,
    *pairs: Pair,
) -> None:
    """Answer 200."""
    made, roles = fields(*pairs)
    length = len(body) if ended else None
    client.core.respond(stream, (200, made, roles, length, NO_DEFAULTS), body, ended)
