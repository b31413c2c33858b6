"""A supervisor and a worker call each other; whoever is gone keeps nobody waiting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tidegate.errors import ConfigError, TidegateError
from tidegate.server.channel import Channel, ChannelClosed


class Side:
    """One end, what it heard, and whether the other is gone."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.news = asyncio.Event()
        self.ended = asyncio.Event()
        self.channel = Channel(self.answer, self.ended.set)

    def answer(self, name: str, args: dict[str, Any]) -> Any:
        self.heard.append((name, args))
        self.news.set()
        if name == "refuse":
            raise ConfigError("not today")
        if name == "break":
            raise ZeroDivisionError("by zero")
        return self.later(args) if name == "later" else args

    async def later(self, args: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        return args["value"]


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Side, Side]]:
    loop = asyncio.get_running_loop()
    sides = (Side(), Side())
    for side, end in zip(sides, socket.socketpair(), strict=True):
        end.setblocking(False)
        await loop.create_connection(lambda side=side: side.channel, sock=end)
    try:
        yield sides
    finally:
        for side in sides:
            side.channel.close()
        await asyncio.gather(*(side.ended.wait() for side in sides))


async def test_either_side_calls_the_other_and_gets_the_answer() -> None:
    async with connected() as (one, other):
        assert await one.channel.call("echo", {"a": [1, "b"]}) == {"a": [1, "b"]}
        assert await other.channel.call("later", {"value": 7}) == 7
        calls = [one.channel.call("later", {"value": n}) for n in range(50)]
        assert await asyncio.gather(*calls) == list(range(50))


async def test_what_is_told_is_heard_and_not_answered() -> None:
    async with connected() as (one, other):
        one.channel.tell("beat", {"rss": 5})
        await other.news.wait()
        assert other.heard == [("beat", {"rss": 5})]


async def test_a_refusal_reaches_the_caller_with_its_reason() -> None:
    async with connected() as (one, _):
        with pytest.raises(TidegateError, match=r"^not today$"):
            await one.channel.call("refuse")
        with pytest.raises(TidegateError, match=r"ZeroDivisionError\('by zero'\)"):
            await one.channel.call("break")
        assert await one.channel.call("echo", {"still": "there"}) == {"still": "there"}


async def test_a_call_to_who_is_gone_fails_at_once() -> None:
    async with connected() as (one, other):
        waiting = asyncio.ensure_future(one.channel.call("later", {"value": 1}))
        await asyncio.sleep(0)
        other.channel.close()
        with pytest.raises(ChannelClosed):
            await waiting
        with pytest.raises(ChannelClosed):
            await one.channel.call("echo")
        one.channel.tell("beat")  # nobody hears it, and nothing happens


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    async with connected() as (one, other):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await one.channel.call("later", {"value": 1})
        assert await one.channel.call("echo", {"next": 2}) == {"next": 2}
        assert [name for name, _ in other.heard][-1] == "echo"
