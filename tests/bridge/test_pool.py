from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Callable

import pytest
from tests.bridge.waiting import Gate, until

from tidegate.bridge.context import cancelled, check_cancelled
from tidegate.bridge.threads import ThreadLimits, ThreadPool
from tidegate.errors import ConfigError, PoolClosed, PoolFull

VARIABLE: contextvars.ContextVar[object] = contextvars.ContextVar("variable")


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pool(**limits: float | None) -> ThreadPool:
    return ThreadPool("test", ThreadLimits(**limits))  # type: ignore[arg-type]


# -- running -------------------------------------------------------------------


async def test_the_result_comes_from_a_named_daemon_thread() -> None:
    threads = pool(threads=1)
    thread = await threads.run(threading.current_thread)
    assert thread.name == "tidegate-test-1"
    assert thread.daemon
    assert thread is not threading.current_thread()
    assert await threads.run(divmod, 7, 2) == (3, 1)
    assert threads.close(20) == []


async def test_thousands_of_calls_from_many_tasks_each_get_their_own_result() -> None:
    threads = pool(threads=8)

    async def worker(number: int) -> list[int]:
        return [await threads.run(lambda n=n: n * n) for n in range(number, number + 100)]

    results = await asyncio.gather(*(worker(n) for n in range(40)))
    for n, result in enumerate(results):
        assert result == [k * k for k in range(n, n + 100)]
    metrics = threads.metrics()
    assert metrics.threads <= 8
    assert metrics.queued == 0
    assert 0 <= metrics.wait_p50 <= metrics.wait_p99
    assert threads.close(20) == []


async def test_calls_made_in_one_turn_of_the_loop_wake_a_thread_when_the_turn_ends() -> None:
    threads = pool(threads=1)
    await threads.run(int)
    crew = threads._crew
    await until(lambda: len(crew.idle) == 1)
    seen = []

    async def look() -> None:
        seen.append((len(crew.queue), len(crew.idle)))

    await asyncio.gather(*(threads.run(int) for _ in range(10)), look())
    assert seen == [(10, 1)]
    assert threads.close(20) == []


async def test_threads_start_when_needed_and_not_past_the_limit() -> None:
    threads = pool(threads=3)
    assert threads.metrics().threads == 0
    await threads.run(int)
    await until(lambda: threads.metrics().busy == 0)
    await threads.run(int)
    assert threads.metrics().threads == 1
    with Gate() as gate:
        calls = [asyncio.create_task(threads.run(gate, n)) for n in range(5)]
        await until(lambda: gate.inside == 3)
        metrics = threads.metrics()
        assert (metrics.threads, metrics.busy, metrics.queued) == (3, 3, 2)
        gate.open()
        assert await asyncio.gather(*calls) == [0, 1, 2, 3, 4]
    assert threads.close(20) == []


async def test_a_thread_of_the_loops_own_executor_is_never_used() -> None:
    loop = asyncio.get_running_loop()
    threads = pool(threads=1)
    await threads.run(int)
    assert getattr(loop, "_default_executor", None) is None
    threads.close(20)


async def test_blocked_threads_do_not_keep_the_free_ones_from_work() -> None:
    threads = pool(threads=4)
    with Gate() as gate:
        calls = [asyncio.create_task(threads.run(gate)) for _ in range(3)]
        await until(lambda: gate.inside == 3)
        for n in range(200):
            assert await threads.run(lambda n=n: n) == n
        gate.open()
        await asyncio.gather(*calls)
    threads.close(20)


async def test_a_burst_finds_every_sleeping_thread() -> None:
    threads = pool(threads=6)
    for _ in range(30):
        with Gate() as gate:
            calls = [asyncio.create_task(threads.run(gate)) for _ in range(6)]
            # All at once: this would hang if one of them slept on.
            await until(lambda gate=gate: gate.inside == 6)
            gate.open()
            await asyncio.gather(*calls)
        await until(lambda: threads.metrics().busy == 0)
    assert threads.metrics().threads == 6
    threads.close(20)


def test_a_pool_serves_one_loop_after_the_other(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    threads = pool(threads=1)
    for n in range(3):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(threads.run(int, n)) == n
    assert threads.metrics().threads == 1
    threads.close(20)


async def test_a_system_without_threads_is_an_error_or_none_if_there_is_one_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = pool(threads=2)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="new thread"):
            await threads.run(int)
        assert threads.metrics().queued == 0
    with Gate() as gate:
        running = asyncio.create_task(threads.run(gate))
        await until(lambda: gate.inside == 1)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            waiting = asyncio.create_task(threads.run(int, "7"))
            await until(lambda: threads.metrics().queued == 1)
        gate.open()
        await running
    assert await waiting == 7
    threads.close(20)


# -- exceptions ----------------------------------------------------------------


