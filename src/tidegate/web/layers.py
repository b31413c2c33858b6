"""Middleware of two kinds around one application.

``(app) -> app`` is plain ASGI.  ``async (request, call_next) -> response`` is
for those who want to see a request and a response; the inner application is
moved on by hand in the same task, so there is no task group, context variables
flow both ways, and a cancellation is a cancellation.
"""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from typing import Any

from ..asgi import Application, Message, Receive, Scope, Send
from ..errors import ClientDisconnected, ConfigError, UsageError
from .annotations import place_of
from .request import Request
from .response import Response, StreamResponse

__all__ = ["CallNext", "relay", "relayed", "wrap"]

CallNext = Callable[[Request], Awaitable[Response[Any]]]

# Set in the scope by a layer that moves the inner application on by hand.
_MOVED = "tidegate.moved"

# What a server can do that does not fit into a response seen by a layer.
_NOT_INNER = frozenset(
    ("http.response.pathsend", "http.response.trailers", "http.response.zerocopysend")
)

Answer = Callable[[Any, Exception], Awaitable[tuple[Any, bool]]]


def wrap(app: Application, layers: Iterable[Any], answer: Answer) -> Application:
    """Return ``app`` inside ``layers``, the first one outermost.

    ``answer`` makes the response to an error that escapes a layer, so that the
    layers around it see a response.  Raises ``ConfigError`` for what is no layer.
    """
    for layer in reversed(list(layers)):
        if _takes_call_next(layer):
            app = _Hand(layer, app)
        elif callable(layer):
            app = _plain(layer, app)
        else:
            raise ConfigError(f"{layer!r} is not middleware: it cannot be called")
        app = _Safe(app, answer)
    return app


def _takes_call_next(layer: Any) -> bool:
    if inspect.isclass(layer):
        return False
    called = layer if inspect.iscoroutinefunction(layer) else getattr(layer, "__call__", None)  # noqa: B004
    if not inspect.iscoroutinefunction(called):
        return False
    given = [p for p in inspect.signature(called).parameters.values() if p.default is p.empty]
    if len(given) != 2:
        raise ConfigError(f"{place_of(layer)}: middleware takes (request, call_next), or (app)")
    return True


def _plain(layer: Any, app: Application) -> Application:
    wrapped: Application = layer(app)
    # Somebody else's may send from a task of its own.
    return wrapped if type(layer).__module__.startswith("tidegate.") else relayed(wrapped)


