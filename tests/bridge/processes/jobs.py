"""Functions that tests of pools run in worker processes."""

from __future__ import annotations

import contextvars
import ctypes
import fcntl
import functools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from tidegate.bridge.processes import trace_id
from tidegate.bridge.processes.shared import Segment
from tidegate.bridge.processes.worker import Worker

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
language: contextvars.ContextVar[str] = contextvars.ContextVar("language", default="none")
secret: contextvars.ContextVar[str] = contextvars.ContextVar("secret", default="not seen")
not_a_variable = 3

calls_of_this_worker = 0
set_up: list[int] = []


def add(first: int, second: int = 0) -> int:
    return first + second


def pid() -> int:
    return os.getpid()


def same(value: Any) -> Any:
    return value


def checksum(data: bytes) -> int:
    return sum(data[::4096])


def zeros(size: int) -> bytes:
    return bytes(size)


def fail(text: str) -> NoReturn:
    raise ValueError(text)


class Picky(Exception):
    """Takes another number of arguments than it hands on."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def fail_pickily() -> NoReturn:
    raise Picky("one", "two")


def fail_with_a_lock() -> NoReturn:
    raise ValueError("has a lock", threading.Lock())


def raise_stop_iteration() -> NoReturn:
    raise StopIteration(1)


def time_out() -> NoReturn:
    raise TimeoutError("of the job")


def leave() -> NoReturn:
    sys.exit(3)


def a_lock() -> Any:
    return threading.Lock()


class Unreadable:
    """Can be pickled and not unpickled."""

    def __reduce__(self) -> Any:
        return fail, ("unreadable",)


def unreadable() -> Unreadable:
    return Unreadable()


def die(code: int) -> None:
    os._exit(code)


def kill_yourself(signum: int) -> None:
    os.kill(os.getpid(), signum)
    threading.Event().wait()


def segfault() -> None:
    ctypes.string_at(0)


def die_once(marker: str) -> str:
    """End the worker, unless it was ended before."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return "survived"
    os._exit(9)


def block(port: int = 0) -> None:
    """Say that this runs, by connecting to a port, and never end."""
    if port:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(str(os.getpid()).encode() + b"\n")
    threading.Event().wait()


def wait_for_word(port: int) -> str:
    """Say that this runs, and end with the word that comes back."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(str(os.getpid()).encode() + b"\n")
        return connection.recv(100).decode()


def spin(port: int) -> None:
    """Say that this runs, and compute for ever."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(str(os.getpid()).encode() + b"\n")
    while True:
        pass


def block_with_child(port: int) -> None:
    """Start a program that outlives this process, and tell its number."""
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(str(child.pid).encode() + b"\n")
    child.wait()


def die_with_a_fork_alive(port: int) -> None:
    """Leave behind a child that holds everything open."""
    if os.fork() == 0:
        threading.Event().wait()
    os._exit(4)


def interrupt_yourself() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    return "still here"


def process_group() -> int:
    return os.getpgrp()


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def search_path() -> list[str]:
    return sys.path


def count() -> int:
    global calls_of_this_worker
    calls_of_this_worker += 1
    return calls_of_this_worker


hoard: list[bytearray] = []


def grow(size: int) -> int:
    hoard.append(bytearray(b"x") * size)
    return os.getpid()


def note_setup() -> None:
    set_up.append(os.getpid())
    language.set("of the setup")


def setup_calls() -> list[int]:
    return set_up


def bad_setup() -> None:
    raise RuntimeError("no database")


def die_in_setup() -> None:
    os._exit(7)


def setup_works_while(marker: str) -> None:
    """Fail, unless the file is there."""
    if not Path(marker).exists():
        raise RuntimeError("the marker is gone")


def setup_from_environment() -> None:
    setup_works_while(os.environ["TIDEGATE_TEST_MARKER"])


def variables() -> tuple[str, str, str]:
    return tenant.get("unset"), language.get(), secret.get()


def trace() -> str:
    return trace_id.get()


def set_tenant(name: str) -> None:
    tenant.set(name)


def print_lines(word: str, number: int) -> None:
    for line in range(number):
        print(word, line)
        print("error", word, line, file=sys.stderr)


def print_without_end(text: str) -> None:
    print(text, end="")


def decorated(function: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(function)
    def inner(*args: int) -> int:
        return function(*args)

    return inner


def plain(value: int) -> int:
    return value


wrapped = decorated(plain)


async def asynchronous() -> None: ...


class Counter:
    def __init__(self, start: int) -> None:
        self.value = start

    def plus(self, other: int) -> int:
        return self.value + other


def hang_up() -> None:
    """Close what leads to the pool, and stay."""
    os.closerange(3, 100)
    threading.Event().wait()


def print_and_die(lines: int) -> None:
    """Leave more in the pipe than is read in one go."""
    fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1024 * 1024)
    os.write(1, b"".join(b"%09d\n" % number for number in range(lines)))
    os._exit(1)


def answer_and_die(size: int) -> bytes:
    """End as soon as the answer is on its way."""
    send = Worker._send

    def send_and_die(self: Worker, kind: int, parts: list[bytes | memoryview]) -> None:
        send(self, kind, parts)
        os._exit(0)

    Worker._send = send_and_die  # type: ignore[method-assign]
    return bytes(size)


def is_writable(buffer: Any) -> bool:
    return not memoryview(buffer).readonly


def without_memory(size: int) -> bytes:
    """Return more than the system has room for."""

    def write(self: Segment, parts: object) -> None:
        raise OSError("no room")

    Segment.write = write  # type: ignore[method-assign]
    return bytes(size)
