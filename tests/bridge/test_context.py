from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, async_to_sync, sync_to_async
from flask import Flask
from tests.bridge.waiting import Gate, until

from tidegate.bridge.context import cancelled, check_cancelled, expose_loop, here
from tidegate.bridge.portal import from_thread
from tidegate.bridge.threads import ThreadLimits, ThreadPool


def pool(threads: int = 1) -> ThreadPool:
    return ThreadPool("test", ThreadLimits(threads=threads))


def test_outside_a_pool_nothing_is_cancelled() -> None:
    assert not cancelled()
    check_cancelled()


async def test_async_to_sync_in_a_pool_thread_runs_on_the_loop_of_the_caller() -> None:
    async def where() -> tuple[asyncio.AbstractEventLoop, int]:
        return asyncio.get_running_loop(), threading.get_ident()

    threads = pool()
    found = await threads.run(async_to_sync(where))
    assert found == (asyncio.get_running_loop(), threading.get_ident())
    threads.close(20)


async def test_an_async_view_of_flask_runs_on_the_loop_of_the_caller() -> None:
    application = Flask("test")
    loops: list[asyncio.AbstractEventLoop] = []

    @application.get("/")
    async def view() -> str:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        return "answer"

    def request() -> str:
        return application.test_client().get("/").text

    threads = pool(2)
    answers = await asyncio.gather(*(threads.run(request) for _ in range(10)))
    assert answers == ["answer"] * 10
    assert set(loops) == {asyncio.get_running_loop()}
    threads.close(20)


async def test_raw_jobs_expose_the_loop_themselves() -> None:
    loop = asyncio.get_running_loop()
    found: list[asyncio.AbstractEventLoop] = []

    async def where() -> None:
        found.append(asyncio.get_running_loop())

    def job() -> None:
        expose_loop(loop)
        async_to_sync(where)()

    threads = pool()
    threads.submit(job)
    await until(lambda: found)
    assert found == [loop]
    threads.close(20)


async def test_sync_code_below_an_async_view_runs_in_the_same_thread() -> None:
    async def view() -> int:
        return await sync_to_async(threading.get_ident)()

    def request() -> tuple[int, int]:
        return threading.get_ident(), async_to_sync(view)()

    threads = pool()
    one, two = await threads.run(request)
    assert one == two
    threads.close(20)


async def test_an_async_view_is_cancelled_with_its_caller() -> None:
    waiting = asyncio.Event()
    ended: list[str] = []

    async def view() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    threads = pool()
    call = asyncio.create_task(threads.run(async_to_sync(view)))
    await waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: ended)
    await until(lambda: threads.metrics().abandoned == 0)
    threads.close(20)


async def test_what_asgiref_keeps_is_of_the_present_call_only() -> None:
    def seen() -> tuple[Any, int]:
        visible = SyncToAsync.threadlocal
        return visible.task_context, visible.main_event_loop_pid

    threads = pool()
    one, pid = await threads.run(seen)
    two, _ = await threads.run(seen)
    assert one == two == []
    assert one is not two
    assert pid == os.getpid()
    threads.close(20)


async def test_two_loops_that_share_a_thread_are_told_apart() -> None:
    async def where() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    threads = pool()

    def other() -> bool:
        async def main() -> bool:
            return await threads.run(async_to_sync(where)) is asyncio.get_running_loop()

        return asyncio.run(main())

    assert await threads.run(async_to_sync(where)) is asyncio.get_running_loop()
    assert await asyncio.to_thread(other)
    assert await threads.run(async_to_sync(where)) is asyncio.get_running_loop()
    threads.close(20)


LATE = """
import asyncio, sys
from tidegate.bridge.threads import ThreadPool

pool = ThreadPool()

def first():
    return "asgiref" in sys.modules

def load():
    import asgiref.sync

async def where():
    return asyncio.get_running_loop()

async def main():
    loaded = await pool.run(first)
    await pool.run(load)
    from asgiref.sync import async_to_sync
    found = await pool.run(async_to_sync(where))
    sys.exit(0 if not loaded and found is asyncio.get_running_loop() else 1)

asyncio.run(main())
"""


def test_asgiref_may_be_loaded_later_and_is_never_loaded_from_here() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], check=False, timeout=50)
    assert done.returncode == 0


async def test_a_thread_knows_its_pool_and_loop() -> None:
    threads = pool()
    assert await threads.run(lambda: here().pool) is threads
    assert await threads.run(lambda: here().loop) is asyncio.get_running_loop()
    assert here().pool is None
    assert here().call is None
    threads.close(20)


async def test_each_call_has_its_own_flag() -> None:
    threads = pool(2)
    seen: list[bool] = []

    def work() -> None:
        gate()
        seen.append(cancelled())

    with Gate() as gate:
        one = asyncio.create_task(threads.run(work))
        two = asyncio.create_task(threads.run(work))
        await until(lambda: gate.inside == 2)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        gate.open()
        await two
    await until(lambda: len(seen) == 2)
    assert sorted(seen) == [False, True]
    threads.close(20)


async def test_a_raw_job_knows_nothing_of_the_call_before_it() -> None:
    threads = pool()
    seen: list[object] = []
    await threads.run(int)
    threads.submit(lambda: seen.append(here().call))
    await until(lambda: seen)
    assert seen == [None]
    threads.close(20)


async def test_after_a_nested_call_in_its_thread_a_call_knows_itself_again() -> None:
    threads = pool()

    async def nested() -> object:
        return await threads.run(lambda: here().call)

    def work() -> bool:
        mine = here().call
        return from_thread.run(nested) is not mine and here().call is mine

    assert await threads.run(work)
    threads.close(20)
