from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context

import pytest
from tests.bridge.waiting import Gate, until

from tidegate.bridge.portal import from_thread
from tidegate.bridge.threads import ThreadLimits, ThreadPool
from tidegate.errors import PoolFull, UsageError

ident = threading.get_ident


def pool(threads: int = 2, max_queue: int = 1000) -> ThreadPool:
    return ThreadPool("test", ThreadLimits(threads=threads, max_queue=max_queue))


async def test_all_calls_of_a_lease_run_in_one_thread_others_do_not() -> None:
    threads = pool(4)
    async with threads.lease() as one:
        mine = {await one.run(ident) for _ in range(20)}
        others = set()

        async def other() -> None:
            async with threads.lease() as two:
                others.update([await two.run(ident) for _ in range(20)])

        # A task of its own would hold the lease of the one that started it.
        await asyncio.create_task(other(), context=Context())
    assert len(mine) == len(others) == 1
    assert mine != others
    threads.close(20)


async def test_a_connection_that_belongs_to_its_thread_can_be_used_in_a_lease() -> None:
    threads = pool(4)
    async with threads.lease() as lease:
        connection = await lease.run(sqlite3.connect, ":memory:")
        for n in range(20):
            cursor = await lease.run(connection.execute, f"select {n}")
            assert await lease.run(cursor.fetchone) == (n,)
        await lease.run(connection.close)
    threads.close(20)


async def test_pool_calls_in_the_block_use_the_leased_thread_while_it_is_free() -> None:
    threads = pool(1)
    async with threads.lease() as lease:
        # With one thread, held here, anything else would wait for ever.
        assert await threads.run(ident) == await lease.run(ident)
        async with threads.lease() as again:
            assert await again.run(ident) == await lease.run(ident)
        assert await lease.run(int) == 0
        results = await asyncio.gather(*(threads.run(int, n) for n in range(20)))
        assert results == list(range(20))
    assert await threads.run(int) == 0
    threads.close(20)


async def test_a_pool_of_leases_that_all_call_the_pool_does_not_wait_for_itself() -> None:
    threads = pool(2)

    async def up() -> int:
        return await threads.run(ident)

    async def request() -> None:
        async with threads.lease() as lease:
            mine = await lease.run(ident)
            assert await threads.run(ident) == mine
            assert await lease.run(lambda: from_thread.run(up)) == mine

    await asyncio.gather(*(request() for _ in range(50)))
    threads.close(20)


async def test_the_thread_is_given_back_also_after_an_error() -> None:
    threads = pool(1)
    with pytest.raises(ZeroDivisionError):
        async with threads.lease() as lease:
            await lease.run(lambda: 1 // 0)
    assert await threads.run(int, "7") == 7
    await until(lambda: threads.metrics().busy == 0)
    threads.close(20)


async def test_context_managers_are_left_in_reverse_in_the_same_thread() -> None:
    events: list[tuple[str, int]] = []

    @contextmanager
    def scope(name: str) -> Iterator[str]:
        events.append((f"enter {name}", ident()))
        try:
            yield name
        finally:
            events.append((f"leave {name}", ident()))

    threads = pool(4)
    async with threads.lease() as lease:
        assert await lease.enter(scope("session")) == "session"
        assert await lease.enter(scope("transaction")) == "transaction"
        events.append(("work", await lease.run(ident)))
    assert [name for name, _ in events] == [
        *("enter session", "enter transaction", "work"),
        *("leave transaction", "leave session"),
    ]
    assert len({thread for _, thread in events}) == 1
    threads.close(20)


async def test_context_managers_see_the_exception_and_may_swallow_it() -> None:
    seen: list[BaseException] = []

    @contextmanager
    def swallow() -> Iterator[None]:
        try:
            yield
        except ZeroDivisionError as error:
            seen.append(error)

    threads = pool(1)
    async with threads.lease() as lease:
        await lease.enter(swallow())
        raise ZeroDivisionError
    assert len(seen) == 1
    threads.close(20)


async def test_an_error_while_leaving_is_raised_and_the_thread_given_back() -> None:
    @contextmanager
    def broken() -> Iterator[None]:
        yield
        raise LookupError("on the way out")

    threads = pool(1)
    with pytest.raises(LookupError, match="on the way out"):
        async with threads.lease() as lease:
            await lease.enter(broken())
    assert await threads.run(int, "7") == 7
    threads.close(20)


async def test_a_cancelled_block_does_not_wait_but_leaves_its_context_managers() -> None:
    left = threading.Event()

    @contextmanager
    def scope() -> Iterator[None]:
        try:
            yield
        finally:
            left.set()

    threads = pool(1)
    with Gate() as gate:

        async def block() -> None:
            async with limit, threads.lease() as lease:
                await lease.enter(scope())
                await lease.run(gate)

        limit = asyncio.timeout(None)
        blocked = asyncio.create_task(block())
        await until(lambda: gate.inside == 1)
        limit.reschedule(0)
        with pytest.raises(TimeoutError):
            await blocked
        assert not left.is_set()
        assert threads.metrics().abandoned == 1
        # Its place is given to another thread.
        assert await threads.run(int, "7") == 7
        gate.open()
    await until(left.is_set)
    await until(lambda: threads.metrics().abandoned == 0)
    await until(lambda: threads.metrics().busy == 0)
    threads.close(20)


async def test_a_lease_that_waits_for_a_thread_and_is_not_used_leaves_no_trace() -> None:
    threads = pool(1)
    with Gate() as gate:
        running = asyncio.create_task(threads.run(gate))
        await until(lambda: gate.inside == 1)
        async with threads.lease():
            assert threads.metrics().queued == 1
        assert threads.metrics().queued == 0
        gate.open()
        await running
    threads.close(20)


async def test_a_lease_of_a_full_pool_is_refused() -> None:
    threads = pool(1, max_queue=0)
    with Gate() as gate:
        running = asyncio.create_task(threads.run(gate))
        await until(lambda: gate.inside == 1)
        with pytest.raises(PoolFull):
            async with threads.lease():
                pass
        gate.open()
        await running
    threads.close(20)


async def test_a_lease_does_not_work_outside_its_block() -> None:
    threads = pool()
    lease = threads.lease()
    with pytest.raises(UsageError, match="async with"):
        await lease.run(int)
    async with lease:
        pass
    with pytest.raises(UsageError, match="async with"):
        await lease.run(int)
    threads.close(20)


async def test_a_call_cancelled_before_the_leased_thread_comes_to_it_is_never_made() -> None:
    threads = pool(1)
    made: list[int] = []
    async with threads.lease() as lease:
        with Gate() as gate:
            running = asyncio.create_task(lease.run(gate))
            await until(lambda: gate.inside == 1)
            waiting = asyncio.create_task(lease.run(made.append, 1))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert threads.metrics().abandoned == 0
            gate.open()
            await running
        await lease.run(int)
    assert made == []
    threads.close(20)
