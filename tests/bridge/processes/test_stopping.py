"""Calls that end before their function does: deadlines, cancellation, crashes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bridge.processes import jobs
from tests.bridge.processes.post import Post, is_running, pool_of, until

from tidegate.errors import DeadlineExceeded, WorkerCrashed


async def test_a_deadline_kills_the_worker_and_another_takes_its_place() -> None:
    async with pool_of(1) as pool:
        before = await pool.run(jobs.pid)
        with pytest.raises(DeadlineExceeded, match=r"jobs.block .* 0.2 s: its worker was killed"):
            await pool.with_options(deadline=0.2).run(jobs.block)
        assert await pool.run(jobs.pid) != before
        await until(lambda: not is_running(before))
        assert pool.metrics().deadlines == 1
        assert pool.metrics().crashes == 0


async def test_a_deadline_is_a_timeout_error() -> None:
    async with pool_of(1, deadline=0.1) as pool:
        with pytest.raises(TimeoutError):
            await pool.run(jobs.block)


async def test_a_timeout_error_of_the_function_is_no_deadline() -> None:
    async with pool_of(1) as pool:
        with pytest.raises(TimeoutError, match="of the job") as caught:
            await pool.with_options(deadline=60).run(jobs.time_out)
        assert not isinstance(caught.value, DeadlineExceeded)
        assert pool.metrics().deadlines == 0


async def test_the_deadline_of_a_waiting_call_leaves_the_workers_alone() -> None:
    async with Post() as post, pool_of(1) as pool, asyncio.TaskGroup() as group:
        running = group.create_task(pool.run(jobs.wait_for_word, post.port))
        pid = await post.pid()
        with pytest.raises(DeadlineExceeded, match="still waiting for a worker"):
            await pool.with_options(deadline=0.05).run(jobs.pid)
        assert pool.metrics().queued == 0
        post.answer(pid, "go")
        assert await running == "go"
        assert await pool.run(jobs.pid) == pid


async def test_cancelling_a_running_call_kills_its_worker() -> None:
    async with Post() as post, pool_of(1) as pool:
        call = asyncio.ensure_future(pool.run(jobs.spin, post.port))
        pid = await post.pid()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await pool.run(jobs.pid) != pid
        await until(lambda: not is_running(pid))
        assert pool.metrics().cancelled == 1


async def test_cancelling_a_waiting_call_only_forgets_it() -> None:
    async with Post() as post, pool_of(1) as pool, asyncio.TaskGroup() as group:
        running = group.create_task(pool.run(jobs.wait_for_word, post.port))
        pid = await post.pid()
        waiting = asyncio.ensure_future(pool.run(jobs.pid))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert pool.metrics().queued == 0
        post.answer(pid, "go")
        assert await running == "go"
        assert await pool.run(jobs.pid) == pid


async def test_asyncio_timeout_stops_a_call() -> None:
    async with pool_of(1) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await pool.run(jobs.block)
        assert await pool.run(jobs.add, 1) == 1


async def test_what_a_killed_call_has_started_ends_too() -> None:
    async with Post() as post, pool_of(1) as pool:
        call = asyncio.ensure_future(pool.run(jobs.block_with_child, post.port))
        child = await post.pid()
        assert is_running(child)
        call.cancel()
        await asyncio.wait([call])
        await until(lambda: not is_running(child))


@pytest.mark.parametrize(
    ("function", "argument", "words"),
    [
        (jobs.die, 3, "ended with exit code 3 while it ran .*jobs.die"),
        (jobs.die, 0, "ended with exit code 0"),
        (jobs.kill_yourself, signal.SIGKILL, "was ended by SIGKILL while it ran"),
        (jobs.kill_yourself, signal.SIGRTMIN + 5, "was ended by signal 39"),
        (jobs.segfault, None, "was ended by SIGSEGV"),
    ],
)
async def test_a_crash_fails_its_own_call_and_says_how(
    function: Callable[..., None], argument: int | None, words: str
) -> None:
    async with pool_of(2) as pool, asyncio.TaskGroup() as group, Post() as post:
        innocent = group.create_task(pool.run(jobs.wait_for_word, post.port))
        pid = await post.pid()
        crash = pool.run(function, *([] if argument is None else [argument]))
        crashing = asyncio.ensure_future(crash)
        await asyncio.sleep(0)
        waiting = [group.create_task(pool.run(jobs.add, n)) for n in range(5)]
        with pytest.raises(WorkerCrashed, match=words) as caught:
            await crashing
        assert [await call for call in waiting] == list(range(5))
        post.answer(pid, "unhurt")
        assert await innocent == "unhurt"
        assert (caught.value.exit_code is None) == (caught.value.signal is not None)
        assert pool.metrics().crashes == 1


async def test_a_crash_is_noticed_although_a_child_holds_everything_open() -> None:
    async with pool_of(1) as pool:
        with pytest.raises(WorkerCrashed, match="exit code 4"):
            await pool.run(jobs.die_with_a_fork_alive, 0)
        assert await pool.run(jobs.add, 1) == 1


async def test_an_answer_given_before_the_end_counts() -> None:
    async with pool_of(1) as pool:
        assert await pool.run(jobs.answer_and_die, 600_000) == bytes(600_000)
        await until(lambda: pool.metrics().crashes == 1)
        assert await pool.run(jobs.add, 1) == 1


async def test_a_call_that_may_be_repeated_survives_a_crash(tmp_path: Path) -> None:
    async with pool_of(1) as pool:
        marker = str(tmp_path / "first")
        assert await pool.with_options(retries=1).run(jobs.die_once, marker) == "survived"
        with pytest.raises(WorkerCrashed):
            await pool.with_options(retries=2).run(jobs.die, 1)
        assert pool.metrics().crashes == 4


async def test_a_worker_that_dies_between_calls_is_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "tidegate.pool")
    async with pool_of(1) as pool:
        pid = await pool.run(jobs.pid)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: pool.metrics().crashes == 1)
        assert await pool.run(jobs.pid) != pid
        assert "SIGKILL between two calls" in caplog.text


async def test_a_spare_takes_over_at_once() -> None:
    async with pool_of(1, spares=1) as pool:
        assert pool.metrics().workers == 2
        with pytest.raises(WorkerCrashed):
            await pool.run(jobs.die, 1)
        assert await pool.run(jobs.add, 1) == 1


async def test_spares_do_not_run_calls_beyond_the_limit() -> None:
    async with Post() as post, pool_of(1, spares=1) as pool, asyncio.TaskGroup() as group:
        first = group.create_task(pool.run(jobs.wait_for_word, post.port))
        pid = await post.pid()
        second = group.create_task(pool.run(jobs.add, 1))
        await asyncio.sleep(0)
        assert (pool.metrics().busy, pool.metrics().queued) == (1, 1)
        post.answer(pid, "go")
        assert (await first, await second) == ("go", 1)
