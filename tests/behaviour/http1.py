"""HTTP/1.1 by h11: a connection for every call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import h11
from tests.server.running import Running

from .calls import Call, Client, End, Interim, Lost, Pair, Response

__all__ = ["Http1", "Http1Tls"]

READ_SIZE = 65536

UPGRADE: list[Pair] = [
    (b"connection", b"upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]


class Http1Call(Call):
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self.reader = reader
        self.writer = writer
        self.wire = h11.Connection(h11.CLIENT)
        self._switched = False
        self._early: bytes = b""  # what came with the head that switched

    async def begin(self, method: str, path: str, fields: Sequence[Pair]) -> None:
        head = h11.Request(method=method, target=path, headers=[(b"host", b"test"), *fields])
        await self._write(self.wire.send(head) or b"")

    async def send(self, data: bytes, ended: bool = False) -> None:
        if self._switched:
            await self._write(data)
            return
        for start in range(0, len(data), READ_SIZE):
            piece = data[start : start + READ_SIZE]
            await self._write(self.wire.send(h11.Data(data=piece)) or b"")
        if ended:
            await self._write(self.wire.send(h11.EndOfMessage()) or b"")

    async def next(self) -> Interim | Response | End | bytes:
        while not self._switched:
            try:
                event = self.wire.next_event()
            except h11.RemoteProtocolError:
                raise Lost from None
            if event is h11.NEED_DATA:
                self.wire.receive_data(await self._read())
            elif isinstance(event, h11.InformationalResponse):
                return self._interim(event)
            elif isinstance(event, h11.Response):
                return Response(event.status_code, list(event.headers))
            elif isinstance(event, h11.Data):
                return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return End(list(event.headers))
            else:
                raise Lost
        early, self._early = self._early, b""
        return early or await self._read() or End()

    def _interim(self, event: h11.InformationalResponse) -> Interim | Response:
        fields = list(event.headers)
        if event.status_code != 101:
            return Interim(event.status_code, fields)
        self._switched = True
        self._early, _ = self.wire.trailing_data
        return Response(101, fields)

    async def _read(self) -> bytes:
        try:
            return await self.reader.read(READ_SIZE)
        except OSError:
            raise Lost from None

    async def _write(self, data: bytes) -> None:
        self.writer.write(data)
        try:
            await self.writer.drain()
        except OSError:
            pass  # there may be an answer to read all the same

    def leave(self) -> None:
        self.writer.transport.abort()


class Http1(Client):
    """Without TLS."""

    name = "http1"
    http_version = "1.1"
    scheme = "http"
    accepted_status = 101
    checks_content_length = False

    def __init__(self, running: Running) -> None:
        super().__init__(running)
        self._calls: list[Http1Call] = []

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        for call in self._calls:
            call.writer.close()
        for call in self._calls:
            try:
                await call.writer.wait_closed()
            except OSError:
                pass  # the server was quicker

    async def begin(
        self, method: str, path: str, fields: Sequence[Pair] = (), *, ended: bool = False
    ) -> Call:
        framing: list[Pair] = []
        if not ended and not any(name == b"content-length" for name, _ in fields):
            framing = [(b"transfer-encoding", b"chunked")]
        call = await self._connect()
        await call.begin(method, path, [*fields, *framing])
        if ended:
            await call.send(b"", True)
        return call

    async def begin_socket(self, path: str, fields: Sequence[Pair] = ()) -> Call:
        call = await self._connect()
        await call.begin("GET", path, [*fields, *UPGRADE])
        await call.send(b"", True)
        return call

    async def _connect(self) -> Http1Call:
        context = self.context("http/1.1")
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        call = Http1Call(reader, writer)
        self._calls.append(call)
        return call


class Http1Tls(Http1):
    """Over TLS."""

    name = "http1+tls"
    scheme = "https"
