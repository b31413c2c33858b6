"""A test reads server-sent events as a browser does."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.testing import StatusError, client
from tidegate.testing.sent_events import EventReader, SentEvent
from tidegate.testing.wire import cuts

from .applications import answer, http_only

STREAM = (
    "\ufeff: hello\n\ndata: one\nid: 1\n\nevent: add\r\ndata: two\r\ndata:  lines\r\n\r\n"
    'retry: 1500\rid: 3\rdata: {"a":1}\r\rdata\n\nevent: empty\n\nretry: x\nid: a\0b\n'
    "nonsense: 1\ndata: ü\n\ndata: cut off"
).encode()

EVENTS = [
    ("one", "message", "1", None),
    ("two\n lines", "add", "1", None),
    ('{"a":1}', "message", "3", 1500),
    ("", "message", "3", None),
    ("ü", "message", "3", None),
]


def shape(event: SentEvent) -> tuple[str, str, str, int | None]:
    return event.data, event.event, event.id, event.retry


@pytest.mark.parametrize("pieces", list(cuts(STREAM, randoms=10)), ids=len)
def test_events_are_read_however_they_are_cut(pieces: list[bytes]) -> None:
    reader = EventReader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    assert [shape(event) for event in events] == EVENTS
    assert (reader.comments, reader.retry, reader.last_event_id) == (["hello"], 1500, "3")


class Numbers:
    """Counts for ever from the last id on; keeps how it ended."""

    def __init__(self) -> None:
        self.ended = False
        self.accept = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        headers = dict(scope["headers"])
        self.accept = headers[b"accept"]
        if scope["path"] != "/":
            await answer(send, b"no events", 404)
            return
        number = int(headers.get(b"last-event-id", b"0"))
        kind = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        try:
            while True:
                number += 1
                body = b'id: %d\ndata: {"n":%d}\n\n' % (number, number)
                await send({"type": "http.response.body", "body": body, "more_body": True})
                await asyncio.sleep(0)
        finally:
            self.ended = True


class N(msgspec.Struct):
    n: int


def test_events_come_one_by_one_and_leaving_ends_the_stream() -> None:
    app = Numbers()
    with client(app) as c:
        with c.sse("/") as events:
            first = next(events)
            assert (first.id, first.json()) == ("1", {"n": 1})
            for event in events:
                if event.json(N) == N(3):
                    break
            assert events.last_event_id == "3"
        assert app.ended
        assert app.accept == b"text/event-stream"
        with c.sse("/", last_event_id="41", headers={"accept": "text/*"}) as events:
            assert repr(next(events)) == """<SentEvent message '42' '{"n":42}'>"""
            assert app.accept == b"text/*"
            app.ended = False
            events.disconnect()
            assert list(events) == []
        assert app.ended


async def test_events_come_in_a_coroutine() -> None:
    app = Numbers()
    async with client(app) as c, c.sse("/", last_event_id="6") as events:
        assert (await anext(events)).id == "7"
        async for event in events:
            assert event.id == "8"
            break
        await events.disconnect()
        await c.settle()
        assert app.ended
        assert [event async for event in events] == []


def test_an_answer_that_is_no_stream_of_events_is_an_error() -> None:
    with client(Numbers()) as c:
        with pytest.raises(StatusError, match="404 with no content type, no events") as raised:
            c.sse("/other").__enter__()
        assert raised.value.reply.text == "no events"


def test_the_events_end_with_the_response() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        await answer(send, STREAM, 200, [(b"content-type", b"text/event-stream")])

    with client(app) as c, c.sse("/") as events:
        assert [shape(event) for event in events] == EVENTS
        with pytest.raises(StopIteration):
            next(events)
