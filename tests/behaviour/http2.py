"""HTTP/2 by h2: every call is a stream of one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError, StreamClosedError

from .calls import Call, Client, End, Interim, Lost, Pair, Response

__all__ = ["Http2", "Http2Cleartext"]

READ_SIZE = 65536
HEAD_SIZE = 9  # of a frame


class Http2Call(Call):
    """A stream."""

    def __init__(self, client: Http2, number: int) -> None:
        super().__init__()
        self.client = client
        self.number = number
        # None where the stream is lost.  The window bounds what waits here.
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.trailers: list[Pair] = []
        self.over = False

    async def send(self, data: bytes, ended: bool = False) -> None:
        client = self.client
        wire = client.wire
        try:
            while data:
                await client.wait(lambda: wire.local_flow_control_window(self.number) > 0)
                room = wire.local_flow_control_window(self.number)
                size = min(room, wire.max_outbound_frame_size)
                wire.send_data(self.number, data[:size])
                data = data[size:]
                await client.flush()
            if ended:
                wire.end_stream(self.number)
                await client.flush()
        except (Lost, StreamClosedError, ProtocolError):
            pass  # there may be an answer to read all the same

    async def next(self) -> Interim | Response | End | bytes:
        while True:
            if self.over:
                raise Lost
            event = await self.events.get()
            if isinstance(event, InformationalResponseReceived):
                return Interim(*status_and_fields(event.headers))
            if isinstance(event, ResponseReceived):
                return Response(*status_and_fields(event.headers))
            if isinstance(event, TrailersReceived):
                self.trailers = pairs(event.headers)
            elif isinstance(event, DataReceived):
                size = event.flow_controlled_length or 0
                if size:
                    self.client.wire.acknowledge_received_data(size, self.number)
                    await self.client.flush()
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, StreamEnded):
                return End(self.trailers)
            else:
                self.over = True

    def leave(self) -> None:
        self.client.wire.reset_stream(self.number, ErrorCodes.CANCEL)
        self.client.write()


class Http2(Client):
    """Over TLS, chosen by ALPN."""

    name = "http2"
    http_version = "2"
    scheme = "https"

    async def open(self) -> None:
        context = self.context("h2")
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        self.reader, self.writer = reader, writer
        configuration = H2Configuration(client_side=True, header_encoding=None)
        self.wire = H2Connection(configuration)
        self.wire.initiate_connection()
        self.calls: dict[int, Http2Call] = {}
        self.ended = False
        self.settled = False  # we know the server's settings
        self._unread = b""
        self._changed = asyncio.Event()
        await self.flush()
        self._receiving = asyncio.ensure_future(self._receive())
        # Some settings count from the first request on.
        await self.wait(lambda: self.settled)

    async def close(self) -> None:
        self.writer.close()
        self._receiving.cancel()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass  # the server was quicker

    async def begin(
        self, method: str, path: str, fields: Sequence[Pair] = (), *, ended: bool = False
    ) -> Call:
        head = [
            (b":method", method.encode()),
            (b":scheme", self.scheme.encode()),
            (b":path", path.encode("latin-1")),
            (b":authority", b"test"),
        ]
        return await self._begin([*head, *fields], ended)

    async def begin_socket(self, path: str, fields: Sequence[Pair] = ()) -> Call:
        head = [
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            (b":scheme", self.scheme.encode()),
            (b":path", path.encode()),
            (b":authority", b"test"),
            (b"sec-websocket-version", b"13"),
        ]
        return await self._begin([*head, *fields], False)

    async def _begin(self, head: Sequence[Pair], ended: bool) -> Call:
        number = self.wire.get_next_available_stream_id()
        self.calls[number] = call = Http2Call(self, number)
        self.wire.send_headers(number, head, ended)
        await self.flush()
        return call

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until something that has come makes ``condition`` true; raise ``Lost``."""
        while not condition():
            if self.ended:
                raise Lost
            self._changed.clear()
            await self._changed.wait()

    def write(self) -> None:
        self.writer.write(self.wire.data_to_send())

    async def flush(self) -> None:
        self.write()
        try:
            await self.writer.drain()
        except OSError:
            pass  # there may be an answer to read all the same

    async def _receive(self) -> None:
        try:
            while data := await self.reader.read(READ_SIZE):
                self._unread += data
                self._take_frames()
                self.write()
                self._changed.set()
        except (OSError, ProtocolError):
            pass
        self.ended = True
        self._changed.set()
        for call in self.calls.values():
            call.events.put_nowait(None)

    def _take_frames(self) -> None:
        while len(self._unread) >= HEAD_SIZE:
            size = HEAD_SIZE + int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < size:
                break
            frame, self._unread = self._unread[:size], self._unread[size:]
            for event in self.wire.receive_data(frame):
                self._take(event)
                if isinstance(event, ConnectionTerminated) and not event.error_code:
                    # h2 takes it for the end, but what was begun goes on (RFC 9113 section 6.8).
                    self.wire.state_machine.state = ConnectionState.CLIENT_OPEN

    def _take(self, event: Event) -> None:
        self.settled |= isinstance(event, RemoteSettingsChanged)
        wanted = DataReceived | InformationalResponseReceived | ResponseReceived
        if isinstance(event, wanted | StreamEnded | StreamReset | TrailersReceived):
            self.calls[event.stream_id or 0].events.put_nowait(event)


class Http2Cleartext(Http2):
    """Without TLS, by prior knowledge."""

    name = "http2-cleartext"
    scheme = "http"


def pairs(headers: Iterable[Any] | None) -> list[Pair]:
    return [(bytes(name), bytes(value)) for name, value in headers or ()]


def status_and_fields(headers: Iterable[Any] | None) -> tuple[int, list[Pair]]:
    (_, status), *fields = pairs(headers)
    return int(status), fields