class _Safe:
    """Answers the errors of one layer, inside the layers around it."""

    def __init__(self, app: Application, answer: Answer) -> None:
        self.app = app
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        def watched(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if started or isinstance(error, ClientDisconnected):
                raise
            response, foreseen = await self.answer(Request(scope, receive, send), error)
            await response(scope, receive, send)
            if not foreseen:
                raise


class _Hand:
    """A layer that takes a request and gives a response."""

    def __init__(self, layer: Callable[[Request, CallNext], Awaitable[Any]], app: Application):
        self.layer = layer
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        inner: _Inner | None = None

        async def call_next(request: Request) -> Response[Any]:
            nonlocal inner
            if inner is not None:
                await inner.give_up()
            inner = _Inner(self.app, request)
            return await inner.response()

        try:
            response = await self.layer(Request(scope, receive, send), call_next)
            if not callable(response):
                raise UsageError(f"{place_of(self.layer)} must return a response, not {response!r}")
            await response(scope, receive, send)
        except ClientDisconnected:
            if inner is None or not inner.left:
                raise
        finally:
            if inner is not None:
                # It may have things to do after its response, or instead of it.
                await inner.give_up()


class _Sent:
    """What an inner ``send`` hands to who moves it on."""

    __slots__ = ("message", "owner")

    def __init__(self, owner: _Inner, message: Message) -> None:
        self.owner = owner
        self.message = message


class _Inner:
    """An application that stands still at each ``send`` until it is moved on."""

    def __init__(self, app: Application, request: Request) -> None:
        self.left = False  # the client, as the application was told
        self._request = request
        self._content_given = False
        self._mover: asyncio.Task[Any] | None = None  # the task that moves it on
        offered = request.scope.get("extensions") or {}
        extensions = {name: offered[name] for name in offered if name not in _NOT_INNER}
        scope = {**request.scope, "extensions": extensions, _MOVED: True}
        self._steps: Generator[Any, Any, Any] = app(scope, self._receive, self._send).__await__()
        self._ended = False
        self._given_up = False

    async def _receive(self) -> Message:
        """Begin with the content that a layer has read."""
        body = self._request._body
        if body is not None and not self._content_given:
            self._content_given = True
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._request.next_message()
        if message["type"] == "http.disconnect":
            self.left = True
        return message

    async def _send(self, message: Message) -> None:
        if asyncio.current_task() is not self._mover:
            raise UsageError("an inner application sent from another task; wrap it in relayed()")
        if not self._given_up:
            await _hand_over(_Sent(self, message))
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                return
        if self._given_up:
            raise ClientDisconnected("the response is not wanted")

    @types.coroutine
    def next(self) -> Generator[Any, Any, Message | None]:
        """Return what the application sends next; None if it returned."""
        self._mover = asyncio.current_task()
        step: Callable[[Any], Any] = self._steps.send
        given: Any = None
        while not self._ended:
            try:
                found = step(given)
            except StopIteration:
                self._ended = True
                return None
            except BaseException:
                self._ended = True
                raise
            if type(found) is _Sent and found.owner is self:
                return found.message
            try:
                given = yield found
                step = self._steps.send
            except BaseException as error:
                given = error
                step = self._steps.throw
        return None

    async def response(self) -> Response[Any]:
        """Return what the application answers; what streams goes on while it is sent."""
        start = await self.next()
        while start is not None and start["type"] != "http.response.start":
            await self._request.send(start)  # early hints
            start = await self.next()
        if start is None:
            if self.left:
                raise ClientDisconnected("the client has left")
            raise UsageError("the inner application returned without a response")
        first = await self.next()
        if first is None:
            raise UsageError("the inner application returned without ending its response")
        pairs = list(start.get("headers", ()))
        if first["type"] != "http.response.body" or first.get("more_body", False):
            response: Response[Any] = StreamResponse(self._bodies(first), start["status"])
        else:
            response = Response(first.get("body", b""), start["status"])
        response.pairs = pairs
        return response

    async def _bodies(self, message: Message | None) -> AsyncIterator[bytes]:
        while message is not None:
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                return
            message = await self.next()

    async def give_up(self) -> None:
        """Let the application do what it does after its response; it can send no more."""
        self._given_up = True
        try:
            while await self.next() is not None:
                pass
        except ClientDisconnected:
            pass  # that is what we told it


@types.coroutine
def _hand_over(sent: _Sent) -> Generator[_Sent, None, None]:
    yield sent


def relayed(app: Application) -> Application:
    """Return an application that may send from any task, also where it is moved on by hand."""

    async def relayed_app(scope: Scope, receive: Receive, send: Send) -> None:
        await relay(app, scope, receive, send)

    return relayed_app


async def relay(app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Call an application that may send from any task."""
    if _MOVED not in scope or scope["type"] != "http":
        await app(scope, receive, send)
        return
    waiting: asyncio.Queue[tuple[Message, asyncio.Future[None]] | None] = asyncio.Queue()

    over = False

    async def hand(message: Message) -> None:
        if over:
            raise ClientDisconnected("the application has returned")
        taken = asyncio.get_running_loop().create_future()
        waiting.put_nowait((message, taken))
        await taken

    async def run() -> None:
        nonlocal over
        try:
            await app(scope, receive, hand)
        finally:
            over = True
            waiting.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (one := await waiting.get()) is not None:
            message, taken = one
            try:
                await send(message)
            except Exception as error:
                if not taken.done():
                    taken.set_exception(error)
            else:
                if not taken.done():
                    taken.set_result(None)
        await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
