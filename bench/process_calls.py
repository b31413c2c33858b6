"""What does a call of a function in another process cost?  ``python -m bench.process_calls``.

The pool of processes is measured beside the executor of the standard library,
in rounds that alternate, so that a busy minute on the machine falls on all.
CPU time is that of this process and its workers together.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import uvloop

from tidegate.bridge.processes import ProcessLimits, ProcessPool

from .process import TICKS, tree
from .report import grid

__all__ = ["main"]

WORKERS = 2
CONCURRENT = 64
LARGE = 10 * 1024 * 1024

Call = Callable[..., Awaitable[Any]]
Figures = dict[str, float]

COLUMNS = {
    "first": "first result, ms",
    "serial": "one at a time, us",
    "serial_cpu": "its CPU, us",
    "many": f"{CONCURRENT} at a time, us",
    "many_cpu": "its CPU, us",
    "large_in": "10 MiB in, ms",
    "large_out": "10 MiB out, ms",
}


@asynccontextmanager
async def tidegate_pool() -> AsyncIterator[Call]:
    async with ProcessPool("bench", ProcessLimits(workers=WORKERS)) as pool:
        yield pool.run


def executor(method: str) -> Callable[[], AbstractAsyncContextManager[Call]]:
    """Return how to open a ``ProcessPoolExecutor`` with this start method."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Call]:
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(WORKERS, multiprocessing.get_context(method)) as pool:
            yield lambda function, *args: loop.run_in_executor(pool, function, *args)

    return opened


POOLS: dict[str, Callable[[], AbstractAsyncContextManager[Call]]] = {
    "tidegate ProcessPool": tidegate_pool,
    "ProcessPoolExecutor, spawn": executor("spawn"),
    "ProcessPoolExecutor, forkserver": executor("forkserver"),
}


async def measure(opened: Callable[[], AbstractAsyncContextManager[Call]], calls: int) -> Figures:
    """Take every figure once."""
    begun = time.perf_counter()
    async with opened() as call:
        await call(math.sqrt, 1)
        figures = {"first": (time.perf_counter() - begun) * 1e3}
        # All workers have started and imported what they need.
        await asyncio.gather(*(call(math.sqrt, n) for n in range(200)))

        async def one_after_the_other(count: int) -> None:
            for number in range(count):
                await call(math.sqrt, number)

        async def at_the_same_time() -> None:
            each = calls // CONCURRENT
            await asyncio.gather(*(one_after_the_other(each) for _ in range(CONCURRENT)))

        for key, work in (("serial", one_after_the_other(calls)), ("many", at_the_same_time())):
            wall, cpu = time.perf_counter(), cpu_seconds()
            await work
            figures[key] = (time.perf_counter() - wall) / calls * 1e6
            figures[f"{key}_cpu"] = (cpu_seconds() - cpu) / calls * 1e6
        data = bytes(LARGE)
        for key, function, argument in (("large_in", len, data), ("large_out", bytes, LARGE)):
            times = []
            for _ in range(10):
                begun = time.perf_counter()
                await call(function, argument)
                times.append((time.perf_counter() - begun) * 1e3)
            figures[key] = statistics.median(times)
    return figures


def cpu_seconds() -> float:
    """Return the CPU time of this process and those it started."""
    workers = [member for member in tree(os.getpid()) if member.pid != os.getpid()]
    return time.process_time() + sum(member.cpu_ticks for member in workers) / TICKS


def main() -> None:
    """Measure in rounds; print the medians as a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.process_calls", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="of each kind in each round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[Figures]] = {name: [] for name in POOLS}
    for _ in range(options.rounds):
        for name, opened in POOLS.items():
            found[name].append(uvloop.run(measure(opened, options.calls)))
    body = [
        [name, *(f"{statistics.median(one[key] for one in rounds):.1f}" for key in COLUMNS)]
        for name, rounds in found.items()
    ]
    print("\n".join(grid(["pool", *COLUMNS.values()], body)))


if __name__ == "__main__":
    main()
