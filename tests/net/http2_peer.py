"""The other end of one HTTP/2 connection, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.wire.http2.client import GET, Frame

from tidegate.asgi import Application
from tidegate.exchange.service import Policy
from tidegate.net.http2 import Http2Connection
from tidegate.net.timeouts import Timeouts
from tidegate.testing.peer import Peer, turns
from tidegate.testing.transport import FakeTransport
from tidegate.wire.http2 import frames
from tidegate.wire.http2.frames import DATA, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Code
from tidegate.wire.http2.hpack import Decoder, Encoder, Pair
from tidegate.wire.http2.limits import Http2Limits


@dataclass
class Answer:
    """What has come of one stream."""

    heads: list[list[Pair]] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        """Of the first head that is not interim, without its fields."""
        found = [int(head[0][1]) for head in self.heads if head[0][0] == b":status"]
        return next(status for status in found if status >= 200)


class Http2Peer(Peer):
    """A client of ``application`` that speaks HTTP/2 by prior knowledge."""

    def __init__(
        self,
        application: Application,
        policy: Policy | None = None,
        *,
        timeouts: Timeouts | None = None,
        http2: Http2Limits | None = None,
        settings: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.http2 = http2 or Http2Limits()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.answers: dict[int, Answer] = {}
        self.frames: list[Frame] = []
        self._seen = b""
        self._settings = settings
        super().__init__(application, policy, timeouts=timeouts)

    def connect(self, transport: FakeTransport | None = None) -> None:
        self.worker.http2 = self.http2
        self.transport = transport or FakeTransport()
        self.connection = Http2Connection(self.worker)  # type: ignore[assignment]
        self.transport.connect(self.connection)

    async def greet(self) -> None:
        """Send the preface and settings."""
        await self.send(frames.PREFACE + frames.settings(self._settings))

    async def request(
        self, stream_id: int, pairs: Sequence[Pair] = GET, body: bytes | None = None
    ) -> Answer:
        """Send a request, ended unless ``body`` is None and the method is POST."""
        await self.send(self.head(stream_id, pairs, body is None) + self.content(stream_id, body))
        return self.answer(stream_id)

    def head(self, stream_id: int, pairs: Sequence[Pair] = GET, ended: bool = True) -> bytes:
        return frames.headers(stream_id, self.encoder.encode(pairs), ended)

    def content(self, stream_id: int, body: bytes | None, ended: bool = True) -> bytes:
        if body is None:
            return b""
        return frames.build_frame(DATA, END_STREAM if ended else 0, stream_id, body)

    def answer(self, stream_id: int) -> Answer:
        """Return what has come of a stream until now."""
        self.read()
        return self.answers.setdefault(stream_id, Answer())

    def read(self) -> None:
        """Take apart what has come."""
        data = self._seen + self.transport.output
        self.transport.output = b""
        while len(data) >= 9:
            upper, lower, kind, flags, number = frames.FRAME_HEAD.unpack_from(data)
            size = upper << 8 | lower
            if len(data) < 9 + size:
                break
            frame = Frame(kind, flags, number, data[9 : 9 + size])
            data = data[9 + size :]
            self.frames.append(frame)
            self._take(frame)
        self._seen = data

    def _take(self, frame: Frame) -> None:
        answer = self.answers.setdefault(frame.stream_id, Answer())
        if frame.kind == HEADERS:
            answer.heads.append(self.decoder.decode(frame.payload, 10**6, 1000))
        elif frame.kind == DATA:
            answer.body += frame.payload
        elif frame.kind == RST_STREAM:
            answer.reset = frame.code
        if frame.kind in (HEADERS, DATA) and frame.flags & END_STREAM:
            answer.ended = True

    def goodbyes(self) -> list[Code]:
        """Return the codes of all GOAWAY frames."""
        self.read()
        return [Code(frame.code) for frame in self.frames if frame.kind == GOAWAY]

    @property
    def left(self) -> bool:
        """Whether the server has closed its half."""
        return self.transport.closed or self.transport.eof_written


async def opened(application: Application, *arguments: object, **options: object) -> Http2Peer:
    """Return a peer that has greeted."""
    peer = Http2Peer(application, *arguments, **options)  # type: ignore[arg-type]
    await peer.greet()
    return peer


async def settled(peer: Http2Peer) -> None:
    """Abort what is left, so that nothing outlives the test."""
    for connection in list(peer.worker.connections):
        connection.abort()
    await turns()
    await asyncio.sleep(0)
