"""A WebSocket as a typed channel: ``async for message in socket``, ``await socket.send(...)``."""

from __future__ import annotations

import typing
from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, TypeVar

from ..asgi import Message, Receive, Scope, Send
from ..errors import ClientDisconnected, ConfigError, UsageError
from ..events.hub import SlowConsumer
from .annotations import place_of, read_signature
from .codec import Codec, Refused, codec_of
from .content import read_json
from .execution import Execution
from .explain import pointer
from .headers import to_pairs
from .inject import Graph
from .plan import Plan
from .problems import Invalid, Problem
from .request import Request
from .route import Route

__all__ = ["Socket", "SocketPlan", "refuse"]

In = TypeVar("In")
Out = TypeVar("Out")

# RFC 6455 section 7.4.1; the reason of a close is at most 123 bytes of UTF-8.
_NORMAL, _LOST, _INVALID, _REFUSED, _FAILED = 1000, 1006, 1007, 1008, 1011
_MAX_REASON = 123


class Socket(Generic[In, Out]):
    """One WebSocket; ``In`` and ``Out`` are the types of the messages.

    ``str``, ``bytes`` and ``str | bytes`` are messages as they are; any other type is
    JSON.  It is
    accepted when it is first used, so a ``Problem`` raised before is answered as
    HTTP.  Iteration ends when the peer has left.  A message that is not an
    ``In`` closes the socket with 1007.
    """

    def __init__(self, request: Request, incoming: Codec, outgoing: Codec) -> None:
        self.request = request
        self.accepted = False
        self.closed = False
        self.code: int | None = None
        """The close code of the peer; None while it is open."""
        self.reason = ""
        self.draining = False
        """Whether the server is shutting down; it closes the socket soon."""
        self.heartbeat: float | None = None
        """Seconds between pings, where the server can be told; None for its own setting."""
        self._incoming = incoming
        self._outgoing = outgoing
        self._raw_in = _raw_kinds(incoming.hint)
        self._raw_out = _raw_kinds(outgoing.hint)

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers."""
        return list(self.request.scope.get("subprotocols", ()))

    async def accept(
        self, subprotocol: str | None = None, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Complete the handshake; done at first use if it was not called."""
        if self.accepted:
            raise UsageError("the socket was accepted before")
        if self.closed:
            raise ClientDisconnected("the socket is closed")
        self.accepted = True
        message: Message = {"type": "websocket.accept", "headers": to_pairs(headers)}
        if subprotocol is not None:
            message["subprotocol"] = subprotocol
        if "tidegate.drain" in self.request.scope.get("extensions", {}):
            message["drain"] = True  # tell us of a shutdown
            if self.heartbeat is not None:
                message["ping_interval"] = self.heartbeat
        await self._tell(message)

    async def receive(self) -> In:
        """Return the next message.

        Raises ``ClientDisconnected`` when there is none any more; ``code`` says why.
        """
        if not self.accepted and not self.closed:
            await self.accept()
        while not self.closed:
            message = await self.request.receive()
            kind = message["type"]
            if kind == "websocket.receive":
                return await self._read(message)
            if kind == "websocket.disconnect":
                self.closed = True
                self.code = message.get("code", 1005)
                self.reason = message.get("reason") or ""
            elif kind == "websocket.drain":
                self.draining = True
        raise ClientDisconnected(f"the socket is closed ({self.code})")

    async def _read(self, message: Message) -> In:
        text = message.get("text")
        data = message.get("bytes")
        found: Any = data if text is None else text
        if type(found) in self._raw_in:
            value: In = found
            return value
        try:
            if self._raw_in:
                raise Problem(400, f"messages are {'text' if str in self._raw_in else 'binary'}")
            value = read_json(self._incoming, found.encode() if text is not None else found)
        except Problem as problem:
            await self.close(_INVALID, _reason(problem))
            raise
        return value

    def __aiter__(self) -> AsyncIterator[In]:
        return self

    async def __anext__(self) -> In:
        try:
            return await self.receive()
        except ClientDisconnected:
            raise StopAsyncIteration from None

    async def send(self, message: Out) -> None:
        """Send a message; waits while the peer takes nothing.

        Raises ``ClientDisconnected`` if the peer has left.
        """
        if not self.accepted and not self.closed:
            await self.accept()
        if self.closed:
            raise ClientDisconnected(f"the socket is closed ({self.code})")
        await self._tell(self._message(message))

    async def _tell(self, message: Message) -> None:
        """Send an event.  What servers raise when the peer has left is an OSError (ASGI 2.4)."""
        try:
            await self.request.send(message)
        except OSError as error:
            self.closed = True
            self.code = _LOST if self.code is None else self.code
            raise ClientDisconnected("the peer has left") from error

    def _message(self, message: Any) -> Message:
        if isinstance(message, str) and str in self._raw_out:
            return {"type": "websocket.send", "text": message}
        if isinstance(message, bytes | bytearray | memoryview):
            return {"type": "websocket.send", "bytes": bytes(message)}
        return {"type": "websocket.send", "text": self._outgoing.encode(message).decode()}

    async def close(self, code: int = _NORMAL, reason: str = "") -> None:
        """Close the socket (RFC 6455 section 7); nothing if it is closed, or the peer has left."""
        if not self.closed:
            self.closed = True
            self.code = code
            try:
                await self._tell({"type": "websocket.close", "code": code, "reason": _cut(reason)})
            except ClientDisconnected:
                pass


