"""A guard on a real loop and its thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import pytest
from tests.bridge.guard.watching import SECONDS, Log, logged

from tidegate.bridge.guard import Guard, GuardSettings, Pace
from tidegate.bridge.guard.frames import request_of
from tidegate.errors import UsageError

# Whatever is looked at twice is a stall: so nothing depends on how long it took.
AT_ONCE = Pace(threshold=1e-6, poll=0.005)


@pytest.fixture
def log() -> Iterator[Log]:
    with logged() as log:
        yield log


class Trigger:
    """Lets code block until the guard has looked at it."""

    def __init__(self) -> None:
        self.seen = threading.Event()

    def request_of(self, stack: list[FrameType]) -> str | None:
        if any(frame.f_code is blocking.__code__ for frame in stack):
            self.seen.set()
        return request_of(stack)


def blocking(trigger: Trigger) -> None:
    assert trigger.seen.wait(SECONDS)


async def application(scope: dict[str, str], trigger: Trigger) -> None:
    blocking(trigger)


async def turned(guard: Guard) -> None:
    """Let the loop turn until the guard has noticed."""
    before = len(guard.report())
    for _ in range(100_000):
        await asyncio.sleep(0)
        if len(guard.report()) > before:
            break


def guards() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "tidegate-guard"]


async def test_a_line_that_blocks_is_reported_with_what_to_write_instead(log: Log) -> None:
    trigger = Trigger()
    guard = Guard(asyncio.get_running_loop(), GuardSettings(AT_ONCE), trigger.request_of)
    guard.start()
    # Again if the guard saw more of something else: a machine may be that slow.
    for _ in range(100):
        trigger.seen.clear()
        await application({"type": "http", "method": "GET", "path": "/slow"}, trigger)
        await turned(guard)
        if log.holds(r"in blocking\(\)"):
            break
    guard.stop()
    (stall,) = [stall for stall in guard.report() if stall.function == "blocking"]
    assert stall.file == __file__
    assert stall.line == blocking.__code__.co_firstlineno + 1
    assert stall.code == "assert trigger.seen.wait(SECONDS)"
    assert stall.call == "threading.Event.wait"
    assert stall.advice == "threading.Event.wait -> asyncio.Event"
    assert "threading.py" in stall.innermost
    assert stall.request == "GET /slow"
    assert stall.count >= 1
    assert stall.seconds > 0


async def test_a_loop_that_never_turns_again_gets_all_its_threads_logged(log: Log) -> None:
    pace = Pace(threshold=1e-6, poll=0.005, alarm=0.01)
    guard = Guard(asyncio.get_running_loop(), GuardSettings(pace))
    guard.start()
    text = log.wait_for("and counting; all threads")
    guard.stop()
    assert "Thread tidegate-guard:" in text
    assert "Thread MainThread:" in text
    assert "log.wait_for" in text


async def test_a_guard_starts_once_at_a_time_and_stops_as_often_as_you_like() -> None:
    before = len(guards())
    guard = Guard(asyncio.get_running_loop())
    guard.stop()
    guard.start()
    with pytest.raises(UsageError, match="the guard is running"):
        guard.start()
    assert len(guards()) == before + 1
    guard.stop()
    guard.stop()
    guard.start()
    guard.stop()
    assert len(guards()) == before
    assert guard.report() == []
    assert guard.sites() == []


@pytest.mark.parametrize("looks_first", [True, False])
def test_a_guard_ends_quietly_with_its_loop(
    new_loop: Callable[[], asyncio.AbstractEventLoop], log: Log, looks_first: bool
) -> None:
    loop = new_loop()
    before = guards()
    trigger = Trigger()
    Guard(loop, GuardSettings(AT_ONCE), trigger.request_of).start()
    (thread,) = [each for each in guards() if each not in before]
    if looks_first:
        blocking(trigger)
    loop.close()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert log.holds("failed") is None


async def test_a_guard_that_fails_says_that_it_no_longer_watches(log: Log) -> None:
    def fails(stack: list[FrameType]) -> str:
        raise ValueError("not today")

    guard = Guard(asyncio.get_running_loop(), GuardSettings(AT_ONCE), fails)
    guard.start()
    log.wait_for("The guard of the event loop failed; it no longer watches")
    guard.stop()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="has sys.monitoring")
async def test_watching_call_sites_without_sys_monitoring_says_what_it_needs(log: Log) -> None:
    guard = Guard(asyncio.get_running_loop(), GuardSettings(sites=True))
    guard.start()
    guard.stop()
    assert log.holds("needs Python 3.12, this is 3.11") is not None
