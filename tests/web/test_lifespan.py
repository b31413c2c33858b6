"""An application starts and stops with all that is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import pytest
from starlette.applications import Starlette
from tests.web.driver import ask

from tidegate import App, ConfigError, Request


class Lifespan:
    """The server's side of a lifespan."""

    def __init__(self, app: Any, state: dict[str, Any] | None = None) -> None:
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Any] = asyncio.Queue()
        scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}}
        if state is not None:
            scope["state"] = state
        self.task = asyncio.create_task(app(scope, self.incoming.get, self.outgoing.put))

    async def say(self, what: str) -> Any:
        self.incoming.put_nowait({"type": f"lifespan.{what}"})
        return await asyncio.wait_for(self.outgoing.get(), 30)


async def test_a_context_manager_is_around_the_time_it_serves_and_gives_state() -> None:
    log = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
        log.append("up")
        yield {"given": 1}
        log.append("down")

    app = App(lifespan=lifespan)

    @app.get("/")
    async def handler(request: Request) -> int:
        return len(app.state)

    state: dict[str, Any] = {}
    server = Lifespan(app, state)
    assert await server.say("startup") == {"type": "lifespan.startup.complete"}
    assert state == {"given": 1}
    assert (await ask(app)).json == 1
    assert await server.say("shutdown") == {"type": "lifespan.shutdown.complete"}
    await server.task
    assert log == ["up", "down"]


@pytest.mark.parametrize(
    ("error", "message"),
    [(RuntimeError("no database"), "no database"), (RuntimeError(), "RuntimeError")],
)
async def test_a_failed_start_says_why(
    error: Exception, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    closed = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        raise error
        yield

    app = App(lifespan=lifespan)

    @app.resource
    async def number() -> AsyncIterator[Fraction]:
        try:
            yield Fraction(1)
        finally:
            closed.append(1)

    answer = await Lifespan(app).say("startup")
    assert answer == {"type": "lifespan.startup.failed", "message": message}
    assert "could not start" in caplog.text
    assert closed == [1]


async def test_what_is_wrong_with_the_routes_is_said_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    @app.get("/{id}")
    async def handler(other: object) -> None: ...

    answer = await Lifespan(app).say("startup")
    assert answer["type"] == "lifespan.startup.failed"
    assert "handler" in answer["message"]
    assert caplog.text == ""


async def test_a_failed_end_says_why() -> None:
    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        yield
        raise RuntimeError("stuck")

    server = Lifespan(App(lifespan=lifespan))
    await server.say("startup")
    answer = await server.say("shutdown")
    assert answer == {"type": "lifespan.shutdown.failed", "message": "stuck"}


async def test_a_server_that_goes_without_a_word_closes_it_all_the_same() -> None:
    log = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        try:
            yield
        finally:
            log.append("closed")

    server = Lifespan(App(lifespan=lifespan))
    await server.say("startup")
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert log == ["closed"]


def inner(log: list[str], name: str, fails: str = "") -> App:
    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
        if fails == "up":
            raise RuntimeError("the inner one")
        log.append(f"{name} up")
        yield {name: 1}
        log.append(f"{name} down")
        if fails == "down":
            raise RuntimeError("the inner one")

    return App(lifespan=lifespan)


async def test_all_that_is_mounted_starts_and_stops_once_in_order() -> None:
    log: list[str] = []
    app = App()
    first = inner(log, "a")
    app.mount("/a", first)
    app.mount("/again", first)
    app.host("b.example", inner(log, "b"))
    app.fallback(inner(log, "c"))
    async with app.opened():
        assert app.state == {"a": 1, "b": 1, "c": 1}
    names = ["a", "b", "c"]
    assert log == [f"{n} up" for n in names] + [f"{n} down" for n in reversed(names)]


async def test_a_mounted_application_that_cannot_start_stops_the_start() -> None:
    log: list[str] = []
    app = App()
    app.mount("/a", inner(log, "a"))
    app.mount("/b", inner(log, "b", fails="up"))
    before = asyncio.all_tasks()
    with pytest.raises(ConfigError, match="did not start: the inner one"):
        async with app.opened():
            pass
    assert log == ["a up", "a down"]
    assert asyncio.all_tasks() == before


async def test_a_mounted_application_that_cannot_stop_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    app.mount("/a", inner([], "a", fails="down"))
    async with app.opened():
        pass
    assert "did not shut down: the inner one" in caplog.text


async def test_a_mounted_application_needs_no_lifespan() -> None:
    async def raises(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError(scope["type"])

    async def returns(scope: Any, receive: Any, send: Any) -> None: ...

    async def starts_only(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    app = App()
    for name, one in (("a", raises), ("b", returns), ("c", starts_only)):
        app.mount(f"/{name}", one)
    before = asyncio.all_tasks()
    async with app.opened():
        pass
    assert asyncio.all_tasks() == before


async def test_the_lifespan_of_another_framework_is_run() -> None:
    log = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        log.append("up")
        yield {"starlette": 1}
        log.append("down")

    app = App()
    app.mount("/a", Starlette(lifespan=lifespan))
    async with app.opened():
        assert app.state == {"starlette": 1}
    assert log == ["up", "down"]


async def test_a_start_that_is_given_up_leaves_nothing_behind() -> None:
    waiting = asyncio.Event()

    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        waiting.set()
        await asyncio.Event().wait()

    app = App()
    app.mount("/a", hangs)
    before = asyncio.all_tasks()
    server = Lifespan(app)
    server.incoming.put_nowait({"type": "lifespan.startup"})
    await waiting.wait()
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert asyncio.all_tasks() == before


async def test_a_server_that_runs_no_lifespan_opens_it_with_the_first_request() -> None:
    log: list[str] = []
    app = inner(log, "a")

    @app.get("/")
    async def handler() -> str:
        return "x"

    replies = await asyncio.gather(*(ask(app) for _ in range(3)))
    assert [reply.text for reply in replies] == ["x"] * 3
    assert log == ["a up"]


async def test_what_is_opened_late_is_said_to_stay_open(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.resource
    def number() -> Fraction:
        return Fraction(1, 2)

    @app.get("/")
    async def handler(number: Fraction) -> str:
        return str(number)

    async with app.opened():
        assert (await ask(app)).text == "1/2"
    assert not caplog.records
    assert (await ask(app)).text == "1/2"
    assert (await ask(app)).text == "1/2"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "will not be closed" in caplog.text


async def test_what_was_overridden_when_it_was_opened_is_opened_afterwards() -> None:
    app = App()
    log: list[str] = []

    @app.resource
    async def number() -> AsyncIterator[Fraction]:
        log.append("open")
        yield Fraction(1, 2)
        log.append("close")

    @app.get("/")
    async def handler(number: Fraction) -> str:
        return str(number)

    with app.override({Fraction: Fraction(2)}):
        assert (await ask(app)).text == "2"
    assert log == []
    replies = await asyncio.gather(ask(app), ask(app))
    assert [reply.text for reply in replies] == ["1/2", "1/2"]
    assert log == ["open"]

    with app.override({Fraction: Fraction(3)}):
        async with app.opened():
            assert (await ask(app)).text == "3"
    assert log == ["open"]
