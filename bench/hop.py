"""What does it cost to call a function in another thread, and to await it?

``python -m bench.hop`` prints CPU time per call: of a function that does
nothing, one call after the other and 64 at a time, and of one that waits for a
millisecond.  The rounds are interleaved, so that a busy minute on the machine
falls on all.  Compare within one table only.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import platform
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio.to_thread
import uvloop

from tidegate.bridge import ThreadPool

__all__ = ["main"]

Hop = Callable[[Callable[[], object]], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """One column."""

    title: str
    function: Callable[[], object]
    concurrent: int
    calls: int


def nothing() -> None:
    """Cost as little as a call can."""


CASES = (
    Case("no work, serial", nothing, 1, 5000),
    Case("no work, 64 at a time", nothing, 64, 32000),
    Case("1 ms wait, 64 at a time", functools.partial(time.sleep, 0.001), 64, 6400),
)


async def inline(function: Callable[[], object]) -> object:
    """Do not hop at all."""
    return function()


async def measure(hop: Hop, case: Case) -> float:
    """Return the CPU time of one call in microseconds."""

    async def caller(count: int) -> None:
        for _ in range(count):
            await hop(case.function)

    before = time.process_time()
    await asyncio.gather(*(caller(case.calls // case.concurrent) for _ in range(case.concurrent)))
    return (time.process_time() - before) / case.calls * 1e6


async def compare(rounds: int) -> dict[str, list[float]]:
    """Return the median of each hop for each case; the first round only warms up."""
    loop = asyncio.get_running_loop()
    pool = ThreadPool("bench")
    hops: dict[str, Hop] = {
        "inline": inline,
        "tidegate ThreadPool.run": pool.run,
        "loop.run_in_executor": lambda function: loop.run_in_executor(None, function),
        "asyncio.to_thread": asyncio.to_thread,
        "anyio.to_thread.run_sync": anyio.to_thread.run_sync,
    }
    taken: dict[str, list[list[float]]] = {name: [[] for _ in CASES] for name in hops}
    for number in range(rounds + 1):
        for index, case in enumerate(CASES):
            for name, hop in hops.items():
                if name == "inline" and case.function is not nothing:
                    continue  # to wait on the loop is what threads are there to avoid
                figure = await measure(hop, case)
                if number:
                    taken[name][index].append(figure)
    await asyncio.to_thread(pool.close, 5)
    return {
        name: [statistics.median(figures) if figures else float("nan") for figures in cases]
        for name, cases in taken.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    options = parser.parse_args()
    factory = uvloop.new_event_loop if options.loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        table = runner.run(compare(options.rounds))
    print(f"CPython {platform.python_version()}, {options.loop}; CPU us per call, median\n")
    print("| hand-off | " + " | ".join(case.title for case in CASES) + " |")
    print("| --- |" + " ---: |" * len(CASES))
    for name, figures in table.items():
        texts = ("-" if figure != figure else f"{figure:.1f}" for figure in figures)
        print(f"| {name} | " + " | ".join(texts) + " |")


if __name__ == "__main__":
    main()
