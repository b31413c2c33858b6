from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.bridge.waiting import Gate, until

from tidegate.bridge.threads import Pools, ThreadLimits, pools, to_thread
from tidegate.errors import UsageError

NewLoop = Callable[[], asyncio.AbstractEventLoop]

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


@pytest.fixture
def mine() -> Iterator[Pools]:
    """Pools of this test, beside those of the process."""
    mine = Pools()
    mine.configure("db", ThreadLimits(threads=2))
    return mine


async def test_to_thread_runs_in_the_default_pool() -> None:
    thread = await to_thread(threading.current_thread)
    assert thread.name.startswith("tidegate-default-")
    assert await to_thread(divmod, 7, 2) == (3, 1)
    assert pools.metrics()["default"].threads in (1, 2)


async def test_to_thread_takes_the_name_of_a_pool_and_gives_variables_back() -> None:
    pools.configure("test", ThreadLimits(threads=1))
    thread = await to_thread(threading.current_thread, pool="test")
    assert thread.name == "tidegate-test-1"
    await to_thread(VARIABLE.set, "changed", pool="test", propagate="both")
    assert VARIABLE.get() == "changed"


async def test_a_pool_has_the_size_it_was_given(mine: Pools) -> None:
    assert mine.get("db").limits.threads == 2
    assert mine.get("db") is mine.get("db")
    assert mine.get("db") is not mine.get()
    assert set(mine.metrics()) == {"db", "default"}
    mine.close(20)


async def test_one_full_pool_leaves_the_others_alone(mine: Pools) -> None:
    with Gate() as gate:
        stuck = [asyncio.create_task(mine.get("db").run(gate)) for _ in range(5)]
        await until(lambda: gate.inside == 2)
        assert await mine.get().run(int, "7") == 7
        metrics = mine.metrics()
        assert (metrics["db"].busy, metrics["db"].queued) == (2, 3)
        gate.open()
        await asyncio.gather(*stuck)
    assert await asyncio.to_thread(mine.close, 20, asyncio.get_running_loop()) == []


async def test_a_name_that_nobody_configured_is_refused(mine: Pools) -> None:
    with pytest.raises(UsageError, match="no pool 'bd', only db, default"):
        mine.get("bd")


def test_the_end_of_a_loop_ends_its_threads(mine: Pools, new_loop: NewLoop) -> None:
    async def begin() -> threading.Thread:
        return await mine.get("db").run(threading.current_thread)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        thread = runner.run(begin())
        loop = runner.get_loop()
    thread.join(20)
    assert not thread.is_alive()
    assert mine.metrics(loop) == {}


def test_each_loop_has_pools_of_its_own(mine: Pools, new_loop: NewLoop) -> None:
    async def begin() -> threading.Thread:
        return await mine.get().run(threading.current_thread)

    with asyncio.Runner(loop_factory=new_loop) as one, asyncio.Runner() as two:
        assert one.run(begin()) is not two.run(begin())


def test_the_threads_of_a_loop_that_was_just_closed_end_when_another_asks(
    mine: Pools, new_loop: NewLoop
) -> None:
    async def begin() -> threading.Thread:
        return await mine.get().run(threading.current_thread)

    loop = new_loop()
    thread = loop.run_until_complete(begin())
    # Not as asyncio.run does it: nothing is shut down.
    loop.close()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(begin())
    thread.join(20)
    assert not thread.is_alive()


async def test_closing_reports_what_still_runs(mine: Pools) -> None:
    with Gate() as gate:
        running = asyncio.create_task(mine.get("db").run(gate))
        await until(lambda: gate.inside == 1)
        (stack,) = mine.close(0.01)
        assert stack.startswith("tidegate-db-1")
        gate.open()
        await running
    assert await mine.get("db").run(int, "7") == 7
    mine.close(20)
