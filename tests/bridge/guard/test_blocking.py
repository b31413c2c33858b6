"""Whether one call blocks is judged by what it calls, and by what that is called on."""

from __future__ import annotations

import queue
import socket
import sys
import threading
import time
from typing import Any

import pytest

from tidegate.bridge.guard import blocking as module
from tidegate.bridge.guard.blocking import BlockingCall, BlockingCalls
from tidegate.bridge.guard.frames import Origins


class NonBlocking(socket.socket):
    def gettimeout(self) -> float:
        return 0.0


class Closed(socket.socket):
    def gettimeout(self) -> float:
        raise OSError("closed")


def judged(function: Any, receiver: Any = None, files: bool = False) -> str | None:
    found = BlockingCalls(files).find(sys._getframe(), function, receiver)
    return found and found[0]


async def coroutine() -> None:
    pass


coroutine.__module__, coroutine.__qualname__ = "requests.api", "get"


def test_a_listed_callable_blocks_and_another_does_not() -> None:
    assert judged(time.sleep, 0.1) == "time.sleep"
    assert judged(time.monotonic) is None
    assert judged(coroutine) is None
    assert judged(3) is None


def test_files_block_only_if_they_count() -> None:
    assert judged(open) is None
    assert judged(open, files=True) == "io.open"


def test_a_socket_blocks_unless_it_has_no_time() -> None:
    with socket.socket() as waits, NonBlocking() as never, Closed() as closed:
        assert judged(waits.recv) == "socket.socket.recv"
        assert judged(socket.socket.recv, waits) == "socket.socket.recv"
        assert judged(never.recv) is None
        assert judged(closed.recv) is None


def test_a_lock_blocks_while_it_is_held() -> None:
    lock = threading.Lock()
    assert judged(lock.acquire) is None
    with lock:
        assert judged(lock.acquire) == "threading.lock.acquire"
    assert judged(queue.Queue.get, queue.Queue()) == "queue.Queue.get"


def test_a_call_that_refuses_to_wait_does_not_block() -> None:
    def get(block: bool) -> str | None:
        # Stands for the call in progress in the frame above.
        found = BlockingCalls().find(sys._getframe(1), queue.Queue.get, queue.Queue())
        return found and found[0]

    assert get(True) == "queue.Queue.get"
    assert get(False) is None
    assert get(block=False) is None


def kept(calls: BlockingCalls, name: str = "time.sleep") -> BlockingCall | None:
    row = calls.known(name)
    assert row is not None
    return calls.note(sys._getframe(1), name, row)


def test_a_line_is_kept_once_and_is_news_once() -> None:
    calls = BlockingCalls()
    for expected in (1, 1):
        news = kept(calls)
        assert len(calls.report()) == expected
    assert news is None
    (call,) = calls.report()
    place = f"{__file__}:{call.line} in test_a_line_is_kept_once_and_is_news_once()"
    assert str(call) == f"{place}: news = kept(calls)"
    assert (call.call, call.advice) == ("time.sleep", "time.sleep -> asyncio.sleep")


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_LINES", 1)
    calls = BlockingCalls()
    assert kept(calls) is not None
    assert kept(calls) is None
    assert len(calls.report()) == 1


def test_what_is_no_application_of_ours_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Origins, "is_application", lambda self, frame: False)
    assert kept(BlockingCalls()) is None


def test_the_start_of_a_thread_is_no_blocking_call() -> None:
    """It waits until the thread runs, which is no time."""
    space: dict[str, Any] = {"__name__": "threading", "kept": kept, "calls": BlockingCalls()}
    source = "class Thread:\n    def start(self):\n        return kept(calls)"
    exec(compile(source, threading.__file__, "exec"), space)
    assert space["Thread"]().start() is None


def test_a_line_without_source_is_named_by_its_call() -> None:
    call = BlockingCall("shop.py", 7, "view", "", "time.sleep", "")
    assert str(call) == "shop.py:7 in view(): time.sleep"
