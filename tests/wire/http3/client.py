"""The other end of an HTTP/3 core: streams in memory, a sink that writes everything down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from tests.wire.http2.client import NO_DEFAULTS, Recorder

from tidegate.http import Defaults, Field
from tidegate.net.quic import StaticQpack
from tidegate.wire.http2.hpack import Pair
from tidegate.wire.http2.limits import Http2Limits
from tidegate.wire.http2.stream import Stream
from tidegate.wire.http3 import frames
from tidegate.wire.http3.core import Http3Core
from tidegate.wire.http3.frames import DATA, HEADERS

GET = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/"),
    (b":authority", b"test"),
]
POST = [(b":method", b"POST"), *GET[1:]]

OWN_CONTROL = 3
CONTROL = 2  # the client's


@cache
def qpack() -> StaticQpack:
    return StaticQpack()


@dataclass
class Half:
    """What the server did with a stream."""

    data: bytes = b""
    ended: bool = False
    reset: int | None = None
    stopped: int | None = None
    refused: bool = False  # the client stopped it
    unsent: int = 0
    held: int = 0


@dataclass
class Streams:
    """QUIC, of which the peer takes everything unless ``stalled``."""

    halves: dict[int, Half] = field(default_factory=dict)
    stalled: bool = False
    opened: int = OWN_CONTROL

    def of(self, stream_id: int) -> Half:
        return self.halves.setdefault(stream_id, Half())

    def open(self) -> int:
        self.opened += 4
        return self.opened - 4

    def send(self, stream_id: int, data: bytes, ended: bool) -> None:
        half = self.of(stream_id)
        half.data += data
        half.ended = ended
        if self.stalled:
            half.unsent += len(data)

    def unsent(self, stream_id: int) -> int:
        return self.of(stream_id).unsent

    def reset(self, stream_id: int, code: int) -> None:
        self.of(stream_id).reset = code

    def stop(self, stream_id: int, code: int) -> None:
        self.of(stream_id).stopped = code

    def is_stopped(self, stream_id: int) -> bool:
        return self.of(stream_id).refused

    def hold(self, stream_id: int, size: int) -> None:
        self.of(stream_id).held += size

    def release(self, stream_id: int) -> None:
        self.of(stream_id).held = 0


class Client:
    """A core, and what its peer sees."""

    def __init__(self, limits: Http2Limits | None = None, *, settled: bool = True) -> None:
        self.sink = Recorder()
        self.quic = Streams()
        self.limits = limits or Http2Limits()
        self.core = Http3Core(self.sink, self.quic, qpack(), self.limits, Stream)
        self.core.begin()
        if settled:
            self.core.receive(CONTROL, b"\0" + frames.settings(()), False)

    def head(self, pairs: Sequence[Pair] = GET) -> bytes:
        return frames.build_frame(HEADERS, qpack().encode(list(pairs)))

    def data(self, content: bytes) -> bytes:
        return frames.build_frame(DATA, content)

    def send(self, stream_id: int, data: bytes, ended: bool = True) -> None:
        self.core.receive(stream_id, data, ended)

    def get(self, stream_id: int = 0) -> Stream:
        self.send(stream_id, self.head())
        return self.core.streams[stream_id]

    def post(self, stream_id: int = 0, content: bytes = b"", ended: bool = False) -> Stream:
        self.send(stream_id, self.head(POST) + (self.data(content) if content else b""), ended)
        return self.core.streams[stream_id]

    def respond(
        self,
        stream: Stream,
        body: bytes = b"",
        ended: bool = True,
        status: int = 200,
        fields: Sequence[Field] = (),
        length: int | None = None,
        defaults: Defaults = NO_DEFAULTS,
    ) -> None:
        roles = 0
        for one in fields:
            roles |= one.role
        self.core.respond(stream, (status, fields, roles, length, defaults), body, ended)

    def half(self, stream_id: int = 0) -> Half:
        return self.quic.of(stream_id)

    def answer(self, stream_id: int = 0) -> list[tuple[int, bytes | list[Pair]]]:
        """Return the frames of an answer; heads as pairs."""
        return read_frames(self.half(stream_id).data)


def read_frames(data: bytes) -> list[tuple[int, bytes | list[Pair]]]:
    found: list[tuple[int, bytes | list[Pair]]] = []
    at = 0
    while at < len(data):
        kind, at = frames.read_integer(data, at)
        size, at = frames.read_integer(data, at)
        payload = data[at : at + size]
        found.append((kind, qpack().decode(payload) if kind == HEADERS else payload))
        at += size
    return found
