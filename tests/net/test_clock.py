"""One timer for all: the Date field, the server's own fields, and every deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.exchange.service import Policy, Service
from tidegate.http import field
from tidegate.net.clock import NEVER, Clock
from tidegate.testing.peer import Peer

from .applications import hello, respond

SERVER = field(b"server", b"tidegate")


class HandTurnedLoop:
    """As much of an event loop as a clock needs; its time is an attribute."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        timer = (when, callback)
        self.timers.append(timer)
        return Cancellable(lambda: self.timers.remove(timer))

    def get_debug(self) -> bool:
        return False

    def get_task_factory(self) -> object:
        return object()


class Cancellable:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel


class Sleeper:
    """Something with a deadline that keeps when it was called."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.woken: list[float] = []

    def on_deadline(self, now: float) -> None:
        self.deadline = NEVER
        self.woken.append(now)


def make(*fields: Any, date: bool = True) -> tuple[HandTurnedLoop, Clock, Service]:
    loop = HandTurnedLoop()
    service = Service(hello, Policy(), cast(asyncio.AbstractEventLoop, loop))
    wall_time = lambda: 784111777 + loop.now - 1000  # noqa: E731  # RFC 9110's example
    return loop, Clock(service, fields, date, wall_time), service


def test_the_clock_ticks_once_a_second() -> None:
    loop, clock, _ = make()
    clock.start()
    for second in range(1, 4):
        ((when, tick),) = loop.timers
        assert when == 1000 + second
        loop.now = when
        loop.timers.clear()
        tick()
        assert clock.now == when


def test_a_clock_that_was_stopped_ticks_no_more() -> None:
    loop, clock, _ = make()
    clock.start()
    clock.stop()
    assert loop.timers == []
    clock.stop()


def test_a_tick_that_comes_late_does_not_lose_time() -> None:
    loop, clock, _ = make()
    clock.start()
    loop.now = 1007.5
    clock.tick()
    assert clock.now == 1007.5


def test_the_date_is_renewed_with_every_tick() -> None:
    loop, clock, service = make()
    clock.start()
    assert service.defaults.lines == b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    clock.advance(1)
    first = service.defaults
    loop.now += 1
    clock.tick()
    assert service.defaults is not first
    assert service.defaults.lines == b"date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"


def test_the_servers_own_fields_follow_the_date() -> None:
    _, clock, service = make(SERVER)
    clock.start()
    assert [one.name for one in service.defaults.fields] == [b"date", b"server"]


def test_the_date_can_be_left_out() -> None:
    _, clock, service = make(SERVER, date=False)
    clock.start()
    assert service.defaults.lines == b"server: tidegate\r\n"


def test_nothing_is_added_when_nothing_is_wanted() -> None:
    _, clock, service = make(date=False)
    clock.start()
    assert service.defaults.lines == b""


def test_only_those_whose_deadline_has_passed_are_called() -> None:
    _, clock, _ = make()
    early, late, never = Sleeper(1005), Sleeper(1010), Sleeper(NEVER)
    clock.watched.update({early, late, never})
    clock.advance(4.5)
    assert early.woken == []
    clock.advance(0.5)
    assert early.woken == [1005]
    clock.advance(100)
    assert early.woken == [1005]
    assert late.woken == [1105]
    assert never.woken == []


def test_one_that_is_called_may_stop_watching_others() -> None:
    _, clock, _ = make()
    others = {Sleeper(NEVER) for _ in range(3)}

    class Last(Sleeper):
        def on_deadline(self, now: float) -> None:
            super().on_deadline(now)
            clock.watched.clear()

    last = Last(1001)
    clock.watched.update(others, {last})
    clock.advance(1)
    assert last.woken == [1001]
    assert clock.watched == set()


async def test_a_real_loop_takes_the_time_from_the_clock() -> None:
    loop = asyncio.get_running_loop()
    clock = Clock(Service(hello, Policy(), loop))
    clock.start()
    assert abs(clock.now - loop.time()) < 1
    clock.stop()


# What responses carry.


def names(peer: Peer) -> list[str]:
    return [name for name, _ in peer.response().headers]


def with_fields(peer: Peer, **settings: Any) -> Peer:
    """Give the peer's server fields of its own."""
    peer.clock = Clock(peer.service, **settings)
    peer.clock.advance(0)
    return peer


async def test_responses_carry_the_servers_fields_before_the_applications() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, headers=[(b"x-own", b"1")])

    peer = with_fields(Peer(application), fields=[SERVER, field(b"x-default", b"2")])
    response = await peer.get()
    assert names(peer) == ["date", "server", "x-default", "x-own", "content-length"]
    assert response.header("server") == "tidegate"


async def test_refusals_carry_the_servers_fields_too() -> None:
    peer = with_fields(Peer(hello), fields=[SERVER])
    await peer.send(b"nonsense\r\n\r\n")
    assert {"date", "server"} <= set(names(peer))


@pytest.mark.parametrize("name", ["date", "server", "Date", "SERVER"])
async def test_the_applications_own_date_and_server_replace_ours(name: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, headers=[(name.encode(), b"mine")])

    peer = with_fields(Peer(application), fields=[SERVER])
    response = await peer.get()
    assert [value for key, value in response.headers if key == name.lower()] == ["mine"]
    assert {"date", "server"} <= set(names(peer))


async def test_responses_in_the_same_second_carry_the_same_date() -> None:
    moment = 784111777.0
    peer = with_fields(Peer(hello), wall_time=lambda: moment)
    assert (await peer.get()).header("date") == "Sun, 06 Nov 1994 08:49:37 GMT"
    moment += 1
    assert (await peer.get()).header("date") == "Sun, 06 Nov 1994 08:49:37 GMT"
    peer.clock.advance(1)
    assert (await peer.get()).header("date") == "Sun, 06 Nov 1994 08:49:38 GMT"
