"""HTTP/3 by aioquic: every call is a stream of one connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection, H3Stream
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamReset
from tests.authority import Files, authority
from tests.behaviour.calls import Call, Client, End, Interim, Lost, Pair, Response

from tidegate.net.quic import Windowed

__all__ = ["Http3", "Http3Wire"]

CANCELLED = 0x10C


class Framing(H3Connection):
    """Does not miss the content of an answer to HEAD."""

    def _check_content_length(self, stream: H3Stream) -> None:
        pass


class Http3Wire(QuicConnectionProtocol):
    """A connection, and what came of each of its streams; None where one is lost."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.http = Framing(self._quic)
        self.changed = asyncio.Event()  # something has come
        self.streams: dict[int, asyncio.Queue[H3Event | StreamReset | None]] = {}
        self.ended: ConnectionTerminated | None = None

    @property
    def quic(self) -> Windowed:
        assert isinstance(self._quic, Windowed)
        return self._quic

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        super().datagram_received(data, addr)
        self.changed.set()

    def unsent(self, number: int) -> int:
        stream = self.quic._streams.get(number)
        return 0 if stream is None else stream.sender._buffer_stop - stream.sender.highest_offset

    def quic_event_received(self, event: QuicEvent) -> None:
        for each in self.http.handle_event(event):
            if isinstance(each, DataReceived) and each.data:
                # The window bounds what waits here.
                self.quic.hold(each.stream_id, len(each.data))
            if isinstance(each, HeadersReceived | DataReceived):
                self.queue(each.stream_id).put_nowait(each)
        if isinstance(event, StreamReset):
            self.queue(event.stream_id).put_nowait(event)
        elif isinstance(event, ConnectionTerminated):
            self.ended = event
            for queue in self.streams.values():
                queue.put_nowait(None)

    def queue(self, number: int) -> asyncio.Queue[H3Event | StreamReset | None]:
        return self.streams.setdefault(number, asyncio.Queue())

    def request(self, pairs: Sequence[Pair], ended: bool = True) -> int:
        """Begin a request; return its stream."""
        number = self._quic.get_next_available_stream_id()
        self.queue(number)
        self.http.send_headers(number, list(pairs), ended)
        self.transmit()
        return number

    @classmethod
    async def opened(cls, port: int, **options: Any) -> Http3Wire:
        """Return a connection whose handshake is complete."""
        configuration = QuicConfiguration(
            alpn_protocols=["h3"], verify_mode=ssl.CERT_REQUIRED, **options
        )
        configuration.server_name = configuration.server_name or "localhost"
        configuration.load_verify_locations(cadata=authority().ca.cert_pem.bytes())
        loop = asyncio.get_running_loop()
        _, made = await loop.create_datagram_endpoint(
            lambda: cls(Windowed(configuration=configuration)),
            local_addr=("127.0.0.1", 0),
        )
        made.connect(("127.0.0.1", port))
        await made.wait_connected()
        return made

    def leave(self) -> None:
        """Close, and do not wait for the other."""
        self.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()


class Http3Call(Call):
    """A stream."""

    def __init__(self, wire: Http3Wire, number: int) -> None:
        super().__init__()
        self.wire = wire
        self.number = number
        self.trailers: list[Pair] = []
        self.over = False
        self._next: Interim | Response | End | bytes | None = None

    async def send(self, data: bytes, ended: bool = False) -> None:
        try:
            self.wire.http.send_data(self.number, data, ended)
        except (RuntimeError, ValueError):
            pass  # there may be an answer to read all the same
        self.wire.transmit()
        while self.wire.unsent(self.number) and self.wire.ended is None:
            self.wire.changed.clear()
            await self.wire.changed.wait()

    async def next(self) -> Interim | Response | End | bytes:
        while True:
            if self.over:
                return End(self.trailers)
            event = await self.wire.queue(self.number).get()
            if isinstance(event, HeadersReceived):
                found = self._on_head(event)
                if found is not None:
                    return found
            elif isinstance(event, DataReceived):
                self.over = event.stream_ended
                if event.data:
                    if self.wire.queue(self.number).empty():
                        self.wire.quic.release(self.number)
                        self.wire.transmit()
                    return event.data
            else:
                raise Lost

    def _on_head(self, event: HeadersReceived) -> Interim | Response | None:
        self.over = event.stream_ended
        (name, value), *fields = event.headers
        if name != b":status":
            self.trailers = list(event.headers)
            return None
        status = int(value)
        return Interim(status, fields) if status < 200 else Response(status, fields)

    def leave(self) -> None:
        self.wire.quic.reset_stream(self.number, CANCELLED)
        self.wire.quic.stop_stream(self.number, CANCELLED)
        self.wire.transmit()


class Http3(Client):
    """Over QUIC."""

    name = "http3"
    http_version = "3"
    scheme = "https"
    # There is no kernel in between, and the windows are one MiB.
    held = 4 * 1024 * 1024

    @classmethod
    def settings(cls, files: Files) -> dict[str, Any]:
        return {**files.settings, "http3": True}

    async def open(self) -> None:
        self.wire = await Http3Wire.opened(self.port)

    async def close(self) -> None:
        self.wire.leave()

    async def begin(
        self, method: str, path: str, fields: Sequence[Pair] = (), *, ended: bool = False
    ) -> Call:
        head = [
            (b":method", method.encode()),
            (b":scheme", self.scheme.encode()),
            (b":path", path.encode("latin-1")),
            (b":authority", b"test"),
        ]
        return Http3Call(self.wire, self.wire.request([*head, *fields], ended))

    async def begin_socket(self, path: str, fields: Sequence[Pair] = ()) -> Call:
        head = [
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            (b":scheme", self.scheme.encode()),
            (b":path", path.encode()),
            (b":authority", b"test"),
            (b"sec-websocket-version", b"13"),
        ]
        return Http3Call(self.wire, self.wire.request([*head, *fields], False))
