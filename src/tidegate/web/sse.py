"""Server-sent events: what an asynchronous generator yields, as it yields it.

The format is that of the HTML standard, section 9.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from ..asgi import Message, Receive, Scope, Send
from ..errors import ClientDisconnected, ConfigError, UsageError
from ..events.hub import message_id
from .annotations import place_of
from .codec import to_json
from .execution import Execution
from .headers import Pairs
from .inject import Graph
from .plan import Plan
from .problems import Problem
from .request import Request
from .route import Route

__all__ = ["Event", "EventPlan", "EventStream", "encode_event"]

_FIELDS: Pairs = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Proxies in the manner of nginx would hold events back.
    (b"x-accel-buffering", b"no"),
]

# Seconds.  A browser shows a stream as open when it has the head.
_MAX_HOLD = 0.1


class Event:
    """One event with more than its data; ``retry`` is in milliseconds."""

    __slots__ = ("comment", "data", "event", "id", "retry")

    def __init__(
        self,
        data: Any = None,
        *,
        id: str | None = None,
        event: str | None = None,
        retry: int | None = None,
        comment: str | None = None,
    ) -> None:
        self.data = data
        self.id = id
        self.event = event
        self.retry = retry
        self.comment = comment


def encode_event(item: Any, identity: str | None = None) -> bytes:
    """Return an event as the stream carries it; ``str`` is data as it is, the rest JSON.

    ``identity`` is its id if it has data and no id of its own.

    Raises ``UsageError`` for an id or a name that would end its line.
    """
    event = item if isinstance(item, Event) else Event(item)
    given = identity if event.id is None and event.data is not None else event.id
    lines = []
    if event.comment is not None:
        lines += [f": {line}" for line in _lines(event.comment)]
    for name, value in (("event", event.event), ("id", given)):
        if value is not None:
            if any(c in value for c in "\r\n\0"):
                raise UsageError(f"the {name} of an event cannot be {value!r}")
            lines.append(f"{name}: {value}")
    if event.retry is not None:
        lines.append(f"retry: {event.retry:d}")
    data = event.data
    if data is not None:
        text = data if isinstance(data, str) else to_json(data).decode()
        lines += [f"data: {line}" for line in _lines(text)]
    return "".join(f"{line}\n" for line in [*lines, ""]).encode()


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


class EventStream:
    """A response that streams events; ends when the client leaves, or the server is about to.

    The head waits for the first event, but not for long: so what fails before
    is still answered with a status, and a client of a quiet stream knows that
    it is connected.
    """

    def __init__(
        self, request: Request, items: AsyncGenerator[Any, None], heartbeat: float
    ) -> None:
        self.request = request
        self.items = items
        self.heartbeat = heartbeat
        self._idle = True
        self._over = False  # nobody listens any more, or nobody should
        self._drains = False  # the server is about to leave
        self._turn = asyncio.Lock()  # two tasks send

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await self.items.aclose()
            await self._send(b"", False)
            return
        task = asyncio.current_task()
        beside = asyncio.create_task(self._beside(task))
        try:
            message_id.set(None)
            async for item in self.items:
                self._idle = False
                await self._send(encode_event(item, message_id.get()))
            await self._send(b"", False)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            if not self._over or task is None or task.uncancel() > 0:
                raise
            if self._drains:
                await self.items.aclose()
                await self._send(b"", False)
        finally:
            beside.cancel()
            await self.items.aclose()

    async def _send(self, body: bytes, more: bool = True) -> None:
        """Send a piece of the stream, after the head if that was not sent."""
        request = self.request
        async with self._turn:
            if not request.started:
                request.started = True
                start: Message = {"type": "http.response.start", "status": 200}
                start["headers"] = list(_FIELDS)
                if "tidegate.drain" in request.scope.get("extensions", {}):
                    start["drain"] = True  # tell us of a shutdown
                await request.send(start)
            message: Message = {"type": "http.response.body", "body": body}
            if more:
                message["more_body"] = True
            await request.send(message)

    async def _beside(self, task: asyncio.Task[Any] | None) -> None:
        """Send comments while nothing happens, until the client or the server leaves."""
        over = asyncio.ensure_future(self.request.over())
        try:
            timeout = min(self.heartbeat, _MAX_HOLD)
            while True:
                self._idle = True
                done, _ = await asyncio.wait([over], timeout=timeout)
                if done:
                    self._drains = not over.result()
                    break
                if self._idle:
                    await self._send(b": \n\n")
                timeout = self.heartbeat
        except (OSError, Problem):
            pass  # nobody can be sent to
        finally:
            over.cancel()
        self._over = True
        if task is not None:
            task.cancel("the server is about to leave" if self._drains else "the client has left")


class EventPlan(Plan):
    """Serves the event streams of one route."""

    def __init__(self, route: Route, graph: Graph, execution: Execution) -> None:
        super().__init__(route, graph, execution)
        if not (self.node.is_async and self.node.is_generator):
            raise ConfigError(
                f"{place_of(route.handler)} must be 'async def' and yield to stream events"
            )
        self.heartbeat: float = route.options.extra["heartbeat"]
        self.cancels = False  # the stream sees for itself
        self.holds = True  # the generator that is the handler

    async def _send(self, request: Request, value: Any, encoded: Any) -> None:
        stream = EventStream(request, value, self.heartbeat)
        await stream(request.scope, request.receive, request.send)
        self._begin_tasks(request)
