"""One callable has one name, wherever it is found."""

from __future__ import annotations

import linecache
import queue
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tidegate.bridge.guard.names import (
    call_in_progress,
    name_of,
    name_of_frame,
    names_below,
    refuses_to_wait,
)


class Cursor(sqlite3.Cursor):
    """Of an application."""


class Looker:
    """Is called, and looks at its caller; ``sight`` keeps what it found."""

    def __init__(self, look: Callable[[FrameType], Any]) -> None:
        self.look = look
        self.sight: Any = None

    def acquire(self, *args: object, **kwargs: object) -> None:
        self.sight = self.look(sys._getframe(1))

    class Inner:
        """Has no source of its own."""


def name_of_this() -> str:
    return name_of_frame(sys._getframe())


@pytest.mark.parametrize(
    ("function", "receiver", "name"),
    [
        (time.sleep, 0.1, "time.sleep"),
        (open, "file", "io.open"),
        (socket.getaddrinfo, "host", "socket.getaddrinfo"),
        (sqlite3.connect, ":memory:", "sqlite3.connect"),
        (threading.Lock().acquire, None, "threading.lock.acquire"),
        (queue.SimpleQueue().get, None, "queue.SimpleQueue.get"),
        (queue.Queue().get, None, "queue.Queue.get"),
        (queue.Queue.get, queue.Queue(), "queue.Queue.get"),
        (Looker.Inner, None, f"{__name__}.Looker.Inner"),
        (3, None, ""),
    ],
)
def test_callables_have_public_names(function: Any, receiver: Any, name: str) -> None:
    assert name_of(function, receiver) == name


def test_a_method_is_named_by_the_class_that_defines_it() -> None:
    connection = sqlite3.connect(":memory:")
    cursor = connection.cursor(Cursor)
    assert name_of(cursor.execute) == "sqlite3.Cursor.execute"
    assert name_of(sqlite3.Cursor.execute, cursor) == "sqlite3.Cursor.execute"
    connection.close()
    with socket.socket() as client:
        assert name_of(client.recv) == "socket.socket.recv"
        assert name_of(socket.socket.recv, client) == "socket.socket.recv"


def test_a_frame_has_the_name_of_its_function() -> None:
    assert name_of_this() == f"{__name__}.name_of_this"
    assert name_of_this() == name_of(name_of_this)


def test_a_call_in_progress_is_read_from_the_line() -> None:
    lock = Looker(call_in_progress)
    holder: Any = type("Holder", (), {})()
    holder.lock = lock
    name = f"{__name__}.Looker.acquire"
    lock.acquire()
    assert lock.sight == name
    holder.lock.acquire(
        1,
        "ä",
    )
    assert lock.sight == name
    ("ä", lock.acquire(), "ö")
    assert lock.sight == name
    acquire = lock.acquire
    acquire()
    assert lock.sight == name


def test_a_call_that_cannot_be_read_has_no_name() -> None:
    lock = Looker(call_in_progress)
    [lock][0].acquire()
    assert lock.sight == ""
    repr(lock).join("").format(lock.acquire())
    assert lock.sight == f"{__name__}.Looker.acquire"

    def made() -> Looker:
        return lock

    lock.sight = None
    made().acquire()
    assert lock.sight == ""
    code = compile("lock.acquire()", "<nowhere>", "exec")
    exec(code, {"lock": lock})
    assert lock.sight == ""


def test_reading_a_call_runs_no_code_of_the_application() -> None:
    class Trap:
        @property
        def lock(self) -> Looker:
            reached.append(1)
            return lock

        def __getattr__(self, name: str) -> Looker:
            reached.append(2)
            return lock

    reached: list[int] = []
    lock = Looker(call_in_progress)
    trap = Trap()
    trap.lock.acquire()
    trap.other.acquire()
    assert reached == [1, 2]
    assert lock.sight == ""


@pytest.mark.parametrize(
    ("arguments", "refuses"),
    [
        ("", False),
        ("True", False),
        ("False", True),
        ("0", True),
        ("no", True),
        ("yes", False),
        ("blocking=False", True),
        ("block=no", True),
        ("timeout=0", True),
        ("timeout=1", False),
        ("*[False]", False),
    ],
)
def test_a_call_that_does_not_wait_is_told_by_its_arguments(arguments: str, refuses: bool) -> None:
    source = f"lock.acquire({arguments})"
    name = f"<{source}>"
    linecache.cache[name] = (len(source), None, [source], name)
    lock = Looker(refuses_to_wait)
    exec(compile(source, name, "exec"), {"lock": lock, "no": False, "yes": True})
    assert lock.sight is refuses


def test_what_is_not_a_call_does_not_refuse_to_wait() -> None:
    class Lock:
        def __enter__(self) -> None:
            self.sight = refuses_to_wait(sys._getframe(1))

        def __exit__(self, *exception: object) -> None:
            pass

    with Lock() as _, Lock() as _:
        pass
    lock = Lock()
    with lock:
        pass
    assert lock.sight is False


def test_names_below_go_from_the_line_to_where_it_stands() -> None:
    def outer() -> None:
        inner()

    def inner() -> None:
        lock.acquire()

    def look(frame: FrameType) -> list[str]:
        assert frame.f_back is not None
        return list(names_below([frame.f_back, frame]))

    lock = Looker(look)
    outer()
    here = test_names_below_go_from_the_line_to_where_it_stands.__qualname__
    assert lock.sight == [f"{__name__}.{here}.<locals>.inner", f"{__name__}.Looker.acquire"]
