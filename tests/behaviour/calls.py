"""What a client of these tests can do, whatever the protocol: calls, answers and sockets."""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.authority import Files, authority
from tests.server.running import Running
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage

__all__ = ["Answer", "Call", "Client", "End", "Interim", "Lost", "Pair", "Response", "Socket"]

Pair = tuple[bytes, bytes]


@dataclass
class Interim:
    """A head before the final one."""

    status: int
    fields: list[Pair]


@dataclass
class Response:
    """The final head."""

    status: int
    fields: list[Pair]


@dataclass
class End:
    """The response is complete."""

    trailers: list[Pair] = field(default_factory=list)


class Lost(Exception):
    """The server gave the call up: it closed the connection, or reset the stream."""


@dataclass
class Answer:
    """What has come of a call."""

    status: int = 0  # 0 if there was no answer
    fields: list[Pair] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    interim: list[Interim] = field(default_factory=list)
    trailers: list[Pair] = field(default_factory=list)
    lost: bool = False

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of a field, in their order."""
        return [value for key, value in self.fields if key == name]

    def one(self, name: bytes) -> bytes | None:
        values = self.all(name)
        return values[0] if values else None


class Call(ABC):
    """One request that has begun, and its answer.  Nothing is read unless a test asks for it."""

    def __init__(self) -> None:
        self.answer = Answer()

    @abstractmethod
    async def send(self, data: bytes, ended: bool = False) -> None:
        """Send content of the request, as far as the server takes it."""

    @abstractmethod
    async def next(self) -> Interim | Response | End | bytes:
        """Wait for what comes next; raise ``Lost`` if nothing will."""

    @abstractmethod
    def leave(self) -> None:
        """Have no more of it, at once."""

    async def head(self) -> Answer:
        """Wait for the final head."""
        while not self.answer.status:
            event = await self.next()
            if isinstance(event, Interim):
                self.answer.interim.append(event)
            else:
                assert isinstance(event, Response), event
                self.answer.status, self.answer.fields = event.status, event.fields
        return self.answer

    async def piece(self) -> bytes:
        """Wait for the next content; return nothing at the end."""
        await self.head()
        event = await self.next()
        if isinstance(event, End):
            self.answer.trailers = event.trailers
            return b""
        assert isinstance(event, bytes), event
        self.answer.body += event
        return event

    async def until(self, text: bytes) -> None:
        """Read until ``text`` is at the end of what has come."""
        await self.head()
        while not self.answer.body.endswith(text):
            assert await self.piece(), self.answer

    async def result(self) -> Answer:
        """Wait for the end, good or bad."""
        try:
            while await self.piece():
                pass
        except Lost:
            self.answer.lost = True
        return self.answer


class Socket:
    """A WebSocket on a call that was accepted."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.frames = Connection(ConnectionType.CLIENT)
        self._events: list[Event] = []

    async def send(self, message: str | bytes) -> None:
        kind = TextMessage if isinstance(message, str) else BytesMessage
        await self.call.send(self.frames.send(kind(data=message)))  # type: ignore[arg-type]

    async def receive(self) -> str | bytes | CloseConnection:
        """Wait for a whole message, or for the other's close."""
        text: list[Any] = []
        while True:
            while not self._events:
                data = await self.call.next()
                assert isinstance(data, bytes), data
                self.frames.receive_data(data)
                self._events = list(self.frames.events())
            event = self._events.pop(0)
            if isinstance(event, CloseConnection):
                return event
            assert isinstance(event, TextMessage | BytesMessage), event
            text.append(event.data)
            if event.message_finished:
                return type(text[0])().join(text)  # type: ignore[no-any-return]

    async def close(self, code: int, reason: str = "") -> None:
        """Send a close, as the first or as the answer, and nothing after it."""
        data = self.frames.send(CloseConnection(code=code, reason=reason))
        await self.call.send(data, ended=True)


class Client(ABC):
    """How one protocol is spoken.  What legitimately differs is said here and nowhere else."""

    name: ClassVar[str]
    http_version: ClassVar[str]
    scheme: ClassVar[str]
    accepted_status: ClassVar[int] = 200
    """Of a socket."""
    checks_content_length: ClassVar[bool] = True
    """Whether a body has an end of its own, which may contradict its Content-Length."""
    held: ClassVar[int] = 16 * 1024 * 1024
    """Bytes, more than the buffers of both ends hold."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.port = running.port

    @classmethod
    def settings(cls, files: Files) -> dict[str, Any]:
        """Return the settings of a server that speaks it."""
        return files.settings if cls.scheme == "https" else {}

    @classmethod
    def context(cls, protocol: str) -> ssl.SSLContext | None:
        """Return how to trust the server, offering one protocol; None without TLS."""
        if cls.scheme != "https":
            return None
        context = authority().context(checks_host=False)
        context.set_alpn_protocols([protocol])
        return context

    @abstractmethod
    async def open(self) -> None:
        """Connect, where that does not happen for each call."""

    @abstractmethod
    async def close(self) -> None:
        """Leave, and let nothing outlive the test."""

    @abstractmethod
    async def begin(
        self, method: str, path: str, fields: Sequence[Pair] = (), *, ended: bool = False
    ) -> Call:
        """Send the head of a request for the host ``test``."""

    @abstractmethod
    async def begin_socket(self, path: str, fields: Sequence[Pair] = ()) -> Call:
        """Ask for a WebSocket."""

    async def ask(
        self, method: str, path: str, fields: Sequence[Pair] = (), body: bytes | None = None
    ) -> Answer:
        """Send a whole request and read the whole answer."""
        if body is None:
            call = await self.begin(method, path, fields, ended=True)
        else:
            length = (b"content-length", b"%d" % len(body))
            call = await self.begin(method, path, [*fields, length])
            await call.send(body, True)
        return await call.result()

    async def get(self, path: str = "/", *fields: Pair) -> Answer:
        return await self.ask("GET", path, fields)

    async def post(self, body: bytes, path: str = "/", *fields: Pair) -> Answer:
        return await self.ask("POST", path, fields, body)

    async def socket(self, path: str = "/", *fields: Pair) -> Socket:
        """Open a WebSocket that is expected to be accepted."""
        call = await self.begin_socket(path, fields)
        assert (await call.head()).status == self.accepted_status, call.answer
        return Socket(call)

    async def stopping(self) -> None:
        """Ask the server to stop, and wait until it knows."""
        server = self.running.server
        server.should_exit = True
        assert server.worker is not None
        while server.worker.ready:
            await asyncio.sleep(0)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        await self.open()
        try:
            yield
        finally:
            await self.close()
