"""The life of worker processes: start, replacement, what they print, how they end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bridge.processes import jobs
from tests.bridge.processes.post import Post, is_running, pool_of, until

from tidegate.bridge.processes import PoolMetrics, ProcessLimits, ProcessPool
from tidegate.errors import ConfigError, PoolClosed, Untransferable, WorkerCrashed

ROOT = Path(__file__).parent.parent.parent.parent


def open_files() -> set[str]:
    """Return the descriptors of this process, and what they are."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:
            continue
    return found


def children() -> set[int]:
    """Return the numbers of the children of this process, zombies too."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(stat.rpartition(")")[2].split()[1]) == os.getpid():
            found.add(int(name))
    return found


async def test_workers_are_ready_before_the_first_call() -> None:
    before = children()
    async with pool_of(3) as pool:
        assert len(children() - before) == 3
        assert pool.metrics() == PoolMetrics(3, 0, 0, 0, 0, 0, 0, 0)


async def test_nothing_is_left_of_a_closed_pool() -> None:
    await use_a_pool()
    # What the event loop keeps for itself is open by now.
    files, processes = open_files(), children()
    await use_a_pool()
    await until(lambda: open_files() <= files)
    assert children() <= processes
    assert not [name for name in os.listdir("/dev/shm") if "tidegate" in name]


async def use_a_pool() -> None:
    async with pool_of(2) as pool, Post() as post:
        call = asyncio.ensure_future(pool.run(jobs.block, post.port))
        await post.pid()
        call.cancel()
        with pytest.raises(WorkerCrashed):
            await pool.run(jobs.die, 1)
        await pool.run(jobs.same, bytes(2_000_000))


async def test_the_setup_is_called_once_in_each_worker() -> None:
    async with ProcessPool("test", ProcessLimits(workers=1), setup=jobs.note_setup) as pool:
        pid = await pool.run(jobs.pid)
        assert await pool.run(jobs.setup_calls) == [pid]
        assert await pool.run(jobs.setup_calls) == [pid]
        # The context that the setup leaves is that of every call.
        assert (await pool.run(jobs.variables))[1] == "of the setup"


@pytest.mark.parametrize(
    ("setup", "kind", "words"),
    [
        (jobs.bad_setup, RuntimeError, "no database"),
        (jobs.die_in_setup, WorkerCrashed, "exit code 7 before its first call"),
    ],
)
async def test_a_pool_whose_setup_fails_does_not_start(
    setup: Callable[[], None], kind: type[Exception], words: str
) -> None:
    processes = children()
    pool = ProcessPool("test", ProcessLimits(workers=2), setup=setup)
    with pytest.raises(kind, match=words):
        await pool.start()
    assert children() <= processes
    with pytest.raises(PoolClosed):
        await pool.run(jobs.pid)


def test_a_setup_that_workers_cannot_find_is_refused() -> None:
    with pytest.raises(Untransferable, match="lambda"):
        ProcessPool("test", setup=lambda: None)


async def test_a_worker_that_does_not_become_ready_is_killed() -> None:
    pool = ProcessPool("test", ProcessLimits(workers=1, start_timeout=0.2), setup=jobs.block)
    with pytest.raises(WorkerCrashed, match="SIGKILL before its first call"):
        await pool.start()


async def test_while_no_worker_starts_calls_fail_and_later_ones_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "tidegate.pool")
    marker = tmp_path / "marker"
    marker.touch()
    monkeypatch.setenv("TIDEGATE_TEST_MARKER", str(marker))
    limits = ProcessLimits(workers=1)
    async with ProcessPool("test", limits, setup=jobs.setup_from_environment) as pool:
        marker.unlink()
        with pytest.raises(WorkerCrashed, match="exit code 1 while"):
            await pool.run(jobs.die, 1)
        with pytest.raises(WorkerCrashed, match=r"no worker.*the marker is gone") as caught:
            await pool.run(jobs.pid)
        assert isinstance(caught.value.__cause__, RuntimeError)
        marker.touch()
        assert await pool.run(jobs.add, 1) == 1
    assert "a worker does not start; next try in 0.1 s" in caplog.text


async def test_a_worker_is_replaced_after_its_share_of_calls() -> None:
    async with pool_of(1, max_tasks=2) as pool:
        first = await pool.run(jobs.pid)
        assert pool.metrics().recycled == 0
        await pool.run(jobs.pid)
        # It is not let go before another one is ready.
        assert pool.metrics().workers == 2
        await until(lambda: pool.metrics().recycled == 1)
        assert pool.metrics().workers == 1
        assert await pool.run(jobs.pid) != first
        await until(lambda: not is_running(first))
        assert pool.metrics().crashes == 0


async def test_a_worker_that_grows_too_large_is_replaced() -> None:
    async with pool_of(1, max_rss=100_000_000) as pool:
        small = await pool.run(jobs.grow, 1_000)
        assert await pool.run(jobs.grow, 1_000) == small
        assert await pool.run(jobs.grow, 120_000_000) == small
        await until(lambda: pool.metrics().recycled == 1)
        assert await pool.run(jobs.pid) != small


async def test_a_replaced_worker_may_be_killed_before_it_is_let_go() -> None:
    async with pool_of(1, max_tasks=1) as pool:
        for _ in range(5):
            with pytest.raises(WorkerCrashed):
                await pool.run(jobs.die, 1)
            assert await pool.run(jobs.add, 1) == 1
        await until(lambda: pool.metrics().workers == 1)


async def test_what_workers_print_is_logged_line_by_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tidegate.pool")
    async with pool_of(2) as pool:
        await asyncio.gather(*(pool.run(jobs.print_lines, word, 300) for word in ("one", "two")))
        await pool.run(jobs.print_without_end, "tail")
        await pool.run(jobs.print_without_end, "x" * 40_000)
    records = [record for record in caplog.records if hasattr(record, "worker_pid")]
    for word in ("one", "two"):
        for stream, start in (("stdout", f"{word} "), ("stderr", f"error {word} ")):
            lines = [
                record.args[2]
                for record in records
                if isinstance(record.args, tuple)
                and record.__dict__["stream"] == stream
                and str(record.args[2]).startswith(start)
            ]
            assert lines == [f"{start}{number}" for number in range(300)]
    one = records[0]
    assert one.name == "tidegate.pool"
    assert one.getMessage().startswith(f"test[{one.__dict__['worker_pid']}] ")
    assert {record.levelname for record in records} == {"INFO", "WARNING"}
    assert any("tail" in record.getMessage() for record in records)
    assert max(len(record.getMessage()) for record in records) < 17_000


async def test_the_last_words_of_a_worker_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate.pool")
    async with pool_of(1) as pool:
        with pytest.raises(WorkerCrashed):
            await pool.run(jobs.print_and_die, 50_000)
    said = [record.args[2] for record in caplog.records if hasattr(record, "stream")]  # type: ignore
    assert said == [f"{number:09}" for number in range(50_000)]


async def test_signals_of_a_terminal_or_a_service_manager_do_not_end_workers() -> None:
    async with pool_of(1) as pool:
        assert await pool.run(jobs.interrupt_yourself) == "still here"
        assert await pool.run(jobs.process_group) == await pool.run(jobs.pid)


async def test_a_worker_holds_nothing_but_its_own_descriptors() -> None:
    async with pool_of(2) as pool:
        listing = await pool.run(jobs.descriptors)
        # Standard streams, socket, segment, lifeline, and the listing itself.
        assert len(listing) == 7


async def test_workers_import_from_where_the_program_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def answer(): return 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from only_here import answer  # type: ignore[import-not-found]

    async with pool_of(1) as pool:
        assert await pool.run(answer) == 42
        assert await pool.run(jobs.search_path) == sys.path


async def test_workers_end_with_the_process_of_the_pool() -> None:
    async with Post() as post:
        command = [sys.executable, "-m", "tests.bridge.processes.parent", str(post.port)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            await post.pid()
            await post.pid()
            workers = [int(word) for word in parent.stdout.readline().split()]
            assert all(map(is_running, workers))
            parent.kill()
        assert len(workers) == 3
        try:
            await until(lambda: not any(map(is_running, workers)))
        finally:
            # They are nobody's children: nothing else would end them.
            for worker in filter(is_running, workers):
                os.kill(worker, signal.SIGKILL)


async def test_closing_lets_calls_end() -> None:
    async with Post() as post:
        pool = pool_of(1)
        await pool.start()
        running = asyncio.ensure_future(pool.run(jobs.wait_for_word, post.port))
        pid = await post.pid()
        waiting = asyncio.ensure_future(pool.run(jobs.add, 1))
        await asyncio.sleep(0)
        closing = [asyncio.ensure_future(pool.close(30)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(PoolClosed):
            await pool.run(jobs.pid)
        post.answer(pid, "go")
        assert (await running, await waiting) == ("go", 1)
        await asyncio.gather(*closing)
        assert not is_running(pid)


async def test_closing_stops_calls_that_take_too_long() -> None:
    async with Post() as post:
        pool = pool_of(1)
        await pool.start()
        running = asyncio.ensure_future(pool.run(jobs.spin, post.port))
        pid = await post.pid()
        waiting = asyncio.ensure_future(pool.run(jobs.pid))
        await asyncio.sleep(0)
        await pool.close(0.05)
        for call in (running, waiting):
            with pytest.raises(PoolClosed, match="before the call was done"):
                await call
        assert not is_running(pid)


async def test_a_cancelled_close_leaves_nothing_running() -> None:
    async with Post() as post:
        pool = pool_of(2)
        await pool.start()
        running = asyncio.ensure_future(pool.run(jobs.spin, post.port))
        pid = await post.pid()
        closing = asyncio.ensure_future(pool.close(60))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(PoolClosed):
            await running
        assert not is_running(pid)
        assert pool.metrics().workers == 0


async def test_a_cancelled_start_leaves_nothing_running() -> None:
    processes = children()
    pool = ProcessPool("test", ProcessLimits(workers=2), setup=jobs.block)
    starting = asyncio.ensure_future(pool.start())
    await until(lambda: len(children() - processes) == 2)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert children() <= processes


async def test_a_worker_that_hangs_up_without_ending_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidegate.bridge.processes.process._LAST_SECONDS", 0.05)
    async with pool_of(1) as pool:
        with pytest.raises(WorkerCrashed, match="SIGKILL"):
            await pool.run(jobs.hang_up)
        assert await pool.run(jobs.add, 1) == 1


async def test_a_system_without_room_for_processes_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with pool_of(1) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/no/such/python")
            with pytest.raises(WorkerCrashed):
                await pool.run(jobs.die, 1)
            with pytest.raises(WorkerCrashed, match=r"has no worker.*No such file"):
                await pool.run(jobs.pid)
        assert await pool.run(jobs.add, 1) == 1


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("workers", 0, 1), ("max_queue", -1, 0), ("deadline", -1, 0), ("max_tasks", 0, 1)],
)
def test_a_limit_out_of_range_is_refused(name: str, value: int, least: int) -> None:
    with pytest.raises(ConfigError, match=f"{name} {value}: choose {least} or more"):
        ProcessLimits(**{name: value})


def test_by_default_there_is_a_worker_for_each_usable_core() -> None:
    assert ProcessLimits().workers == len(os.sched_getaffinity(0))
