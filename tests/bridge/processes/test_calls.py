"""What a call of a pool returns and raises."""

from __future__ import annotations

import asyncio
import functools
import math
import pickle
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from tests.bridge.processes import jobs
from tests.bridge.processes.post import Post, pool_of

from tidegate.bridge.processes import ProcessPool, trace_id
from tidegate.bridge.processes.reference import reference
from tidegate.bridge.processes.shared import Segment
from tidegate.errors import ConfigError, PoolClosed, PoolFull, Untransferable, UsageError


async def test_a_call_returns_what_the_function_returns() -> None:
    async with pool_of(1) as pool:
        assert await pool.run(jobs.add, 1, second=2) == 3
        assert await pool.run(math.factorial, 5) == 120
        assert await pool.run(int, "7") == 7
        assert await pool.run(jobs.same, None) is None


async def test_calls_run_at_the_same_time_in_different_processes() -> None:
    async with Post() as post, pool_of(2) as pool, asyncio.TaskGroup() as group:
        calls = [group.create_task(pool.run(jobs.wait_for_word, post.port)) for _ in range(2)]
        pids = {await post.pid(), await post.pid()}
        assert len(pids) == 2
        assert pool.metrics().busy == 2
        for pid in pids:
            post.answer(pid, "go")
        assert [await call for call in calls] == ["go", "go"]


async def test_many_calls_wait_their_turn() -> None:
    async with pool_of(2) as pool:
        answers = await asyncio.gather(*(pool.run(jobs.add, n, 1) for n in range(200)))
        assert answers == list(range(1, 201))
        metrics = pool.metrics()
        assert (metrics.calls, metrics.queued, metrics.busy) == (200, 0, 0)


async def test_partial_functions_and_methods_can_be_called() -> None:
    async with pool_of(1) as pool:
        assert await pool.run(functools.partial(jobs.add, 1), 2) == 3
        assert await pool.run(jobs.Counter(5).plus, 2) == 7
        assert await pool.run("abc".upper) == "ABC"


async def test_an_exception_crosses_with_its_traceback() -> None:
    async with pool_of(1) as pool:
        with pytest.raises(ValueError, match=r"^broken$") as caught:
            await pool.run(jobs.fail, "broken")
        text = "".join(traceback.format_exception(caught.value))
        assert "in fail" in text
        assert "raise ValueError(text)" in text
        # Of the worker itself the traceback shows nothing.
        assert "processes/worker.py" not in text


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (jobs.fail_pickily, r"jobs.fail_pickily raised Picky: one and two \(it cannot be unpickl"),
        (jobs.fail_with_a_lock, "jobs.fail_with_a_lock raised ValueError: .*cannot be pickled"),
        (jobs.leave, r"jobs.leave raised SystemExit: 3 \(it stays in the worker"),
        (jobs.a_lock, "jobs.a_lock: the result, a lock, cannot be pickled: "),
        (jobs.unreadable, "result of .*jobs.unreadable cannot be unpickled: ValueError: unread"),
    ],
)
async def test_what_cannot_come_back_is_named_and_does_not_hurt_the_worker(
    function: Callable[[], Any], words: str
) -> None:
    async with pool_of(1) as pool:
        before = await pool.run(jobs.pid)
        with pytest.raises(Untransferable, match=words):
            await pool.run(function)
        assert await pool.run(jobs.pid) == before


async def test_stop_iteration_arrives_as_an_error_that_a_coroutine_can_raise() -> None:
    async with pool_of(1) as pool:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await pool.run(jobs.raise_stop_iteration)


async def test_arguments_that_cannot_be_pickled_are_named() -> None:
    async with pool_of(1) as pool:
        with pytest.raises(Untransferable, match=r"argument 1 of .*jobs\.same, a lock, cannot be"):
            await pool.run(jobs.same, threading.Lock())
        with pytest.raises(Untransferable, match=r"argument 'value' of .*jobs\.same, a generator"):
            await pool.run(jobs.same, value=(n for n in range(3)))
        with pytest.raises(Untransferable, match=r"argument 2 of .*jobs\.add, a function"):
            await pool.run(jobs.add, 1, lambda: 2)
        assert await pool.run(jobs.add, 1) == 1


async def test_arguments_that_the_worker_cannot_read_are_an_error_of_the_call_alone() -> None:
    async with pool_of(1) as pool:
        with pytest.raises(Untransferable, match="the worker cannot read the call: ValueError"):
            await pool.run(jobs.same, jobs.Unreadable())
        assert await pool.run(jobs.add, 1) == 1


def closure() -> Callable[[], int]:
    def inner() -> int:
        return 1

    return inner


def of_the_program() -> None: ...


of_the_program.__module__ = "__main__"


def deleted() -> None: ...


deleted.__module__ = jobs.__name__


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda: 1, "<lambda> has no name .* define it with `def` at the top of a module"),
        (closure(), "closure.<locals>.inner exists only inside the function that made it"),
        (of_the_program, r"belongs to the program that was started.* module of its own"),
        (jobs.wrapped, "jobs:plain is now another object, perhaps because a decorator wraps it"),
        (jobs.asynchronous, "asynchronous is `async def`, and workers have no event loop"),
        (deleted, "jobs:deleted cannot be looked up"),
    ],
)
def test_functions_that_a_worker_cannot_find_are_refused_with_advice(
    function: Callable[..., Any], words: str
) -> None:
    with pytest.raises(Untransferable, match=words):
        reference(function)


