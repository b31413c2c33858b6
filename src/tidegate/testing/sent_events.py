"""Server-sent events as a browser reads them (HTML standard, section 9.2.6)."""

from __future__ import annotations

import codecs
from collections import deque
from types import TracebackType
from typing import Any, TypeVar, overload

from .failures import StatusError
from .replies import decoded
from .streams import AsyncStream, Exchanged, Lines, Stream

__all__ = ["AsyncEvents", "EventReader", "Events", "SentEvent"]

T = TypeVar("T")


class SentEvent:
    """One event.  ``id`` is the last one seen, ``retry`` in milliseconds if it came with one."""

    __slots__ = ("data", "event", "id", "retry")

    def __init__(self, data: str, event: str, id: str, retry: int | None) -> None:
        self.data = data
        self.event = event
        self.id = id
        self.retry = retry

    def __repr__(self) -> str:
        return f"<SentEvent {self.event} {self.id!r} {self.data!r}>"

    @overload
    def json(self) -> Any: ...

    @overload
    def json(self, type: type[T]) -> T: ...

    @overload
    def json(self, type: Any) -> Any: ...

    def json(self, type: Any = Any) -> Any:
        """Return the data, which is JSON, as a value of ``type``."""
        return decoded(self.data.encode(), type)


class EventReader:
    """From the bytes of a stream to events."""

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry: int | None = None  # milliseconds, as the stream last said
        self.comments: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._lines = Lines()
        self._data: list[str] = []
        self._event = ""
        self._retry: int | None = None

    def feed(self, data: bytes) -> list[SentEvent]:
        """Return the events that are complete now."""
        events = []
        for line in self._lines.feed(self._decoder.decode(data)):
            if line:
                self._field(line)
            elif (event := self._complete()) is not None:
                events.append(event)
        return events

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments.append(value)
        elif name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self.last_event_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self._retry = self.retry = int(value)

    def _complete(self) -> SentEvent | None:
        data, event, retry = self._data, self._event, self._retry
        self._data, self._event, self._retry = [], "", None
        if not data:
            return None
        return SentEvent("\n".join(data), event or "message", self.last_event_id, retry)


class _Events(EventReader):
    """What both kinds have in common."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[SentEvent] = deque()

    async def next_of(self, stream: Exchanged) -> SentEvent | None:
        """Return the next event; None at the end of the stream."""
        if stream.left:
            return None
        while not self._waiting:
            piece = await stream.take()
            if piece is None:
                return None
            self._waiting.extend(self.feed(piece))
        return self._waiting.popleft()


async def check(stream: Exchanged) -> None:
    """Raise ``StatusError`` unless this is a stream of events."""
    kind = stream.headers.get("content-type", "").partition(";")[0].strip()
    if stream.status != 200 or kind != "text/event-stream":
        reply = await stream.rest()
        await stream.end(None)
        found = f"{reply.status} with {kind or 'no content type'}"
        raise StatusError(f"{reply.url} answered {found}, no events: {reply!r}", reply)


class Events(_Events):
    """The events of a stream, for a test without coroutines: an iterator."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        self._loop = stream.loop

    def __enter__(self) -> Events:
        self.stream.__enter__()
        self._loop.run(check(self.stream))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stream.__exit__(kind, error, tb)

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> SentEvent:
        event = self._loop.run(self.next_of(self.stream))
        if event is None:
            raise StopIteration
        return event

    def disconnect(self) -> None:
        """Vanish, as a client does whose network is gone."""
        self.stream.disconnect()


class AsyncEvents(_Events):
    """The events of a stream, for a coroutine: an asynchronous iterator."""

    def __init__(self, stream: AsyncStream) -> None:
        super().__init__()
        self.stream = stream

    async def __aenter__(self) -> AsyncEvents:
        await self.stream.__aenter__()
        await check(self.stream)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.stream.__aexit__(kind, error, tb)

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> SentEvent:
        event = await self.next_of(self.stream)
        if event is None:
            raise StopAsyncIteration
        return event

    async def disconnect(self) -> None:
        """Vanish, as a client does whose network is gone."""
        await self.stream.disconnect()
