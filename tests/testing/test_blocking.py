"""Tests that block an event loop fail, and say where; others do not notice."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.testing.blocking import LoopBlocked, no_blocking

pytest_plugins = ["pytester"]

NewLoop = Callable[[], asyncio.AbstractEventLoop]

SAMPLE = """
    import asyncio
    import time

    import pytest

    async def nap():
        time.sleep(0)

    def test_blocks():
        asyncio.run(nap())

    def test_behaves():
        asyncio.run(asyncio.sleep(0))
        time.sleep(0)

    @pytest.mark.no_blocking
    def test_blocks_and_is_marked():
        asyncio.run(nap())

    @pytest.mark.no_blocking(False)
    def test_blocks_and_may():
        asyncio.run(nap())

    @pytest.mark.no_blocking
    def test_fails_for_another_reason():
        asyncio.run(nap())
        assert 1 == 2

    async def load():
        open(__file__).close()

    @pytest.mark.no_blocking
    def test_opens():
        asyncio.run(load())

    @pytest.mark.no_blocking(files=True)
    def test_opens_and_may_not():
        asyncio.run(load())
"""


def outcomes(pytester: pytest.Pytester, *options: str) -> tuple[dict[str, str], str]:
    """Run the sample; return how each test ended, and what was printed."""
    pytester.makepyfile(SAMPLE)
    ours = ("-p", "tidegate.testing.blocking", "-p", "no:randomly", "-p", "no:cov", "-v")
    result = pytester.runpytest_inprocess(*ours, *options)
    text = result.stdout.str()
    found = {}
    for line in text.splitlines():
        if "::test_" in line and "%]" in line:
            name, outcome = line.split("::")[1].split()[:2]
            found[name] = outcome
    return found, text


def test_marked_tests_fail_if_they_block(pytester: pytest.Pytester) -> None:
    found, text = outcomes(pytester)
    assert found == {
        "test_blocks": "PASSED",
        "test_behaves": "PASSED",
        "test_blocks_and_is_marked": "FAILED",
        "test_blocks_and_may": "PASSED",
        "test_fails_for_another_reason": "FAILED",
        "test_opens": "PASSED",
        "test_opens_and_may_not": "FAILED",
    }
    assert "A blocking call was made on the event loop:" in text
    assert ":7 in nap(): time.sleep(0)" in text
    assert "time.sleep -> asyncio.sleep" in text
    assert "assert 1 == 2" in text
    assert "in load(): open(__file__).close()" in text


@pytest.mark.parametrize("way", ["option", "ini"])
def test_all_tests_can_be_checked(pytester: pytest.Pytester, way: str) -> None:
    if way == "ini":
        pytester.makeini("[pytest]\nno_blocking = true\n")
    found, _ = outcomes(pytester, *(["--no-blocking"] if way == "option" else []))
    assert found["test_blocks"] == "FAILED"
    assert found["test_behaves"] == "PASSED"
    assert found["test_blocks_and_may"] == "PASSED"


def naps() -> None:
    time.sleep(0)


def waits() -> None:
    threading.Event().wait(0.001)


def waits_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=0.001)


def runs_a_process() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def queries() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("select 1")
    connection.close()


def fetches() -> None:
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen("http://127.0.0.1:1/")


@pytest.mark.parametrize(
    ("function", "call"),
    [
        (naps, "time.sleep"),
        (waits, "threading.Event.wait"),
        (waits_for_a_lock, "threading.lock.acquire"),
        (runs_a_process, "subprocess.run"),
        (queries, "sqlite3.connect"),
        (fetches, "urllib.request.urlopen"),
    ],
)
async def test_what_blocks_is_found(function: Callable[[], None], call: str) -> None:
    with pytest.raises(LoopBlocked) as caught, no_blocking():
        function()
    first = caught.value.calls[0]
    assert (first.file, first.function, first.call) == (__file__, function.__name__, call)
    assert all(call.file == __file__ for call in caught.value.calls)


async def behaves() -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(naps)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    await loop.getaddrinfo("127.0.0.1", 80)
    lock = threading.Lock()
    with lock:
        assert not lock.acquire(blocking=False)
    await (await asyncio.create_subprocess_exec(sys.executable, "-c", "")).wait()


def test_what_an_event_loop_does_itself_is_no_blocking_call(new_loop: NewLoop) -> None:
    with no_blocking(), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(behaves())


async def test_threads_without_a_loop_may_block() -> None:
    with no_blocking():
        await asyncio.to_thread(naps)


def test_without_a_loop_blocking_is_right() -> None:
    with no_blocking():
        naps()


def test_a_loop_in_another_thread_is_watched_too() -> None:
    async def main() -> None:
        naps()

    def run() -> None:
        asyncio.run(main())

    def check() -> None:
        with no_blocking():
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

    with pytest.raises(LoopBlocked, match=r"in naps\(\)"):
        check()


async def test_each_line_is_named_once() -> None:
    def check() -> None:
        with no_blocking():
            naps()
            naps()
            waits()

    with pytest.raises(LoopBlocked) as caught:
        check()
    assert [call.function for call in caught.value.calls] == ["naps", "waits"]
    assert "2 blocking calls were made" in str(caught.value)


async def test_files_count_if_asked_for() -> None:
    with pytest.raises(LoopBlocked), no_blocking(files=True):
        Path(__file__).read_bytes()
    with no_blocking():
        Path(__file__).read_bytes()


def test_an_error_in_the_block_comes_first_and_profiling_ends() -> None:
    before = sys.getprofile()

    async def main() -> None:
        with no_blocking():
            naps()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(main())
    assert sys.getprofile() is before


async def test_the_interpreter_tells_calls_and_nothing_else() -> None:
    def check() -> None:
        with no_blocking():
            # What it is told here by hand, the interpreter does not tell.
            profiler = sys.getprofile()
            sys.setprofile(None)
            assert profiler is not None
            frame = sys._getframe()
            for event in ("c_return", "c_exception", "return", "call", "call"):
                profiler(frame, event, time.sleep)
            profiler(frame, "c_call", time.sleep)

    with pytest.raises(LoopBlocked) as caught:
        check()
    assert [call.function.rpartition(".")[2] for call in caught.value.calls] == ["check"]
