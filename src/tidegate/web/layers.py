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
from ..errors import ConfigError, UsageError
from .annotations import place_of
from .request import Request
from .response import Response, StreamResponse

__all__ = ["CallNext", "relayed", "wrap"]

CallNext = Callable[[Request], Awaitable[Response[Any]]]

# Set in the scope by a layer that moves the inner application on by hand.
_MOVED = "tidegate.moved"

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
    called = layer if inspect.isroutine(layer) or inspect.isclass(layer) else layer.__call__
    if inspect.isclass(called):
        return False
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
            if started:
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
                inner.close()
            inner = _Inner(self.app, {**request.scope, _MOVED: True}, _again(request))
            return await inner.response()

        try:
            response = await self.layer(Request(scope, receive, send), call_next)
            if not callable(response):
                raise UsageError(f"{place_of(self.layer)} must return a response, not {response!r}")
            await response(scope, receive, send)
            if inner is not None:
                await inner.finish()
        finally:
            if inner is not None:
                inner.close()


def _again(request: Request) -> Receive:
    """Return a ``receive`` that begins with the content that a layer has read."""

    async def receive() -> Message:
        body = request._body
        if body is not None and not sent:
            sent.append(True)
            return {"type": "http.request", "body": body, "more_body": False}
        return await request.next_message()

    sent: list[bool] = []
    return receive


class _Sent:
    """What an inner ``send`` hands to who moves it on."""

    __slots__ = ("message", "owner")

    def __init__(self, owner: _Inner, message: Message) -> None:
        self.owner = owner
        self.message = message


class _Inner:
    """An application that stands still at each ``send`` until it is moved on."""

    def __init__(self, app: Application, scope: Scope, receive: Receive) -> None:
        self._task = asyncio.current_task()
        self._awaitable = app(scope, receive, self._send)
        self._steps: Generator[Any, Any, Any] = self._awaitable.__await__()
        self._ended = False
        self._more = False

    async def _send(self, message: Message) -> None:
        if asyncio.current_task() is not self._task:
            raise UsageError("an inner application sent from another task; wrap it in relayed()")
        await _hand_over(_Sent(self, message))

    @types.coroutine
    def next(self) -> Generator[Any, Any, Message | None]:
        """Return what the application sends next; None if it returned."""
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
            start = await self.next()  # early hints end here: the response is not ours yet
        if start is None:
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
            if message["type"] == "http.response.pathsend":
                raise UsageError("a file cannot be sent by path through this middleware")
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                return
            message = await self.next()

    async def finish(self) -> None:
        """Let the application do what it does after its response."""
        while await self.next() is not None:
            pass

    def close(self) -> None:
        """Give the application up."""
        if not self._ended:
            self._ended = True
            self._steps.close()


@types.coroutine
def _hand_over(sent: _Sent) -> Generator[_Sent, None, None]:
    yield sent


def relayed(app: Application) -> Application:
    """Return an application that may send from any task, also where it is moved on by hand."""

    async def relay(scope: Scope, receive: Receive, send: Send) -> None:
        if _MOVED not in scope or scope["type"] != "http":
            await app(scope, receive, send)
            return
        waiting: asyncio.Queue[tuple[Message, asyncio.Future[None]] | None] = asyncio.Queue()

        async def hand(message: Message) -> None:
            taken = asyncio.get_running_loop().create_future()
            waiting.put_nowait((message, taken))
            await taken

        async def run() -> None:
            try:
                await app(scope, receive, hand)
            finally:
                waiting.put_nowait(None)

        task = asyncio.create_task(run())
        try:
            while (one := await waiting.get()) is not None:
                await send(one[0])
                if not one[1].done():
                    one[1].set_result(None)
            await task
        finally:
            task.cancel()

    return relay
