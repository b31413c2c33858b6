"""Server-sent events: what an asynchronous generator yields, as it yields it.

The format is that of the HTML standard, section 9.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from ..asgi import Receive, Scope, Send
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
    """A response that streams events; ends when the client leaves."""

    def __init__(
        self, request: Request, items: AsyncGenerator[Any, None], heartbeat: float
    ) -> None:
        self.request = request
        self.items = items
        self.heartbeat = heartbeat
        self._idle = True
        self._left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(_FIELDS)})
        if scope["method"] == "HEAD":
            await self.items.aclose()
            await send({"type": "http.response.body", "body": b""})
            return
        task = asyncio.current_task()
        beside = asyncio.create_task(self._beside(task, send))
        try:
            # The head goes out at once, so that the client knows it is connected.
            await send({"type": "http.response.body", "body": b": \n\n", "more_body": True})
            message_id.set(None)
            async for item in self.items:
                self._idle = False
                body = encode_event(item, message_id.get())
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            if not self._left or task is None or task.uncancel() > 0:
                raise
        finally:
            beside.cancel()
            await self.items.aclose()

    async def _beside(self, task: asyncio.Task[Any] | None, send: Send) -> None:
        """Send comments while nothing happens, until the client leaves."""
        gone = asyncio.ensure_future(self.request.disconnected())
        try:
            while True:
                self._idle = True
                done, _ = await asyncio.wait([gone], timeout=self.heartbeat)
                if done:
                    break
                if self._idle:
                    await send({"type": "http.response.body", "body": b": \n\n", "more_body": True})
        except (OSError, Problem):
            pass  # nobody can be sent to
        finally:
            gone.cancel()
        self._left = True
        if task is not None:
            task.cancel("the client has disconnected")


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
        self.simple = False

    async def _send(self, request: Request, value: Any, encoded: Any) -> None:
        request.started = True
        stream = EventStream(request, value, self.heartbeat)
        await stream(request.scope, request.receive, request.send)
        self._begin_tasks(request)
