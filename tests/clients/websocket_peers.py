"""Three WebSocket clients that people use, behind one face: a test runs with each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, Self, TypeAlias

import aiohttp
from launcher import Server
from websockets.asyncio import client as asynchronous
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import CloseCode
from websockets.sync import client as synchronous

__all__ = ["PEERS", "Closed", "Connect", "Message", "Peer", "Refused"]

Message: TypeAlias = str | bytes

# Above every limit of a server under test: what is too big is for the server to say.
SIZE = 64 * 1024 * 1024
TIMEOUT = 20.0


class Refused(Exception):
    """The handshake was answered with something else than 101."""

    def __init__(self, status: int, headers: Any, body: bytes | None) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.headers = headers
        self.body = body  # None if the client does not show it


class Closed(Exception):
    """The server closed the socket."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Peer(Protocol):
    """One socket, from its handshake on; a context manager, which closes it with 1000."""

    subprotocol: str | None
    extensions: str
    headers: Any

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def send(self, message: Message) -> None: ...

    def send_pieces(self, pieces: Sequence[Message]) -> None:
        """Send one message, a frame for each piece."""

    def receive(self) -> Message:
        """Return the next message.  Raises ``Closed``."""

    def ping(self) -> None:
        """Return when the pong has come."""

    def close(self, code: int, reason: str) -> None:
        """Return when the closing handshake is over."""


Connect: TypeAlias = Callable[..., Peer]


class Synchronous:
    """The blocking client of websockets."""

    def __init__(
        self,
        server: Server,
        path: str,
        subprotocols: Sequence[str] = (),
        compressed: bool = True,
    ) -> None:
        try:
            self.socket = synchronous.connect(
                address(server, path),
                subprotocols=list(subprotocols) or None,  # type: ignore[arg-type]
                compression="deflate" if compressed else None,
                max_size=SIZE,
                open_timeout=TIMEOUT,
                proxy=None,
            )
        except InvalidStatus as error:
            raise refused(error) from None
        self.subprotocol = self.socket.subprotocol
        self.headers = self.socket.response.headers
        self.extensions = self.headers.get("Sec-WebSocket-Extensions", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def send(self, message: Message) -> None:
        self.socket.send(message)

    def send_pieces(self, pieces: Sequence[Message]) -> None:
        self.socket.send(pieces)

    def receive(self) -> Message:
        try:
            return self.socket.recv(TIMEOUT)
        except ConnectionClosed as error:
            raise closed(error) from None

    def ping(self) -> None:
        assert self.socket.ping(b"are you there").wait(TIMEOUT)

    def close(self, code: int, reason: str) -> None:
        self.socket.close(code, reason)


class Looped:
    """What the clients for asyncio need: a loop, which runs while a method does."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close(1000, "")
        self.let_go()

    def close(self, code: int, reason: str) -> None:
        raise NotImplementedError

    def let_go(self) -> None:
        self._runner.close()

    def run(self, talk: Awaitable[Any]) -> Any:
        async def within() -> Any:
            return await asyncio.wait_for(talk, TIMEOUT)

        return self._runner.run(within())


class Asynchronous(Looped):
    """The client of websockets for asyncio."""

    def __init__(
        self,
        server: Server,
        path: str,
        subprotocols: Sequence[str] = (),
        compressed: bool = True,
    ) -> None:
        super().__init__()

        async def connect() -> asynchronous.ClientConnection:
            return await asynchronous.connect(
                address(server, path),
                subprotocols=list(subprotocols) or None,  # type: ignore[arg-type]
                compression="deflate" if compressed else None,
                max_size=SIZE,
                proxy=None,
            )

        try:
            self.socket = self.run(connect())
        except InvalidStatus as error:
            self.let_go()
            raise refused(error) from None
        self.subprotocol = self.socket.subprotocol
        self.headers = self.socket.response.headers
        self.extensions = self.headers.get("Sec-WebSocket-Extensions", "")

    def send(self, message: Message) -> None:
        self.run(self.socket.send(message))

    def send_pieces(self, pieces: Sequence[Message]) -> None:
        self.run(self.socket.send(pieces))

    def receive(self) -> Message:
        try:
            return self.run(self.socket.recv())
        except ConnectionClosed as error:
            raise closed(error) from None

    def ping(self) -> None:
        async def ping() -> None:
            await (await self.socket.ping(b"are you there"))

        self.run(ping())

    def close(self, code: int, reason: str) -> None:
        self.run(self.socket.close(code, reason))


class Aiohttp(Looped):
    """The client of aiohttp."""

    def __init__(
        self,
        server: Server,
        path: str,
        subprotocols: Sequence[str] = (),
        compressed: bool = True,
    ) -> None:
        super().__init__()

        async def connect() -> aiohttp.ClientWebSocketResponse:
            self.session = aiohttp.ClientSession()
            return await self.session.ws_connect(
                address(server, path),
                protocols=subprotocols,
                compress=15 if compressed else 0,
                max_msg_size=SIZE,
            )

        try:
            self.socket = self.run(connect())
        except aiohttp.WSServerHandshakeError as error:
            self.let_go()
            raise Refused(error.status, error.headers, None) from None
        self.subprotocol = self.socket.protocol
        self.headers = self.socket._response.headers
        self.extensions = self.headers.get("Sec-WebSocket-Extensions", "")

    def let_go(self) -> None:
        self.run(self.session.close())
        super().let_go()

    def send(self, message: Message) -> None:
        if isinstance(message, str):
            self.run(self.socket.send_str(message))
        else:
            self.run(self.socket.send_bytes(message))

    def receive(self) -> Message:
        message = self.run(self.socket.receive())
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
            raise Closed(self.socket.close_code, message.extra or "")
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        return message.data

    def send_pieces(self, pieces: Sequence[Message]) -> None:
        raise NotImplementedError("aiohttp sends every message in one frame")

    def ping(self) -> None:
        async def ping() -> None:
            await self.socket.ping(b"are you there")
            message = await self.socket.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"are you there")

        self.socket._autoping = False
        self.run(ping())

    def close(self, code: int, reason: str) -> None:
        self.run(self.socket.close(code=code, message=reason.encode()))


PEERS: dict[str, Connect] = {
    "websockets": Asynchronous,
    "websockets-blocking": Synchronous,
    "aiohttp": Aiohttp,
}


def address(server: Server, path: str) -> str:
    return server.base_url.replace("http", "ws", 1) + path


def refused(error: InvalidStatus) -> Refused:
    response = error.response
    return Refused(response.status_code, response.headers, response.body)


def closed(error: ConnectionClosed) -> Closed:
    if error.rcvd is None:
        return Closed(CloseCode.ABNORMAL_CLOSURE, "")
    return Closed(error.rcvd.code, error.rcvd.reason)