class Failure(Exception):
    pass


def fail() -> None:
    raise Failure("here")


async def test_an_exception_comes_with_the_traceback_of_the_function() -> None:
    threads = pool(threads=1)
    with pytest.raises(Failure) as caught:
        await threads.run(fail)
    assert caught.traceback[-1].name == "fail"
    threads.close(20)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, RuntimeError])
async def test_whatever_is_raised_is_the_callers_and_the_thread_lives_on(
    kind: type[BaseException],
) -> None:
    def stop() -> None:
        raise kind("stop")

    threads = pool(threads=1)
    with pytest.raises(kind):
        await threads.run(stop)
    assert await threads.run(int, "7") == 7
    assert threads.metrics().threads == 1
    threads.close(20)


async def test_stop_iteration_is_reported_and_nobody_hangs() -> None:
    threads = pool(threads=1)
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        await threads.run(next, iter(()))
    assert isinstance(caught.value.__cause__, StopIteration)
    threads.close(20)


async def test_a_raw_job_that_fails_is_logged_and_the_thread_lives_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stop() -> None:
        raise SystemExit(3)

    threads = pool(threads=1)
    threads.submit(stop)
    assert await threads.run(int) == 0
    assert "'test'" in caplog.text
    assert "SystemExit: 3" in caplog.text
    assert threads.metrics().threads == 1
    threads.close(20)


# -- nothing is kept -----------------------------------------------------------


class Big:
    pass


@pytest.fixture
def no_collector() -> AsyncIterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
async def test_argument_and_result_are_let_go_without_the_collector() -> None:
    threads = pool(threads=1)
    big = Big()
    gone = weakref.ref(big)
    assert await threads.run(lambda one: one, big) is big
    del big
    await asyncio.sleep(0)
    # The thread may be a step from letting go.
    await until(lambda: threads.metrics().busy == 0)
    assert gone() is None
    threads.close(20)


@pytest.mark.usefixtures("no_collector")
async def test_function_and_context_are_let_go_while_the_thread_sleeps() -> None:
    async def call() -> weakref.ref[Big]:
        big = Big()
        VARIABLE.set(big)
        await threads.run(lambda: big)
        return weakref.ref(big)

    threads = pool(threads=1)
    # A task, because the variable would stay in the context of this one.
    gone = await asyncio.create_task(call())
    await asyncio.sleep(0)
    await until(lambda: gone() is None)
    threads.close(20)


@pytest.mark.usefixtures("no_collector")
async def test_an_exception_is_let_go_without_the_collector() -> None:
    def explode(big: Big) -> None:
        raise Failure(big)

    async def attempt() -> weakref.ref[Big]:
        big = Big()
        gone = weakref.ref(big)
        try:
            await threads.run(explode, big)
        except Failure:
            pass
        return gone

    threads = pool(threads=1)
    gone = await attempt()
    # The loop may hold what this step of the task was woken by.
    await asyncio.sleep(0)
    await until(lambda: threads.metrics().busy == 0)
    assert gone() is None
    threads.close(20)


# -- context variables ---------------------------------------------------------


async def test_context_variables_go_in_and_do_not_come_out() -> None:
    def change() -> str:
        before = VARIABLE.get()
        VARIABLE.set("changed")
        return before

    threads = pool(threads=1)
    VARIABLE.set("caller's")
    assert await threads.run(change) == "caller's"
    assert VARIABLE.get() == "caller's"
    assert await threads.run(change) == "caller's"
    threads.close(20)


async def test_changed_context_variables_come_back_when_asked_for() -> None:
    other: contextvars.ContextVar[str] = contextvars.ContextVar("other")
    untouched: contextvars.ContextVar[str] = contextvars.ContextVar("untouched")
    threads = pool(threads=1)
    VARIABLE.set("caller's")
    untouched.set("caller's")

    def change() -> None:
        VARIABLE.set("changed")
        other.set("new")

    await threads.run(change, propagate="both")
    assert (VARIABLE.get(), other.get(), untouched.get()) == ("changed", "new", "caller's")
    threads.close(20)


async def test_context_variables_do_not_come_back_after_an_exception() -> None:
    def change() -> None:
        VARIABLE.set("changed")
        raise Failure

    threads = pool(threads=1)
    VARIABLE.set("caller's")
    with pytest.raises(Failure):
        await threads.run(change, propagate="both")
    assert VARIABLE.get() == "caller's"
    threads.close(20)


