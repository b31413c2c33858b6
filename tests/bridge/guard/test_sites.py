"""Call sites of what blocks are found at their first call, however short it is."""

from __future__ import annotations

import asyncio
import queue
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bridge.guard.watching import Log, logged

from tidegate.bridge.guard import BlockingCall, Guard, GuardSettings
from tidegate.bridge.guard.blocking import BlockingCalls

if sys.version_info < (3, 12):
    pytest.skip("needs sys.monitoring", allow_module_level=True)


@pytest.fixture
def log() -> Iterator[Log]:
    with logged() as log:
        yield log


async def sites_of(function: Callable[[], object], **settings: Any) -> list[BlockingCall]:
    """Call it under a guard, twice, and return what was found in this file."""
    guard = Guard(asyncio.get_running_loop(), GuardSettings(sites=True, **settings))
    guard.start()
    try:
        function()
        function()
    finally:
        guard.stop()
    return [site for site in guard.sites() if site.file == __file__]


def naps() -> None:
    time.sleep(0)  # takes no time at all


async def test_a_call_that_took_no_time_is_found_once(log: Log) -> None:
    (site,) = await sites_of(naps)
    assert site == BlockingCall(
        __file__,
        naps.__code__.co_firstlineno + 1,
        "naps",
        "time.sleep(0)  # takes no time at all",
        "time.sleep",
        "time.sleep -> asyncio.sleep",
    )
    found = [text for text in log.messages if text.startswith("Blocking call")]
    assert len(found) == 1
    assert "in naps(): time.sleep(0)" in found[0]


async def test_a_site_is_judged_once_and_costs_nothing_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged = []
    find = BlockingCalls.find

    def counting(self: BlockingCalls, frame: Any, function: Any, receiver: Any) -> Any:
        judged.append(frame.f_code)
        return find(self, frame, function, receiver)

    monkeypatch.setattr(BlockingCalls, "find", counting)
    await sites_of(naps)
    assert judged.count(naps.__code__) == 1


async def test_a_second_run_finds_the_same_sites() -> None:
    assert await sites_of(naps) == await sites_of(naps) != []


async def test_a_call_in_a_thread_is_none_on_the_loop_and_does_not_hide_one() -> None:
    guard = Guard(asyncio.get_running_loop(), GuardSettings(sites=True))
    guard.start()
    await asyncio.get_running_loop().run_in_executor(None, naps)
    elsewhere = guard.sites()
    naps()
    guard.stop()
    assert elsewhere == []
    assert [site.function for site in guard.sites()] == ["naps"]


def free_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(False)
    lock.acquire(blocking=False)


def waiting() -> None:
    event = threading.Event()
    event.set()
    event.wait()
    event.wait(0)


def takes() -> None:
    box: queue.SimpleQueue[int] = queue.SimpleQueue()
    box.put(1)
    box.get()


def quiet_socket() -> None:
    with socket.socket() as client:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", 1))


def loud_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())


def queries() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("select 1")
    connection.close()


async def coroutine() -> None:
    pass


coroutine.__module__, coroutine.__qualname__ = "requests.api", "get"


def starts_a_coroutine() -> None:
    coroutine().close()


def get() -> None:
    pass


get.__module__ = "requests.api"


def calls_a_library() -> None:
    get()


def reads_a_file() -> None:
    Path(__file__).read_bytes()


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        (free_lock, []),
        (waiting, ["threading.Event.wait"]),
        (takes, ["queue.SimpleQueue.get"]),
        (quiet_socket, []),
        (loud_socket, ["socket.socket.connect"]),
        (queries, ["sqlite3.connect", "sqlite3.Connection.execute"]),
        (starts_a_coroutine, []),
        (calls_a_library, ["requests.api.get"]),
        (reads_a_file, []),
    ],
)
async def test_only_calls_that_can_block_are_found(
    function: Callable[[], object], calls: list[str]
) -> None:
    assert [site.call for site in await sites_of(function)] == calls


async def test_files_count_if_asked_for() -> None:
    (site,) = await sites_of(reads_a_file, files=True)
    assert site.function == "reads_a_file"
    assert site.call.startswith("pathlib.")


async def test_without_a_free_tool_the_log_says_so(log: Log) -> None:
    monitoring = sys.monitoring
    taken = [tool for tool in (3, 4) if monitoring.get_tool(tool) is None]
    for tool in taken:
        monitoring.use_tool_id(tool, "test")
    try:
        assert await sites_of(naps) == []
    finally:
        for tool in taken:
            monitoring.free_tool_id(tool)
    assert log.holds("other tools use up sys.monitoring") is not None


async def test_nothing_is_left_behind() -> None:
    await sites_of(naps)
    assert all("tidegate" not in (sys.monitoring.get_tool(tool) or "") for tool in range(6))


async def test_a_call_that_cannot_be_judged_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: BlockingCalls, frame: Any, function: Any, receiver: Any) -> Any:
        raise ValueError("not today")

    monkeypatch.setattr(BlockingCalls, "find", fails)
    assert await sites_of(naps) == []
