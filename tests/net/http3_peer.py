"""The other end of HTTP/3, in memory: QUIC of the library on both sides, and no socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from aioquic.h3.connection import H3Connection, H3Stream
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset
from tests.authority import Files, authority

from tidegate.asgi import Application
from tidegate.exchange.service import Policy
from tidegate.net.certificates import Certificates, Pair, TlsSettings
from tidegate.net.datagrams import DatagramEndpoint, Identities
from tidegate.net.http3 import Http3Connection
from tidegate.net.quic import Windowed
from tidegate.net.timeouts import Timeouts
from tidegate.testing.peer import Peer, turns
from tidegate.testing.transport import FakeTransport
from tidegate.wire.http2.limits import Http2Limits

GET = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"test"),
    (b":path", b"/"),
]
POST = [(b":method", b"POST"), *GET[1:]]

Pairs = Sequence[tuple[bytes, bytes]]


class FakeSocket:
    """A UDP socket that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 443

    def sendto(self, data: bytes, address: Any) -> None:
        self.sent.append((data, address))


class Framing(H3Connection):
    """Does not miss the content of an answer to HEAD."""

    def _check_content_length(self, stream: H3Stream) -> None:
        pass


@dataclass
class Answer:
    """What has come of one stream."""

    heads: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        found = [int(head[0][1]) for head in self.heads if head[0][0] == b":status"]
        return next(status for status in found if status >= 200)


class Http3Client:
    """One connection's client half; ``reads`` is False for one that opens no window again."""

    def __init__(
        self,
        endpoint: DatagramEndpoint,
        address: tuple[str, int] = ("127.0.0.1", 50000),
        name: str = "localhost",
        **options: Any,
    ) -> None:
        self.endpoint = endpoint
        self.socket = cast(FakeSocket, endpoint._socket)
        self.address = address
        self.reads = True
        self._later = 0.0  # so that what it acknowledges late comes at once
        configuration = QuicConfiguration(
            alpn_protocols=["h3"], server_name=name, verify_mode=ssl.CERT_NONE, **options
        )
        self.quic = Windowed(configuration=configuration)
        self.http = Framing(self.quic)
        self.answers: dict[int, Answer] = {}
        self.over: ConnectionTerminated | None = None
        self.quic.connect(("127.0.0.1", 443), self.now())

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self._later

    async def pump(self) -> None:
        """Let datagrams go to and fro until nobody has more to say."""
        quiet = 0
        while quiet < 3:
            self._later += 0.03
            sent = self.quic.datagrams_to_send(self.now())
            for data, _ in sent:
                self.endpoint.received(data, self.address)
            await turns()
            mine = [data for data, address in self.socket.sent if address == self.address]
            self.socket.sent = [each for each in self.socket.sent if each[1] != self.address]
            for data in mine:
                self.quic.receive_datagram(data, ("127.0.0.1", 443), self.now())
            self._take_events()
            quiet = 0 if sent or mine else quiet + 1

    def _take_events(self) -> None:
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, StreamReset):
                self.answer(event.stream_id).reset = event.error_code
            elif isinstance(event, ConnectionTerminated):
                self.over = event
            for each in self.http.handle_event(event):
                if isinstance(each, HeadersReceived):
                    self.answer(each.stream_id).heads.append(list(each.headers))
                elif isinstance(each, DataReceived):
                    self.answer(each.stream_id).body += each.data
                    if not self.reads:
                        self.quic.hold(each.stream_id, len(each.data))
                if isinstance(each, HeadersReceived | DataReceived):
                    self.answer(each.stream_id).ended |= each.stream_ended
        close = self.quic._close_event
        if close is not None:
            self.over = close

    def answer(self, stream_id: int) -> Answer:
        return self.answers.setdefault(stream_id, Answer())

    async def request(
        self, pairs: Pairs = GET, body: bytes | None = None, *, ended: bool = True
    ) -> Answer:
        """Send a request as far as the server takes it."""
        number = self.quic.get_next_available_stream_id()
        self.number = number
        self.http.send_headers(number, list(pairs), ended and body is None)
        if body is not None:
            self.http.send_data(number, body, ended)
        await self.pump()
        return self.answer(number)

    async def leave(self) -> None:
        self.quic.close()
        await self.pump()


def certificates(folder: Path, *hosts: str) -> Certificates:
    """Return those of files made there: one pair for any name, and one for each host."""
    files: list[tuple[Files, str]] = [(authority().issue(folder), "")]
    files += [(authority().issue(folder, host, name=host), host) for host in hosts]
    pairs = tuple(Pair(each.certfile, each.keyfile, host) for each, host in files)
    return Certificates(TlsSettings(pairs))


class Http3Peer(Peer):
    """A server of ``application``, and clients of it; ``client`` is the first."""

    def __init__(
        self,
        application: Application,
        shown: Certificates,
        policy: Policy | None = None,
        *,
        timeouts: Timeouts | None = None,
        limits: Http2Limits | None = None,
    ) -> None:
        self._limits = limits or Http2Limits()
        self.identities = Identities(shown)
        super().__init__(application, policy, timeouts=timeouts)

    def connect(self, transport: FakeTransport | None = None) -> None:
        self.worker.http3 = self._limits
        opened = cast(socket.socket, FakeSocket())
        self.endpoint = DatagramEndpoint(self.worker, opened, self.identities)
        self.client = Http3Client(self.endpoint)

    @property
    def server(self) -> Http3Connection:
        (found,) = self.endpoint._ids
        return found

    async def pump(self) -> None:
        await self.client.pump()

    async def wait(self, seconds: float) -> None:
        """Let so much time pass on the server's clock, and see what it says to that."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            await self.client.pump()

    async def settle(self) -> None:
        """Abort what is left, so that nothing outlives the test."""
        for connection in list(self.worker.connections):
            connection.abort()
        await turns()
        for one in list(self.endpoint._ids):
            one.forget()
        await asyncio.sleep(0)
