"""Each request to stop is more urgent than the one before, if it comes from a keyboard."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from tidegate.server.signals import Stop
from tidegate.testing.peer import turns


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def nothing() -> None:
    pass


async def failing() -> None:
    raise ZeroDivisionError


async def test_nobody_has_asked_at_first() -> None:
    stop = Stop()
    assert stop.urgency == 0
    waiting = asyncio.ensure_future(stop.until(1))
    await turns()
    assert not waiting.done()
    stop.request()
    await waiting


async def test_sigterm_repeated_adds_nothing() -> None:
    stop = Stop()
    for _ in range(3):
        stop.request(signal.SIGTERM)
    assert stop.urgency == 1


async def test_every_sigint_insists() -> None:
    stop = Stop()
    stop.request(signal.SIGTERM)
    stop.request(signal.SIGINT)
    stop.request(signal.SIGINT)
    assert stop.urgency == 3


async def test_only_those_who_wait_for_this_urgency_are_woken() -> None:
    stop = Stop()
    first, second = (asyncio.ensure_future(stop.until(urgency)) for urgency in (1, 2))
    await turns()
    stop.request(signal.SIGINT)
    await turns()
    assert first.done()
    assert not second.done()
    stop.request(signal.SIGINT)
    await second


async def test_who_comes_late_does_not_wait() -> None:
    stop = Stop()
    stop.request()
    async with asyncio.timeout(1):
        await stop.until(1)


async def test_another_thread_may_ask() -> None:
    stop = Stop()
    thread = threading.Thread(target=stop.request)
    thread.start()
    await stop.until(1)
    thread.join()


async def test_work_that_is_done_before_anybody_asks_is_done() -> None:
    stop = Stop()
    assert await stop.unless(1, nothing()) is True


async def test_work_is_cancelled_when_somebody_asks() -> None:
    stop = Stop()
    work = asyncio.ensure_future(for_ever())
    waiting = asyncio.ensure_future(stop.unless(1, work))
    await turns()
    stop.request()
    assert await waiting is False
    assert work.cancelled()


async def test_what_goes_wrong_in_the_work_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await Stop().unless(1, failing())


async def test_who_waits_and_is_cancelled_cancels_the_work() -> None:
    work = asyncio.ensure_future(for_ever())
    waiting = asyncio.ensure_future(Stop().unless(1, work))
    await turns()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert work.cancelled()


async def test_a_waiter_that_was_cancelled_is_not_woken() -> None:
    stop = Stop()
    waiting = asyncio.ensure_future(stop.until(1))
    await turns()
    stop.request()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert stop.urgency == 1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_signals_ask_while_we_listen_and_not_after(signum: signal.Signals) -> None:
    stop = Stop()
    before = signal.getsignal(signum)
    with stop.listening():
        os.kill(os.getpid(), signum)
        async with asyncio.timeout(5):
            await stop.until(1)
        assert signal.getsignal(signum) != before
    assert signal.getsignal(signum) == before


async def test_the_fourth_sigint_breaks_into_whatever_hangs() -> None:
    stop = Stop()
    for _ in range(3):
        stop._handle(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        stop._handle(signal.SIGINT, None)


async def test_signals_are_left_alone_outside_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    async def in_thread() -> None:
        with Stop().listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=lambda: asyncio.run(in_thread()))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert seen == [before]


def test_a_request_after_the_loop_has_ended_does_no_harm() -> None:
    async def make() -> Stop:
        return Stop()

    stop = asyncio.run(make())
    stop.request()
    assert stop.urgency == 1