async def test_a_call_of_a_function_that_a_worker_cannot_find_is_not_made() -> None:
    async with pool_of(1) as pool:
        with pytest.raises(Untransferable, match="<lambda> has no name"):
            await pool.run(lambda: 1)
        with pytest.raises(Untransferable, match=r"a partial, .*cannot be pickled"):
            await pool.run(functools.partial(of_the_program))
        assert pool.metrics().calls == 0


async def test_chosen_context_variables_and_the_trace_id_travel_with_the_call() -> None:
    here = "tests.bridge.processes.jobs"
    async with ProcessPool("test", context=[f"{here}:tenant", f"{here}:language"]) as pool:
        assert await pool.run(jobs.variables) == ("unset", "none", "not seen")
        jobs.tenant.set("acme")
        jobs.secret.set("stays")
        trace_id.set("abc")
        assert await pool.run(jobs.variables) == ("acme", "none", "not seen")
        assert await pool.run(jobs.trace) == "abc"


async def test_what_a_call_sets_is_seen_by_no_other() -> None:
    async with pool_of(1) as pool:
        await pool.run(jobs.set_tenant, "left over")
        assert await pool.run(jobs.variables) == ("unset", "none", "not seen")
        assert jobs.tenant.get("unset") == "unset"


async def test_a_value_of_a_variable_that_cannot_be_pickled_is_named() -> None:
    async with ProcessPool("test", context=["tests.bridge.processes.jobs:tenant"]) as pool:
        jobs.tenant.set(threading.Lock())  # type: ignore[arg-type]
        with pytest.raises(Untransferable, match=r"context variable .*:tenant holds a lock"):
            await pool.run(jobs.pid)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tests.bridge.processes.jobs:not_a_variable", "a int, not a ContextVar"),
        ("tests.bridge.processes.jobs:missing", "AttributeError"),
        ("no.such.module:tenant", "ModuleNotFoundError"),
    ],
)
def test_a_name_that_is_no_context_variable_is_refused(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ProcessPool("test", context=[name])


async def test_large_messages_go_through_shared_memory_both_ways() -> None:
    data = bytes(range(256)) * 40_000
    async with pool_of(1) as pool:
        for size in (1000, 2_000_000, 10_000_000, 1_200_000):
            assert await pool.run(jobs.same, data[:size]) == data[:size]
            assert await pool.run(jobs.zeros, size) == bytes(size)


async def test_without_shared_memory_a_call_fails_and_the_worker_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(self: Segment, parts: object) -> None:
        raise OSError("no room here")

    async with pool_of(1) as pool:
        before = await pool.run(jobs.pid)
        with pytest.raises(Untransferable, match=r"no shared memory for .* bytes: no room"):
            await pool.run(jobs.without_memory, 2_000_000)
        monkeypatch.setattr(Segment, "write", write)
        with pytest.raises(OSError, match="no room here"):
            await pool.run(jobs.same, bytes(2_000_000))
        assert await pool.run(jobs.pid) == before


class Buffer(bytearray):
    """Is pickled out of band, as arrays of numbers are (PEP 574)."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffer._of, (pickle.PickleBuffer(self),)

    @classmethod
    def _of(cls, buffer: Any) -> Buffer:
        return cls(buffer)


@pytest.mark.parametrize("size", [0, 10, 500_000, 3_000_000])
async def test_buffers_travel_out_of_band(size: int) -> None:
    first, second = Buffer(b"a" * size), Buffer(b"b" * 5)
    async with pool_of(1) as pool:
        assert await pool.run(jobs.same, [first, "x", second]) == [first, "x", second]


async def test_sizes_are_bounded_both_ways() -> None:
    async with pool_of(1, max_message_size=100_000) as pool:
        with pytest.raises(
            Untransferable, match=r"arguments of .* are .* max_message_size is 1000"
        ):
            await pool.run(jobs.same, bytes(200_000))
        with pytest.raises(Untransferable, match=r"jobs.zeros: the result is .* max_message_size"):
            await pool.run(jobs.zeros, 200_000)
        assert await pool.run(jobs.add, 1) == 1


async def test_a_full_queue_refuses_calls_and_says_when_to_come_again() -> None:
    async with Post() as post, pool_of(1, max_queue=1) as pool, asyncio.TaskGroup() as group:
        running = group.create_task(pool.run(jobs.wait_for_word, post.port))
        pid = await post.pid()
        waiting = group.create_task(pool.run(jobs.pid))
        await asyncio.sleep(0)
        assert pool.metrics().queued == 1
        with pytest.raises(PoolFull, match="1 calls wait, max_queue is 1") as caught:
            await pool.run(jobs.pid)
        assert caught.value.retry_after > 0
        post.answer(pid, "go")
        assert await waiting == pid
        assert await running == "go"


async def test_without_a_queue_a_free_worker_is_still_used() -> None:
    async with pool_of(1, max_queue=0) as pool:
        assert await pool.run(jobs.add, 1) == 1
        assert await pool.run(jobs.add, 2) == 2


async def test_a_pool_must_be_started_and_takes_nothing_when_closed() -> None:
    pool = pool_of(1)
    with pytest.raises(UsageError, match="not started"):
        await pool.run(jobs.pid)
    await pool.close()
    await pool.start()
    with pytest.raises(UsageError, match="started before"):
        await pool.start()
    await pool.close()
    with pytest.raises(PoolClosed):
        await pool.run(jobs.pid)
