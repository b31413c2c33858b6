from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable

import pytest
from tests.bridge.waiting import Gate, until

from tidegate.bridge.context import expose_loop, here
from tidegate.bridge.inbox import Inbox
from tidegate.bridge.portal import Portal, from_thread
from tidegate.bridge.threads import ThreadLimits, ThreadPool
from tidegate.errors import PoolClosed, UsageError

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


def pool(threads: int = 1) -> ThreadPool:
    return ThreadPool("test", ThreadLimits(threads=threads))


class Failure(Exception):
    pass


# -- from_thread ---------------------------------------------------------------


async def test_a_coroutine_runs_on_the_loop_that_made_the_call() -> None:
    loop = asyncio.get_running_loop()
    threads = pool()

    async def double(number: int) -> int:
        assert asyncio.get_running_loop() is loop
        assert asyncio.current_task() is not None
        await asyncio.sleep(0)
        return 2 * number

    assert await threads.run(lambda: from_thread.run(double, 21)) == 42
    threads.close(20)


async def test_a_function_runs_in_the_thread_of_the_loop() -> None:
    threads = pool()
    ident = threading.get_ident()
    assert await threads.run(lambda: from_thread.call(threading.get_ident)) == ident
    threads.close(20)


@pytest.mark.parametrize("kind", [Failure, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
async def test_what_the_coroutine_raises_is_raised_in_the_thread(kind: type[BaseException]) -> None:
    async def fail() -> None:
        raise kind("here")

    def call() -> None:
        raise kind("here")

    def work() -> str:
        for attempt in (
            lambda: from_thread.run(fail),
            lambda: from_thread.call(call),
        ):
            with pytest.raises(kind, match="here") as caught:
                attempt()
            assert caught.traceback[-1].name in ("fail", "call")
        return "done"

    threads = pool()
    assert await threads.run(work) == "done"
    threads.close(20)


async def test_an_exception_is_let_go_without_the_collector() -> None:
    async def fail() -> None:
        raise Failure

    def work() -> weakref.ref[Failure]:
        try:
            from_thread.run(fail)
        except Failure as error:
            return weakref.ref(error)
        raise AssertionError

    threads = pool()
    gc.collect()
    gc.disable()
    try:
        gone = await threads.run(work)
        await until(lambda: gone() is None)
    finally:
        gc.enable()
    threads.close(20)


async def test_context_variables_go_along_and_come_back_when_asked_for() -> None:
    async def change() -> str:
        before = VARIABLE.get()
        VARIABLE.set("changed")
        return before

    def work() -> list[str]:
        seen = [from_thread.run(change), VARIABLE.get()]
        seen.append(from_thread.run(change, propagate="both"))
        return [*seen, VARIABLE.get()]

    VARIABLE.set("first")
    threads = pool()
    assert await threads.run(work) == ["first", "first", "first", "changed"]
    assert VARIABLE.get() == "first"
    threads.close(20)


@pytest.mark.parametrize("depth", [1, 5])
async def test_a_full_pool_does_not_wait_for_itself(depth: int) -> None:
    threads = pool(2)

    def down(level: int) -> list[int]:
        if level == 0:
            return [threading.get_ident()]
        return [threading.get_ident(), *from_thread.run(up, level)]

    async def up(level: int) -> list[int]:
        return await threads.run(down, level - 1)

    for _ in range(20):
        calls = [threads.run(down, depth) for _ in range(6)]
        for idents in await asyncio.gather(*calls):
            # What a call calls runs in its own thread.
            assert len(idents) == depth + 1
            assert len(set(idents)) == 1
    threads.close(20)


async def test_nested_calls_at_the_same_time_use_free_threads_and_all_come_back() -> None:
    threads = pool(3)

    async def several() -> list[object]:
        with Gate() as gate:
            calls = [asyncio.create_task(threads.run(gate, n)) for n in range(3)]
            await until(lambda: gate.inside == 3)
            gate.open()
            return await asyncio.gather(*calls)

    assert await threads.run(lambda: from_thread.run(several)) == [0, 1, 2]
    # As many as there are, none free: one after the other.

    async def many() -> list[int]:
        return await asyncio.gather(*(threads.run(int, n) for n in range(50)))

    results = await asyncio.gather(*(threads.run(lambda: from_thread.run(many)) for _ in range(9)))
    assert results == [list(range(50))] * 9
    threads.close(20)


async def test_a_task_that_outlives_the_wait_uses_the_pool_again() -> None:
    threads = pool()
    left: list[asyncio.Task[int]] = []
    go = asyncio.Event()

    async def later() -> int:
        await go.wait()
        return await threads.run(int, "7")

    async def leave() -> None:
        left.append(asyncio.create_task(later()))

    await threads.run(lambda: from_thread.run(leave))
    go.set()
    assert await left[0] == 7
    threads.close(20)


async def test_the_coroutine_is_cancelled_with_the_call_it_runs_for() -> None:
    threads = pool()
    waiting = asyncio.Event()
    ends: list[str] = []

    async def wait() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("coroutine")
            raise

    def work() -> None:
        try:
            from_thread.run(wait)
        except asyncio.CancelledError:
            ends.append("thread")
            raise

    call = asyncio.create_task(threads.run(work))
    await waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: threads.metrics().abandoned == 0)
    assert ends == ["coroutine", "thread"]
    threads.close(20)


async def test_a_call_that_nobody_awaits_starts_no_coroutine() -> None:
    threads = pool()
    started: list[int] = []
    ended = threading.Event()

    async def start() -> None:
        started.append(1)

    def work() -> None:
        gate()
        try:
            from_thread.run(start)
        finally:
            ended.set()

    with Gate() as gate:
        call = asyncio.create_task(threads.run(work))
        await until(lambda: gate.inside == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        gate.open()
    await until(ended.is_set)
    assert started == []
    threads.close(20)


def test_a_thread_that_works_for_no_loop_is_told_what_to_use() -> None:
    async def nothing() -> None:
        pass

    with pytest.raises(UsageError, match="Portal"):
        from_thread.run(nothing)


def test_a_loop_that_is_closed_is_an_error_and_no_wait(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def nothing() -> None:
        pass

    loop = new_loop()
    loop.close()
    expose_loop(loop)
    try:
        with pytest.raises(PoolClosed):
            from_thread.run(nothing)
    finally:
        here().loop = None


def test_a_thread_whose_loop_ends_is_not_kept_waiting(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    outcome: list[BaseException] = []
    ended = threading.Event()

    async def wait() -> None:
        await asyncio.Event().wait()

    def work() -> None:
        try:
            from_thread.run(wait)
        except BaseException as error:
            outcome.append(error)
        ended.set()

    async def begin() -> None:
        tasks = len(asyncio.all_tasks())
        threads.submit(lambda: (expose_loop(loop), work()))
        await until(lambda: len(asyncio.all_tasks()) > tasks)

    threads = pool()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        loop = runner.get_loop()
        runner.run(begin())
    assert ended.wait(20)
    assert isinstance(outcome[0], asyncio.CancelledError)
    threads.close(20)


def test_a_thread_that_is_held_notices_that_its_loop_was_closed(
    monkeypatch: pytest.MonkeyPatch, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    monkeypatch.setattr("tidegate.bridge.inbox._PATIENCE", 0.001)
    loop = new_loop()
    inbox = Inbox(loop, None)
    thread = threading.Thread(target=inbox.serve, daemon=True)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    loop.close()
    thread.join(20)
    assert not thread.is_alive()


# -- Portal --------------------------------------------------------------------


def test_a_portal_runs_coroutines_on_one_loop_in_a_thread_of_its_own(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def where() -> tuple[asyncio.AbstractEventLoop, int]:
        return asyncio.get_running_loop(), threading.get_ident()

    with Portal(new_loop) as portal:
        loop, thread = portal.call(where)
        assert portal.call(where) == (loop, thread)
        assert thread != threading.get_ident()
        assert portal.start(where).result() == (loop, thread)
    assert loop.is_closed()


def test_a_portal_passes_exceptions_and_context_variables() -> None:
    async def fail() -> None:
        raise Failure(VARIABLE.get())

    def in_context() -> None:
        VARIABLE.set("caller's")
        with Portal() as portal, pytest.raises(Failure, match="caller's"):
            portal.call(fail)

    contextvars.copy_context().run(in_context)


def test_a_portal_serves_many_threads_at_once() -> None:
    async def together() -> int:
        nonlocal inside
        inside += 1
        await until(lambda: inside == 8)
        return inside

    inside = 0
    results: list[int] = []
    with Portal() as portal:
        threads = [
            threading.Thread(target=lambda: results.append(portal.call(together))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [8] * 8


def test_leaving_a_portal_cancels_what_still_runs() -> None:
    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    started = threading.Event()
    with Portal() as portal:
        future = portal.start(forever)
        started.wait()
    assert future.cancelled()


def test_a_portal_is_for_other_threads_and_within_its_block() -> None:
    async def again() -> None:
        portal.call(again)

    portal = Portal()
    with pytest.raises(UsageError, match="with"):
        portal.call(again)
    with portal, pytest.raises(UsageError, match="await"):
        portal.call(again)
    with pytest.raises(UsageError, match="with"):
        portal.call(again)


def test_a_loop_that_cannot_be_made_is_reported_by_the_block() -> None:
    def fail() -> asyncio.AbstractEventLoop:
        raise Failure

    with pytest.raises(Failure), Portal(fail):
        pass


def test_sync_code_called_from_a_portal_gets_back_to_it() -> None:
    threads = pool()

    async def inner() -> str:
        return "inner"

    async def outer() -> str:
        return await threads.run(lambda: from_thread.run(inner))

    with Portal() as portal:
        assert portal.call(outer) == "inner"
    threads.close(20)