def _raw_kinds(hint: Any) -> frozenset[type]:
    """Return which of ``str`` and ``bytes`` are messages as they are."""
    if hint is Any:
        return frozenset((str, bytes))
    kinds = frozenset(typing.get_args(hint) or (hint,))
    return kinds if kinds <= {str, bytes} else frozenset()


def _codec(hint: Any) -> Codec:
    # No codec knows both: either may be JSON text.
    return codec_of(Any if _raw_kinds(hint) == {str, bytes} else hint)


def _cut(reason: str) -> str:
    return reason.encode()[:_MAX_REASON].decode(errors="ignore")


def _reason(problem: Problem) -> str:
    if isinstance(problem, Invalid) and problem.errors:
        first = problem.errors[0]
        return f"{first.get('pointer', pointer(()))}: {first['detail']}"
    return problem.detail or str(problem)


async def refuse(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    """Refuse a handshake: with a response where the server can, else with a close (403)."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        reason = _cut(str(problem))
        await send({"type": "websocket.close", "code": _REFUSED, "reason": reason})
        return
    status, pairs, body = problem.response()
    await send({"type": "websocket.http.response.start", "status": status, "headers": pairs})
    await send({"type": "websocket.http.response.body", "body": body})


class SocketPlan(Plan):
    """Serves the sockets of one route."""

    def __init__(self, route: Route, graph: Graph, execution: Execution) -> None:
        super().__init__(route, graph, execution)
        if not self.node.is_async or self.node.is_generator:
            raise ConfigError(f"{place_of(route.handler)} must be 'async def' to serve a socket")
        if self.content:
            raise ConfigError(f"{place_of(route.handler)}: a handshake has no content")
        self.incoming, self.outgoing = self._types()
        self.heartbeat: float | None = route.options.extra.get("heartbeat")

    def _types(self) -> tuple[Codec, Codec]:
        for node in reversed(self.graph.nodes):
            for argument in read_signature(node.function).arguments:
                if argument.type is Socket:
                    return codec_of(Any), codec_of(Any)
                if typing.get_origin(argument.type) is Socket:
                    incoming, outgoing = typing.get_args(argument.type)
                    return _codec(incoming), _codec(outgoing)
        raise ConfigError(f"{place_of(self.route.handler)} has no parameter of type Socket[...]")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        request.app = self.execution.app
        request.path_params = scope.get("path_params", {})
        request.socket = socket = Socket[Any, Any](request, self.incoming, self.outgoing)
        socket.heartbeat = self.heartbeat
        request.values = [None] * self.width
        await receive()  # websocket.connect
        error: BaseException | None = None
        try:
            await self._talk(request)
            if not socket.accepted and not socket.closed:
                await socket.accept()
            await socket.close()
        except ClientDisconnected as raised:
            error = raised  # the peer left: a normal end
            if isinstance(raised, SlowConsumer):
                await socket.close(_REFUSED, str(raised))
        except Exception as raised:
            error = raised
            await self._end(socket, raised)
        except BaseException as raised:
            error = raised
            raise
        finally:
            try:
                await self._leave(request, error)
            except BaseException as raised:
                if raised is not error:
                    raise
        if error is None:
            self._begin_tasks(request)

    async def _talk(self, request: Request) -> None:
        try:
            for step in self.steps:
                await step(request)
            await self.node.call(request)
        except Refused:
            raise Invalid(self._complaints(request)) from None

    async def _end(self, socket: Socket[Any, Any], error: Exception) -> None:
        """Tell the peer of an error; what nobody foresaw is raised for the server to log."""
        problem = error if isinstance(error, Problem) else None
        if not socket.accepted and not socket.closed:
            socket.closed = True
            request = socket.request
            answer = problem or Problem(500)
            await refuse(request.scope, request.receive, request.send, answer)
        elif not socket.closed:
            if problem is None:
                await socket.close(_FAILED, "internal error")
            else:
                # 4000 to 4999 are for applications (RFC 6455 section 7.4.2).
                await socket.close(4000 + problem.status, _reason(problem))
        if problem is None:
            raise error