# -- limits --------------------------------------------------------------------


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    clock = FakeClock()
    threads = ThreadPool("test", ThreadLimits(threads=1, max_queue=2), clock)
    with Gate() as gate:
        running = asyncio.create_task(threads.run(gate))
        await until(lambda: gate.inside == 1)
        queued = [asyncio.create_task(threads.run(int, n)) for n in range(2)]
        await until(lambda: threads.metrics().queued == 2)
        clock.now += 7
        with pytest.raises(PoolFull, match="'test' is full: 2 calls wait") as caught:
            await threads.run(int)
        assert caught.value.retry_after == 7
        with pytest.raises(PoolFull):
            threads.submit(int)
        gate.open()
        await running
        assert await asyncio.gather(*queued) == [0, 1]
    assert threads.metrics().wait_p99 == 7
    threads.close(20)


async def test_a_burst_of_as_many_calls_as_there_are_threads_needs_no_queue() -> None:
    threads = pool(threads=4, max_queue=0)
    for _ in range(20):
        with Gate() as gate:
            calls = [asyncio.create_task(threads.run(gate)) for _ in range(4)]
            await until(lambda gate=gate: gate.inside == 4)
            with pytest.raises(PoolFull):
                await threads.run(int)
            gate.open()
            await asyncio.gather(*calls)
        await until(lambda: threads.metrics().busy == 0)
    threads.close(20)


async def test_a_call_that_waits_too_long_for_a_thread_is_refused() -> None:
    threads = pool(threads=1, max_wait=0.01)
    with Gate() as gate:
        running = asyncio.create_task(threads.run(gate))
        await until(lambda: gate.inside == 1)
        with pytest.raises(PoolFull, match=r"no thread was free for 0\.01 s"):
            await threads.run(int)
        assert threads.metrics().queued == 0
        gate.open()
        await running
    threads.close(20)


async def test_raw_jobs_are_refused_while_the_oldest_waits_too_long() -> None:
    clock = FakeClock()
    threads = ThreadPool("test", ThreadLimits(threads=1, max_wait=5), clock)
    done: list[int] = []
    with Gate() as gate:
        running = asyncio.create_task(threads.run(gate))
        await until(lambda: gate.inside == 1)
        threads.submit(lambda: done.append(1))
        clock.now += 4
        threads.submit(lambda: done.append(2))
        clock.now += 2
        with pytest.raises(PoolFull):
            threads.submit(lambda: done.append(3))
        gate.open()
        await running
    await until(lambda: done == [1, 2])
    threads.close(20)


@pytest.mark.parametrize("limit", ["threads", "max_queue", "max_abandoned"])
def test_limits_that_make_no_sense_are_refused(limit: str) -> None:
    with pytest.raises(ConfigError, match=f"{limit} must be at least .*-1"):
        ThreadLimits(**{limit: -1})


# -- cancellation --------------------------------------------------------------


async def test_a_timeout_ends_the_wait_at_once_and_the_function_can_see_it() -> None:
    threads = pool(threads=1)
    seen: list[bool] = []
    ended = threading.Event()

    def work() -> None:
        seen.append(cancelled())
        gate()
        seen.append(cancelled())
        try:
            check_cancelled()
        finally:
            ended.set()

    with Gate() as gate:
        limit = asyncio.timeout(None)

        async def limited() -> None:
            async with limit:
                await threads.run(work)

        waiting = asyncio.create_task(limited())
        await until(lambda: gate.inside == 1)
        limit.reschedule(0)
        with pytest.raises(TimeoutError):
            await waiting
        assert not ended.is_set()
        metrics = threads.metrics()
        assert (metrics.busy, metrics.abandoned) == (1, 1)
        gate.open()
    await until(ended.is_set)
    assert seen == [False, True]
    await until(lambda: threads.metrics().abandoned == 0)
    threads.close(20)


