"""What an application opens once, and what it gives outside requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from tests.web.driver import ask

from tidegate import App, ConfigError, Depends, Hub, Query, Request, Tasks, UsageError
from tidegate.web.resources import _no_request


class First:
    def __init__(self, *parts: Any) -> None:
        self.parts = parts


class Second(First): ...


class Third(First): ...


async def test_resources_are_opened_in_the_order_of_need_and_closed_in_reverse() -> None:
    app = App()
    log: list[str] = []

    @app.resource
    async def third(second: Second, helped: Annotated[str, Depends(_helper)]) -> Any:
        log.append("open third")
        yield Third(second, helped)
        log.append("close third")

    @app.resource
    def second(first: First | None) -> Iterator[Second]:
        log.append("open second")
        yield Second(first)
        log.append("close second")

    @app.resource
    async def first(hub: Hub) -> AsyncIterator[First]:
        log.append("open first")
        yield First(hub)
        log.append("close first")

    third.__annotations__["return"] = AsyncIterator[Third]

    @app.get("/")
    async def handler(one: Third, two: Second, three: First) -> bool:
        return one.parts == (two, "helped") and two.parts == (three,)

    async with app.opened():
        assert log == ["open first", "open second", "open third"]
        assert (await ask(app)).json is True
    assert log[3:] == ["close third", "close second", "close first"]
    async with app.opened():
        assert len(log) == 9


def _helper(first: First) -> str:
    return "helped" if isinstance(first, First) else "not"


async def test_a_failure_in_the_middle_closes_what_was_opened() -> None:
    app = App()
    log: list[str] = []

    @app.resource
    async def first() -> AsyncIterator[First]:
        try:
            yield First()
        except RuntimeError as error:
            log.append(f"first sees {error}")
            raise

    @app.resource
    def second(first: First) -> Second:
        raise RuntimeError("the second failed")

    with pytest.raises(RuntimeError, match="the second failed"):
        async with app.opened():
            raise AssertionError("not reached")
    assert log == ["first sees the second failed"]
    assert (await ask(app)).status == 0


async def test_an_error_while_closing_is_raised_and_the_others_are_closed() -> None:
    app = App()
    log: list[str] = []

    @app.resource
    async def first() -> AsyncIterator[First]:
        try:
            yield First()
        finally:
            log.append("first closed")

    @app.resource
    async def second(first: First) -> AsyncIterator[Second]:
        yield Second()
        raise RuntimeError("while closing")

    with pytest.raises(RuntimeError, match="while closing"):
        async with app.opened():
            pass
    assert log == ["first closed"]
    with pytest.raises(KeyError, match="of the block"):
        async with app.opened():
            raise KeyError("of the block")
    assert log == ["first closed"] * 2


@pytest.mark.parametrize(
    ("wants", "message"),
    [
        (Request, r"Request'> comes from a request"),
        (Tasks, r"Tasks'> comes from a request"),
        (int, r"'x' comes from a request.*scope=\"request\""),
        (Second, r"resources need each other: .*First.*Second.*First"),
    ],
)
async def test_a_resource_cannot_need_a_request_or_itself(wants: Any, message: str) -> None:
    app = App()

    async def first(x: Any) -> First:
        return First()

    first.__annotations__["x"] = wants
    app.resource(first)

    @app.resource
    async def second(first: First) -> Second:
        return Second()

    with pytest.raises(ConfigError, match=message):
        async with app.opened():
            pass


def test_a_resource_says_what_it_gives() -> None:
    for function in (lambda: 1, _yields_something, _gives_nothing):
        app = App()
        app.resource(function)
        with pytest.raises(ConfigError, match="must say what it gives"):
            app.prepare()


def _yields_something():  # type: ignore[no-untyped-def]
    yield 1


def _gives_nothing() -> None: ...


async def test_late_opening_happens_once_however_many_ask() -> None:
    app = App()
    opened: list[int] = []
    go_on = asyncio.Event()

    @app.resource
    async def first() -> First:
        opened.append(1)
        await go_on.wait()
        return First()

    @app.get("/")
    async def handler(first: First) -> int:
        return len(opened)

    calls = [asyncio.create_task(ask(app)) for _ in range(10)]
    while not opened:
        await asyncio.sleep(0)
    go_on.set()
    assert [reply.json for reply in await asyncio.gather(*calls)] == [1] * 10


async def test_a_scope_gives_what_a_request_would_be_given() -> None:
    app = App()
    log: list[str] = []

    @app.resource
    async def first() -> AsyncIterator[First]:
        yield First()
        log.append("close first")

    @app.resource(scope="request")
    def second(first: First) -> Iterator[Second]:
        log.append("open second")
        yield Second(first)
        log.append("close second")

    @app.resource(scope="request", run="inline")
    def third(second: Second) -> Third:
        return Third(second, threading.current_thread())

    async def function(
        second: Second, third: Third, helped: Annotated[str, Depends(_helper)]
    ) -> Any:
        return second, third, helped

    async with app.scope() as scope:
        one = await scope.get(Second)
        assert one is await scope.get(Second)
        assert one.parts == (await scope.get(First),)
        assert (await scope.get(Third)).parts == (one, threading.current_thread())
        assert await scope.call(function) == (one, await scope.get(Third), "helped")
        assert await scope.get(Hub) is app.hub
        assert log == ["open second"]
    assert log == ["open second", "close second", "close first"]


async def test_what_a_scope_cannot_give_is_said_and_does_no_harm() -> None:
    app = App()
    log: list[str] = []

    @app.resource(scope="request")
    async def first(number: Annotated[int, Query()]) -> First:
        return First()

    @app.resource(scope="request")
    async def second() -> AsyncIterator[Second]:
        try:
            yield Second()
        except KeyError:
            log.append("second sees KeyError")
            raise

    async def fails(second: Second) -> None:
        raise LookupError

    with pytest.raises(KeyError):  # noqa: PT012
        async with app.opened(), app.scope() as scope:
            with pytest.raises(ConfigError, match="'number' comes from a request"):
                await scope.get(First)
            with pytest.raises(UsageError, match=r"nothing provides .*App.*@app.resource"):
                await scope.get(App)
            for _ in range(2):
                with pytest.raises(LookupError):
                    await scope.call(fails)
            assert isinstance(await scope.get(Second), Second)
            raise KeyError
    assert log == ["second sees KeyError"]


async def test_a_scope_keeps_the_overrides() -> None:
    app = App()

    @app.resource
    async def first() -> First:
        return First("real")

    async def other() -> First:
        return First("other")

    for value in (First("fake"), other):
        with app.override({First: value}):
            async with app.scope() as scope:
                assert (await scope.get(First)).parts[0] in ("fake", "other")
                assert await scope.get(First) is await scope.get(First)
    async with app.scope() as scope:
        assert (await scope.get(First)).parts == ("real",)


async def test_an_error_while_a_scope_closes_is_raised() -> None:
    app = App()

    @app.resource(scope="request")
    async def first() -> AsyncIterator[First]:
        yield First()
        raise RuntimeError("of the commit")

    with pytest.raises(RuntimeError, match="of the commit"):
        async with app.scope() as scope:
            await scope.get(First)


async def test_a_resource_that_is_not_open_says_so() -> None:
    app = App()

    @app.resource
    async def first() -> First:
        return First()

    @app.get("/")
    async def handler(first: First) -> None: ...

    async with app.opened():
        app.providers.instances.clear()
        reply = await ask(app)
        assert "is not open" in str(reply.error)


async def test_there_is_nothing_to_receive_without_a_request() -> None:
    request = _no_request(App().execution)
    for use in (request.receive(), request.send({})):
        with pytest.raises(UsageError, match="no request here"):
            await use
