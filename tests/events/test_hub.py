"""Who is in a room gets what is published to it, and a slow one slows nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tidegate import ClientDisconnected, Hub, UsageError
from tidegate.events import hub as module
from tidegate.events.hub import SlowConsumer, message_id


class Listener:
    """A receiver that notes what it gets, once it may."""

    def __init__(self, stuck: bool = False) -> None:
        self.got: list[Any] = []
        self.closed: tuple[int, str] | None = None
        self.may = asyncio.Event()
        if not stuck:
            self.may.set()

    async def send(self, message: Any) -> None:
        await self.may.wait()
        self.got.append(message)


class Closable(Listener):
    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def test_all_in_a_room_get_a_message_and_nobody_else() -> None:
    hub = Hub()
    here, too, elsewhere = Listener(), Listener(), Listener()
    async with hub.join("a", here), hub.join("a", too), hub.join("b", elsewhere):
        assert (hub.members("a"), hub.members("b"), hub.members("c")) == (2, 1, 0)
        assert await hub.publish("a", "hello") == 2
        assert await hub.publish("c", "nobody") == 0
        await until(lambda: here.got and too.got)
    assert (here.got, too.got, elsewhere.got) == (["hello"], ["hello"], [])
    assert hub.members("a") == 0
    assert hub.metrics().published == 2
    assert hub.metrics().delivered == 2


async def test_a_thousand_members_get_every_message_in_order() -> None:
    hub = Hub()
    everybody = [Listener() for _ in range(1000)]
    before = asyncio.all_tasks()
    async with asyncio.timeout(50):
        opened = [hub.join("room", one, queue=10) for one in everybody]
        for one in opened:
            await one.__aenter__()
        for number in range(10):
            assert await hub.publish("room", number) == 1000
        await until(lambda: all(len(one.got) == 10 for one in everybody))
        for one in opened:
            await one.__aexit__(None, None, None)
    assert all(one.got == list(range(10)) for one in everybody)
    assert asyncio.all_tasks() == before
    assert hub.metrics().members == 0


async def test_a_slow_member_loses_the_oldest() -> None:
    hub = Hub()
    async with hub.join("a", slow := Listener(stuck=True), queue=2) as member:
        for number in range(10):
            await hub.publish("a", number)
        slow.may.set()
        await until(lambda: slow.got[-1:] == [9])
    assert slow.got[-2:] == [8, 9]
    assert member.dropped == 10 - len(slow.got)
    assert hub.metrics().dropped == member.dropped
    assert hub.metrics().delivered == len(slow.got)


async def test_a_slow_member_loses_the_newest() -> None:
    hub = Hub()
    slow = Listener(stuck=True)
    async with hub.join("a", slow, queue=2, overflow="drop_newest") as member:
        for number in range(10):
            await hub.publish("a", number)
        slow.may.set()
        await until(lambda: len(slow.got) + member.dropped == 10)
    assert slow.got == list(range(len(slow.got)))


async def test_a_slow_member_is_closed() -> None:
    hub = Hub()
    slow = Closable(stuck=True)
    async with hub.join("a", slow, queue=1, overflow="disconnect"):
        for number in range(4):
            await hub.publish("a", number)
        slow.may.set()
        await until(lambda: slow.closed)
        await until(lambda: not hub.members("a"))
    assert slow.closed == (1008, "too slow")


async def test_a_slow_receiver_that_cannot_be_closed_only_leaves() -> None:
    hub = Hub()
    slow = Listener(stuck=True)
    async with hub.join("a", slow, queue=1, overflow="disconnect"):
        for number in range(4):
            await hub.publish("a", number)
        slow.may.set()
        await until(lambda: not hub.members("a"))


async def test_publishers_wait_for_a_member_that_wants_all_and_keep_their_order() -> None:
    hub = Hub()
    slow, quick = Listener(stuck=True), Listener()
    async with (
        hub.join("a", slow, queue=1, overflow="block"),
        hub.join("a", quick, queue=100),
    ):
        tasks = [asyncio.create_task(hub.publish("a", number)) for number in range(20)]
        await until(lambda: len(quick.got) == 20)
        assert not all(task.done() for task in tasks)
        slow.may.set()
        await asyncio.gather(*tasks)
        await until(lambda: len(slow.got) == 20)
    assert slow.got == quick.got == list(range(20))


async def test_a_publisher_that_gives_up_delivers_nothing_more() -> None:
    hub = Hub()
    slow = Listener(stuck=True)
    async with hub.join("a", slow, queue=1, overflow="block"):
        await hub.publish("a", 0)
        await until(lambda: hub._rooms["a"].members)
        waiting = []
        for number in (1, 2, 3):
            waiting.append(asyncio.create_task(hub.publish("a", number)))
            for _ in range(5):
                await asyncio.sleep(0)
        blocked = next(task for task in waiting if not task.done())
        blocked.cancel()
        await asyncio.wait([blocked])
        slow.may.set()
        await asyncio.gather(*[task for task in waiting if task is not blocked])
        await until(lambda: len(slow.got) == 3)
    assert len(slow.got) == 3


async def test_a_member_that_leaves_frees_who_waits_for_it() -> None:
    hub = Hub()
    slow = Listener(stuck=True)
    async with asyncio.timeout(30):
        async with hub.join("a", slow, queue=1, overflow="block"):
            tasks = [asyncio.create_task(hub.publish("a", number)) for number in range(5)]
            for _ in range(5):
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("error", [ClientDisconnected("gone"), RuntimeError("of its own")])
async def test_a_member_that_cannot_be_sent_to_makes_nobody_wait(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub()

    class Broken:
        async def send(self, message: Any) -> None:
            raise error

    async with asyncio.timeout(30), hub.join("a", Broken(), queue=1, overflow="block"):
        for number in range(5):
            await hub.publish("a", number)
        await until(lambda: not hub.members("a"))
    assert ("Sending to a member of 'a' failed" in caplog.text) is isinstance(error, RuntimeError)


async def test_a_cancelled_member_leaves_nothing_behind() -> None:
    hub = Hub()
    inside = asyncio.Event()
    before = asyncio.all_tasks()

    async def stay() -> None:
        async with hub.join("a", Listener()):
            inside.set()
            await asyncio.Event().wait()

    async def listen() -> None:
        async for _ in hub.subscribe("a"):
            pass

    tasks = [asyncio.create_task(stay()), asyncio.create_task(listen())]
    await inside.wait()
    await until(lambda: hub.members("a") == 2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    tasks.clear()
    del task
    await until(lambda: hub.members("a") == 0)
    assert asyncio.all_tasks() == before


async def test_a_queue_holds_at_least_one_message() -> None:
    with pytest.raises(UsageError, match="at least one message"):
        Hub().subscribe("a", queue=0)


# Subscriptions.


async def test_a_subscription_begins_where_it_was_made() -> None:
    hub = Hub()
    await hub.publish("a", "before")
    subscription = hub.subscribe("a")
    await hub.publish("a", "after")
    assert await anext(subscription) == "after"
    assert hub.members("a") == 1
    await subscription.aclose()
    assert hub.members("a") == 0
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)


async def test_a_subscription_nobody_refers_to_has_left() -> None:
    hub = Hub()
    async for message in _published(hub, "x"):
        assert message == "x"
        break
    assert hub.members("a") == 0
    hub.subscribe("a")
    assert hub.members("a") == 0


def _published(hub: Hub, message: Any) -> Any:
    subscription = hub.subscribe("a")
    subscription._member.offer("1", message)
    return subscription


async def test_a_subscription_gives_only_messages_of_its_kind_and_their_ids() -> None:
    hub = Hub()
    subscription = hub.subscribe("a", int)
    for message in ("x", 1, "y", 2):
        await hub.publish("a", message)
    ids = []
    for expected in (1, 2):
        assert await anext(subscription) == expected
        ids.append(message_id.get())
    assert len(set(ids)) == 2


async def test_who_comes_back_gets_what_it_missed_and_nothing_twice() -> None:
    hub = Hub()
    first = hub.subscribe("a")
    for number in range(5):
        await hub.publish("a", number)
    assert [await anext(first) for _ in range(2)] == [0, 1]
    last = message_id.get()
    await first.aclose()
    await hub.publish("a", 5)
    second = hub.subscribe("a", after=last)
    await hub.publish("a", 6)
    assert [await anext(second) for _ in range(5)] == [2, 3, 4, 5, 6]
    third = hub.subscribe("a", str, after=last)
    await hub.publish("a", "x")
    assert await anext(third) == "x"


async def test_who_comes_back_too_late_gets_all_that_is_kept() -> None:
    hub = Hub(history=3)
    for number in range(10):
        await hub.publish("a", number)
    subscription = hub.subscribe("a", after="of another process")
    assert [await anext(subscription) for _ in range(3)] == [7, 8, 9]
    assert hub.subscribe("b", after="1")._missed == module.deque()


async def test_a_slow_subscription_may_ask_for_an_error() -> None:
    hub = Hub()
    subscription = hub.subscribe("a", queue=1, overflow="disconnect")
    for number in range(3):
        await hub.publish("a", number)
    with pytest.raises(SlowConsumer, match="did not keep up"):
        await anext(subscription)


async def test_empty_rooms_are_forgotten_from_the_longest_untouched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MAX_EMPTY_ROOMS", 2)
    hub = Hub()
    async with hub.join("full", Listener()):
        for room in ("a", "b", "a", "c"):
            await hub.publish(room, 1)
        assert list(hub._rooms) == ["full", "a", "c"]
    assert hub.metrics().rooms == 2


async def test_without_history_nothing_is_kept() -> None:
    hub = Hub(history=0)
    assert await hub.publish("a", 1) == 0
    subscription = hub.subscribe("a", after="1")
    await hub.publish("a", 2)
    assert await anext(subscription) == 2
    await subscription.aclose()
    assert hub.metrics().rooms == 0
