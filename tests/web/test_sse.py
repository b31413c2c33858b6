"""Server-sent events: their format, their heartbeat, and how a stream of them ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import msgspec
import pytest
from tests.web.driver import Server, ask, scope_for

from tidegate import (
    App,
    ClientDisconnected,
    ConfigError,
    Depends,
    Event,
    Hub,
    LastEventID,
    Problem,
    Request,
    Tasks,
    UsageError,
)
from tidegate.web.sse import encode_event


class Said(msgspec.Struct):
    text: str


@pytest.mark.parametrize(
    ("item", "stream"),
    [
        ("a", "data: a\n\n"),
        ("a\nb\r\nc\rd", "data: a\ndata: b\ndata: c\ndata: d\n\n"),
        ("", "data: \n\n"),
        ("a\n", "data: a\ndata: \n\n"),
        (" a", "data:  a\n\n"),
        (Said("é"), 'data: {"text":"é"}\n\n'),
        ({"a": None}, 'data: {"a":null}\n\n'),
        (Event("a", id="1", event="e", retry=5), "event: e\nid: 1\nretry: 5\ndata: a\n\n"),
        (Event(comment="x\ny"), ": x\n: y\n\n"),
        (Event(comment="x\ndata: forged"), ": x\n: data: forged\n\n"),
        (Event(None, id=""), "id: \n\n"),
        (Event([1], event="e"), "event: e\ndata: [1]\n\n"),
        ("a\u2028b", "data: a\u2028b\n\n"),
    ],
)
def test_an_event_is_written_as_the_standard_says(item: Any, stream: str) -> None:
    assert encode_event(item).decode() == stream


def test_an_event_has_the_id_of_its_message_unless_it_has_its_own() -> None:
    assert encode_event("a", "7") == b"id: 7\ndata: a\n\n"
    assert encode_event(Event("a", id="1"), "7") == b"id: 1\ndata: a\n\n"
    assert encode_event(Event("a", retry=1), "7") == b"id: 7\nretry: 1\ndata: a\n\n"
    assert encode_event(Event(comment="a"), "7") == b": a\n\n"


@pytest.mark.parametrize("more", [{"id": "a\nb"}, {"id": "a\0"}, {"event": "a\rdata: b"}])
def test_an_event_cannot_smuggle_in_another(more: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="of an event cannot be"):
        encode_event(Event("x", **more))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


class Client(Server):
    """Listens to a stream of events until it leaves."""

    def __init__(self, app: App, target: str = "/", **headers: str) -> None:
        super().__init__(b"")
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self.call = asyncio.create_task(
            app(scope_for("GET", target, fields), self.receive, self.send)
        )

    async def read(self, data: bytes) -> None:
        await until(lambda: data in self.reply.body or self.call.done())
        assert data in self.reply.body

    async def ended(self) -> None:
        self.leave()
        await asyncio.wait_for(self.call, 30)


@pytest.mark.parametrize("layers", [0, 2])
async def test_comments_are_sent_while_nothing_happens(layers: int) -> None:
    async def layer(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app = App(middleware=[layer] * layers)

    @app.sse("/", heartbeat=0.001)
    async def events() -> AsyncIterator[str]:
        yield "first"
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    client = Client(app)
    await client.read(b"data: first\n\n: \n\n: \n\n")
    await client.ended()
    assert client.reply.header("content-type") == "text/event-stream; charset=utf-8"
    assert client.reply.header("cache-control") == "no-store"
    await until(lambda: asyncio.all_tasks() == before)


async def test_the_client_knows_at_once_that_it_is_connected() -> None:
    app = App()

    @app.sse("/")
    async def events() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    client = Client(app)
    await client.read(b": \n\n")
    await client.ended()


async def test_who_comes_back_gets_what_it_missed() -> None:
    app = App()

    @app.sse("/")
    async def events(hub: Hub, last: LastEventID = None) -> AsyncIterator[Said]:
        async for said in hub.subscribe("room", Said, after=last):
            yield said

    client = Client(app)
    await until(lambda: app.hub.members("room"))
    await app.hub.publish("room", Said("one"))
    await client.read(b'data: {"text":"one"}\n\n')
    await client.ended()
    identity = client.reply.body.partition(b"id: ")[2].partition(b"\n")[0].decode()
    assert app.hub.members("room") == 0
    await app.hub.publish("room", Said("two"))
    again = Client(app, last_event_id=identity)
    await again.read(b'data: {"text":"two"}\n\n')
    await app.hub.publish("room", Said("three"))
    await again.read(b'data: {"text":"three"}\n\n')
    assert b"one" not in again.reply.body
    await again.ended()


@pytest.mark.parametrize("layers", [0, 1])
async def test_a_client_that_leaves_ends_the_generator_and_what_it_needs(layers: int) -> None:
    log = []

    async def layer(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    async def resource() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            log.append("resource")

    app = App(middleware=[layer] * layers)

    @app.sse("/")
    async def events(one: Annotated[int, Depends(resource)]) -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("generator")

    client = Client(app)
    await client.read(b"data: a")
    await client.ended()
    assert log == ["generator", "resource"]


@pytest.mark.parametrize("offered", [True, False])
async def test_a_server_that_is_about_to_leave_ends_the_stream_as_it_should_end(
    offered: bool,
) -> None:
    log = []
    app = App()

    @app.sse("/")
    async def events() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            log.append("generator")

    server = Server(b"")
    scope = scope_for("GET", "/")
    if offered:
        scope["extensions"]["tidegate.drain"] = {}
    call = asyncio.create_task(app(scope, server.receive, server.send))
    await until(lambda: b"data: a" in server.reply.body)
    # Nobody who was not asked says so.
    assert server.reply.messages[0].get("drain", False) == offered
    server.incoming.put_nowait({"type": "http.drain" if offered else "http.disconnect"})
    await asyncio.wait_for(call, 30)
    assert log == ["generator"]
    assert (server.reply.messages[-1].get("more_body", False) is False) == offered


async def test_a_stream_that_is_over_ends_and_its_tasks_begin() -> None:
    app = App()
    log: list[str] = []

    @app.sse("/")
    async def events(tasks: Tasks) -> AsyncIterator[Any]:
        tasks.add(log.append, "task")
        yield "a"
        yield Event("b", event="last")

    reply = await ask(app)
    assert reply.body == b"data: a\n\nevent: last\ndata: b\n\n"
    assert reply.messages[-1] == {"type": "http.response.body", "body": b""}
    await app.supervisor.drain(30)
    assert log == ["task"]


async def test_an_error_breaks_the_stream_off_and_is_raised() -> None:
    app = App()

    @app.sse("/")
    async def events() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("in the middle")

    reply = await ask(app)
    assert isinstance(reply.error, ValueError)
    assert reply.messages[-1]["more_body"] is True


async def test_a_dependency_may_refuse_before_the_stream_begins() -> None:
    app = App()

    async def refuse() -> None:
        raise Problem(403)

    @app.sse("/")
    async def events(_: Annotated[None, Depends(refuse)]) -> AsyncIterator[str]:
        yield "a"

    assert (await ask(app)).status == 403


async def test_head_has_no_events() -> None:
    app = App()

    @app.sse("/")
    async def events() -> AsyncIterator[str]:
        yield "a"

    reply = await ask(app, "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.header("content-type") == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("error", [ClientDisconnected, OSError])
async def test_a_client_that_cannot_be_sent_to_ends_the_stream(error: type[OSError]) -> None:
    app = App()
    closed = asyncio.Event()

    @app.sse("/", heartbeat=0.001)
    async def events() -> AsyncIterator[str]:
        try:
            await asyncio.Event().wait()
            yield ""
        finally:
            closed.set()

    sent = 0

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1
        if sent > 2:
            raise error

    async with asyncio.timeout(30):
        await app(scope_for("GET", "/"), Server(b"").receive, send)
    assert closed.is_set()


async def test_a_cancelled_stream_is_cancelled() -> None:
    app = App()

    @app.sse("/")
    async def events() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    client = Client(app)
    await client.read(b"data: a")
    client.call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.call


def test_events_come_from_an_asynchronous_generator() -> None:
    async def one() -> str:
        return ""

    app = App()
    app.sse("/")(one)
    with pytest.raises(ConfigError, match="must be 'async def' and yield"):
        app.prepare()


async def test_a_problem_before_the_first_event_is_an_answer() -> None:
    app = App()

    @app.sse("/problem")
    async def problem() -> AsyncIterator[str]:
        raise Problem(404, "no such room")
        yield "never"

    @app.sse("/error")
    async def error() -> AsyncIterator[str]:
        raise ValueError("before the first")
        yield "never"

    reply = await ask(app, target="/problem")
    assert (reply.status, reply.json["detail"]) == (404, "no such room")
    failed = await ask(app, target="/error")
    assert failed.status == 500
    assert isinstance(failed.error, ValueError)


async def test_the_head_of_a_quiet_stream_does_not_wait_for_an_event() -> None:
    app = App()
    connected = asyncio.Event()

    @app.sse("/", heartbeat=1000)
    async def events() -> AsyncIterator[str]:
        await connected.wait()
        yield "a"

    async def send(message: Any) -> None:
        messages.append(message)
        connected.set()

    messages: list[Any] = []
    server = Server()
    await app(scope_for("GET", "/"), server.receive, send)
    bodies = [message.get("body") for message in messages]
    assert bodies == [None, b": \n\n", b"data: a\n\n", b""]


async def test_a_stream_without_events_has_a_head_and_ends() -> None:
    app = App()

    @app.sse("/")
    async def events() -> AsyncIterator[str]:
        for word in ():
            yield word

    reply = await ask(app)
    assert (reply.status, reply.body) == (200, b"")
