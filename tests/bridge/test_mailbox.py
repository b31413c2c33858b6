from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tidegate.bridge.mailbox import Mailbox, mailbox_of

NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Counting:
    """A loop that counts how often it is woken."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.wakes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loop, name)

    def call_soon_threadsafe(self, callback: Callable[..., object]) -> None:
        self.wakes += 1
        self.loop.call_soon_threadsafe(callback)


async def test_calls_from_many_threads_all_arrive_each_threads_in_order() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    got: list[tuple[int, int]] = []
    everything = asyncio.Event()

    def receive(thread: int, number: int) -> None:
        got.append((thread, number))
        if len(got) == 4 * 2000:
            everything.set()

    def send(thread: int) -> None:
        for number in range(2000):
            mailbox.post(receive, thread, number)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    await everything.wait()
    for thread in threads:
        thread.join()
    for n in range(4):
        assert [number for thread, number in got if thread == n] == list(range(2000))


async def test_a_burst_wakes_the_loop_once() -> None:
    loop = Counting(asyncio.get_running_loop())
    mailbox = Mailbox(loop)  # type: ignore[arg-type]
    got: list[int] = []
    for number in range(100):
        mailbox.post(got.append, number)
    await asyncio.sleep(0)
    assert got == list(range(100))
    mailbox.post(got.append, 100)
    await asyncio.sleep(0)
    assert got[-1] == 100
    assert loop.wakes == 2


async def test_what_a_call_posts_waits_for_the_next_turn() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    order: list[str] = []

    def first() -> None:
        order.append("first")
        mailbox.post(order.append, "third")

    mailbox.post(first)
    asyncio.get_running_loop().call_soon(order.append, "second")
    while len(order) < 3:
        await asyncio.sleep(0)
    assert order == ["first", "second", "third"]


async def test_a_call_that_fails_is_reported_and_the_next_one_made() -> None:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(loop)
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    got: list[int] = []
    mailbox.post(lambda: 1 // 0)
    mailbox.post(got.append, 1)
    while not got:
        await asyncio.sleep(0)
    assert isinstance(reports[0]["exception"], ZeroDivisionError)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_call_that_ends_the_run_of_the_loop_loses_no_other(
    new_loop: NewLoop, error: type[BaseException]
) -> None:
    def fail() -> None:
        raise error

    loop = new_loop()
    mailbox = Mailbox(loop)
    got: list[int] = []
    mailbox.post(fail)
    mailbox.post(got.append, 1)
    with pytest.raises(error):
        loop.run_forever()
    loop.run_until_complete(asyncio.sleep(0))
    assert got == [1]
    loop.close()


def test_posting_to_a_closed_loop_does_nothing_and_says_so(new_loop: NewLoop) -> None:
    loop = new_loop()
    mailbox = Mailbox(loop)
    got: list[int] = []
    assert mailbox.post(got.append, 1) is True
    loop.close()
    assert mailbox.post(got.append, 2) is False
    assert got == []
    assert not mailbox._calls


def test_a_loop_that_closes_between_the_look_and_the_wake_is_no_error(new_loop: NewLoop) -> None:
    class Closing(Counting):
        def is_closed(self) -> bool:
            return False

    loop = new_loop()
    loop.close()
    mailbox = Mailbox(Closing(loop))  # type: ignore[arg-type]
    assert mailbox.post(print) is False


def test_a_loop_has_one_mailbox_that_goes_when_it_is_closed(new_loop: NewLoop) -> None:
    one, two = new_loop(), new_loop()
    mailbox = mailbox_of(one)
    assert mailbox_of(one) is mailbox
    one.close()
    assert mailbox_of(two) is not mailbox
    assert mailbox_of(one) is not mailbox
    two.close()