async def test_a_call_cancelled_in_the_queue_is_never_made() -> None:
    threads = pool(threads=1)
    made: list[int] = []
    with Gate() as gate:
        running = asyncio.create_task(threads.run(gate))
        await until(lambda: gate.inside == 1)
        waiting = asyncio.create_task(threads.run(made.append, 1))
        await until(lambda: threads.metrics().queued == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        metrics = threads.metrics()
        assert (metrics.queued, metrics.abandoned) == (0, 0)
        gate.open()
        await running
    await threads.run(int)
    assert made == []
    threads.close(20)


async def test_an_error_after_the_caller_has_gone_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def work() -> None:
        gate()
        fail()

    threads = pool(threads=1)
    with Gate() as gate:
        call = asyncio.create_task(threads.run(work))
        await until(lambda: gate.inside == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        gate.open()
    await until(lambda: "nobody awaits" in caplog.text)
    assert "Failure: here" in caplog.text
    threads.close(20)


async def test_the_end_by_check_cancelled_is_not_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def work() -> None:
        gate()
        check_cancelled()

    threads = pool(threads=1)
    with Gate() as gate:
        call = asyncio.create_task(threads.run(work))
        await until(lambda: gate.inside == 1)
        call.cancel()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await call
    await threads.run(int)
    assert caplog.records == []
    threads.close(20)


async def abandon(threads: ThreadPool, gate: Gate, count: int) -> None:
    """Leave this many threads behind in the gate."""
    before = gate.inside
    for n in range(count):
        call = asyncio.create_task(threads.run(gate))
        await until(lambda n=n: gate.inside == before + n + 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_abandoned_threads_are_replaced_up_to_the_budget_then_refused() -> None:
    threads = pool(threads=2, max_abandoned=1)
    with Gate() as gate:
        await abandon(threads, gate, 2)
        assert await threads.run(int, "7") == 7
        assert threads.metrics().threads == 3
        await abandon(threads, gate, 1)
        assert threads.metrics().abandoned == 3
        with pytest.raises(PoolFull, match="3 abandoned calls take every thread"):
            await threads.run(int)
        gate.open()
        await until(lambda: threads.metrics().abandoned == 0)
    # Those too many end by themselves.
    await until(lambda: threads.metrics().threads <= 2)
    assert await threads.run(int, "7") == 7
    assert threads.close(20) == []


async def test_a_thread_too_many_ends_although_there_is_work() -> None:
    threads = pool(threads=1)
    with Gate() as abandoned, Gate() as busy:
        await abandon(threads, abandoned, 1)
        running = asyncio.create_task(threads.run(busy))
        await until(lambda: busy.inside == 1)
        waiting = asyncio.create_task(threads.run(int, "7"))
        await until(lambda: threads.metrics().queued == 1)
        abandoned.open()
        await until(lambda: threads.metrics().threads == 1)
        assert threads.metrics().queued == 1
        busy.open()
        await running
        assert await waiting == 7
    threads.close(20)


async def test_a_call_that_waits_gets_the_thread_that_replaces_an_abandoned_one() -> None:
    threads = pool(threads=1)
    with Gate() as gate:
        stuck = asyncio.create_task(threads.run(gate))
        await until(lambda: gate.inside == 1)
        waiting = asyncio.create_task(threads.run(int, "7"))
        await until(lambda: threads.metrics().queued == 1)
        stuck.cancel()
        assert await waiting == 7
    threads.close(20)


async def test_abandoned_calls_are_listed_and_logged_once_with_their_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def query_that_hangs() -> None:
        gate()

    clock = FakeClock()
    threads = ThreadPool("test", ThreadLimits(threads=1, report_after=10), clock)
    with Gate() as gate:
        call = asyncio.create_task(threads.run(query_that_hangs))
        await until(lambda: gate.inside == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        clock.now += 9
        threads.report()
        assert caplog.records == []
        (entry,) = threads.abandoned()
        assert entry.function.endswith("query_that_hangs")
        assert entry.seconds == 9
        assert "in query_that_hangs" in entry.stack
        clock.now += 1
        threads.report()
        threads.report()
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "goes on 10.0 s after its caller stopped waiting" in caplog.text
        assert "in query_that_hangs" in caplog.text
        gate.open()
    await until(lambda: not threads.abandoned())
    threads.close(20)


# -- closing -------------------------------------------------------------------


async def test_closing_does_what_is_queued_and_refuses_what_comes() -> None:
    threads = pool(threads=1)
    calls = [asyncio.create_task(threads.run(lambda n=n: n)) for n in range(100)]
    await asyncio.sleep(0)
    assert threads.close(20) == []
    assert await asyncio.gather(*calls) == list(range(100))
    with pytest.raises(PoolClosed, match="'test' is closed"):
        await threads.run(int)
    with pytest.raises(PoolClosed):
        threads.submit(int)
    assert threads.metrics().threads == 0


async def test_closing_names_the_threads_that_still_run_and_frees_those_who_wait() -> None:
    def stuck() -> None:
        gate()

    threads = pool(threads=1)
    with Gate() as gate:
        running = asyncio.create_task(threads.run(stuck))
        await until(lambda: gate.inside == 1)
        waiting = asyncio.create_task(threads.run(int))
        await until(lambda: threads.metrics().queued == 1)
        (description,) = threads.close(0.01)
        assert description.startswith("tidegate-test-1:\n")
        assert "in stuck" in description
        with pytest.raises(PoolClosed):
            await waiting
        gate.open()
        assert await running is None


def test_a_result_for_a_loop_that_is_closed_is_dropped_and_the_thread_lives_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    threads = pool(threads=1)
    gate = Gate()
    loop = new_loop()

    async def begin() -> None:
        task = asyncio.create_task(threads.run(gate))
        await until(lambda: gate.inside == 1)
        task.cancel()

    loop.run_until_complete(begin())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    gate.open()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(threads.run(int, "7")) == 7
        runner.run(until(lambda: threads.metrics().abandoned == 0))
    threads.close(20)
