"""The client's end of a WebSocket."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar, overload

from ..errors import UsageError
from ..web.codec import to_json
from ..web.headers import Headers
from .call import SocketCall
from .failures import Disconnected, HandshakeRefused
from .loops import PrivateLoop
from .replies import Reply, decoded
from .requests import RequestOptions
from .session import Session

__all__ = ["AsyncSocket", "Socket"]

T = TypeVar("T")


class _End:
    """What both kinds of sockets do."""

    def __init__(
        self,
        session: Session,
        url: str,
        options: RequestOptions,
        subprotocols: Sequence[str],
        buffer: int,
    ) -> None:
        self._session = session
        self._request = (url, options, list(subprotocols), buffer)
        self._call: SocketCall
        self._type: Any = Any

    @property
    def subprotocol(self) -> str | None:
        """The one the application chose."""
        return self._call.out.subprotocol

    @property
    def headers(self) -> Headers:
        """What the application added to the handshake."""
        return Headers(self._call.out.pairs)

    @property
    def close_code(self) -> int | None:
        """Why the socket was closed (RFC 6455 section 7.4); None while it is open."""
        closed = self._call.out.closed
        return None if closed is None else closed[0]

    @property
    def close_reason(self) -> str:
        """The words that came with the code."""
        closed = self._call.out.closed
        return "" if closed is None else closed[1]

    async def open(self) -> None:
        """Make the handshake; raise ``HandshakeRefused`` if it is answered otherwise."""
        url, options, subprotocols, buffer = self._request
        session = self._session
        call = self._call = session.open_socket(
            session.maker.absolute(url), options, subprotocols, buffer
        )
        out = call.out
        await call.must(lambda: out.accepted or out.ended or out.aborted, "accept")
        session.keep_cookies(call)
        if not out.accepted:
            await call.finish()
            content = b"".join(out.chunks)
            reply = Reply(call.url, out.status, out.pairs, content)
            raise HandshakeRefused(f"{call.name} was answered {out.status}: {reply!r}", reply)
        self._type = session.received_type(call.exchange.scope["path"])

    async def put(self, message: Any) -> None:
        """Send one message; wait while the application has enough unread."""
        out = self._call.out
        await self._call.until(lambda: not out.paused or out.closed, "receive messages")
        if out.closed is not None:
            self._call.check()
            raise Disconnected(*out.closed)
        if not isinstance(message, str | bytes):
            message = to_json(message).decode()
        self._call.exchange.message_arrived(message)

    async def take(self, hint: Any) -> Any:
        """Return the next message; ``hint`` is None for the type the application declares."""
        call, out = self._call, self._call.out
        await call.until(lambda: out.messages or out.closed, "send a message")
        if not out.messages:
            call.check()
            raise Disconnected(*(out.closed or (1006, "")))
        stuck = out.congested
        message = out.next_message()
        if stuck and not out.congested:
            call.exchange.may_write()
        hint = self._type if hint is None else hint
        if hint is Any or hint is type(message):
            return message
        if hint is str or hint is bytes:
            found = "text" if isinstance(message, str) else "binary"
            raise UsageError(f"the message is {found}, not {hint.__name__}: {message!r}")
        return decoded(message.encode() if isinstance(message, str) else message, hint)

    async def shut(self, code: int, reason: str) -> None:
        """Close with a code, if the socket is open."""
        call = self._call
        if call.out.closed is None:
            call.out.closed = (code, reason)
            call.exchange.peer_closed(code, reason)
            call.out.changed.fire()

    async def leave(self) -> None:
        """Vanish without closing."""
        if self._call.out.closed is None:
            self._call.out.closed = (1006, "")
        await self._call.vanish()

    async def end(self, error: BaseException | None) -> None:
        """Close, and wait until the application's call is over."""
        try:
            await self.shut(1000, "")
            await self._call.finish()
        except Exception:
            # What the test ran into first is what it wants to see, unless it
            # was but the consequence.
            if error is None or isinstance(error, Disconnected):
                raise


class Socket(_End):
    """A socket for a test without coroutines.  The application runs while the test waits."""

    def __init__(
        self,
        loop: PrivateLoop,
        session: Session,
        request: tuple[str, RequestOptions],
        subprotocols: Sequence[str],
        buffer: int,
    ) -> None:
        super().__init__(session, *request, subprotocols, buffer)
        self._loop = loop

    def __enter__(self) -> Socket:
        self._loop.run(self.open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._loop.run(self.end(error))

    def __iter__(self) -> Socket:
        return self

    def __next__(self) -> Any:
        try:
            return self.receive()
        except Disconnected:
            raise StopIteration from None

    def send(self, message: Any) -> None:
        """Send ``str`` as text, ``bytes`` as binary and anything else as JSON in text.

        Waits while the application has enough unread.  Raises
        ``Disconnected`` if the socket is closed.
        """
        self._loop.run(self.put(message))

    @overload
    def receive(self) -> Any: ...

    @overload
    def receive(self, type: type[T]) -> T: ...

    @overload
    def receive(self, type: Any) -> Any: ...

    def receive(self, type: Any = None) -> Any:
        """Return the next message as a ``type``, or as the type the application declares.

        Without either, and for ``str`` and ``bytes``, it is as it was sent.
        Raises ``Disconnected`` when the socket is closed and all was read.
        """
        return self._loop.run(self.take(type))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; nothing if it is closed."""
        self._loop.run(self.shut(code, reason))

    def disconnect(self) -> None:
        """Vanish without closing: the application sees code 1006."""
        self._loop.run(self.leave())


class AsyncSocket(_End):
    """A socket for a coroutine."""

    async def __aenter__(self) -> AsyncSocket:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.end(error)

    def __aiter__(self) -> AsyncSocket:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.take(None)
        except Disconnected:
            raise StopAsyncIteration from None

    async def send(self, message: Any) -> None:
        """Send ``str`` as text, ``bytes`` as binary and anything else as JSON in text.

        Waits while the application has enough unread.  Raises
        ``Disconnected`` if the socket is closed.
        """
        await self.put(message)

    @overload
    async def receive(self) -> Any: ...

    @overload
    async def receive(self, type: type[T]) -> T: ...

    @overload
    async def receive(self, type: Any) -> Any: ...

    async def receive(self, type: Any = None) -> Any:
        """Return the next message as a ``type``, or as the type the application declares.

        Without either, and for ``str`` and ``bytes``, it is as it was sent.
        Raises ``Disconnected`` when the socket is closed and all was read.
        """
        return await self.take(type)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; nothing if it is closed."""
        await self.shut(code, reason)

    async def disconnect(self) -> None:
        """Vanish without closing: the application sees code 1006."""
        await self.leave()
