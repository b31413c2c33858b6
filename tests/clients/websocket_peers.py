"""Three WebSocket clients that people use, behind one face: a test runs with each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, Protocol, Self, TypeAlias, TypeVar

import aiohttp
from launcher import Server
from websockets.asyncio import client as asynchronous
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import CloseCode
from websockets.sync import client as synchronous
from websockets.typing import Subprotocol

__all__ = ["PEERS", "Closed", "Connect", "Message", "Peer", "Refused"]

Message: TypeAlias = str | bytes
Result = TypeVar("Result")

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
    headers: Any  # of the response; names in any case

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def send(self, message: Message) -> None:
        """Send one message in one frame.  Raises ``Closed``."""

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
        self._stack = ExitStack()
        try:
            connection = synchronous.connect(
                address(server, path),
                subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                compression="deflate" if compressed else None,
                max_size=SIZE,
                open_timeout=TIMEOUT,
                proxy=None,
            )
            self.socket = self._stack.enter_context(connection)
        except InvalidStatus as error:
            raise refused(error) from None
        self.subprotocol = self.socket.subprotocol
        assert self.socket.response is not None
        self.headers = self.socket.response.headers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def send(self, message: Message) -> None:
        try:
            self.socket.send(message)
        except ConnectionClosed as error:
            raise closed(error) from None

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
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.run(self._stack.aclose())
        self._runner.close()

    def run(self, talk: Awaitable[Result]) -> Result:
        async def within() -> Result:
            return await asyncio.wait_for(talk, TIMEOUT)

        return self._runner.run(within())

    def enter(self, context: AbstractAsyncContextManager[Result]) -> Result:
        """Enter it, and leave it when the socket is closed."""
        try:
            return self.run(self._stack.enter_async_context(context))
        except BaseException:
            self.__exit__()
            raise


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
        connection = asynchronous.connect(
            address(server, path),
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            compression="deflate" if compressed else None,
            max_size=SIZE,
            proxy=None,
        )
        try:
            self.socket = self.enter(connection)
        except InvalidStatus as error:
            raise refused(error) from None
        self.subprotocol = self.socket.subprotocol
        assert self.socket.response is not None
        self.headers = self.socket.response.headers

    def send(self, message: Message) -> None:
        try:
            self.run(self.socket.send(message))
        except ConnectionClosed as error:
            raise closed(error) from None

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
        session = self.enter(within_a_loop(aiohttp.ClientSession))
        connection = session.ws_connect(
            address(server, path),
            protocols=subprotocols,
            autoping=False,
            compress=15 if compressed else 0,
            max_msg_size=SIZE,
        )
        try:
            self.socket = self.enter(connection)
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(error.status, error.headers, None) from None
        self.subprotocol = self.socket.protocol
        self.headers = self.socket._response.headers

    def send(self, message: Message) -> None:
        text = isinstance(message, str)
        sending = self.socket.send_str(message) if text else self.socket.send_bytes(message)
        try:
            self.run(sending)
        except ConnectionError as error:
            raise Closed(self.socket.close_code, str(error)) from None

    def send_pieces(self, pieces: Sequence[Message]) -> None:
        raise NotImplementedError("aiohttp sends every message in one frame")

    def receive(self) -> Message:
        message = self.run(self.socket.receive())
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise Closed(message.data, message.extra or "")
        if message.type is aiohttp.WSMsgType.CLOSED:
            raise Closed(self.socket.close_code, "")
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        return message.data

    def ping(self) -> None:
        self.run(self.socket.ping(b"are you there"))
        message = self.run(self.socket.receive())
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"are you there")

    def close(self, code: int, reason: str) -> None:
        self.run(self.socket.close(code=code, message=reason.encode()))


PEERS: dict[str, Connect] = {
    "websockets": Asynchronous,
    "websockets-blocking": Synchronous,
    "aiohttp": Aiohttp,
}


@asynccontextmanager
async def within_a_loop(
    make: Callable[[], AbstractAsyncContextManager[Result]],
) -> AsyncIterator[Result]:
    """Some context managers need a running loop to be made at all."""
    async with make() as made:
        yield made


def address(server: Server, path: str) -> str:
    return server.base_url.replace("http", "ws", 1) + path


def refused(error: InvalidStatus) -> Refused:
    response = error.response
    return Refused(response.status_code, response.headers, response.body)


def closed(error: ConnectionClosed) -> Closed:
    if error.rcvd is None:
        return Closed(CloseCode.ABNORMAL_CLOSURE, "")
    return Closed(error.rcvd.code, error.rcvd.reason)
