"""A program with a pool, for a test to kill: ``python -m tests.bridge.processes.parent PORT``."""

from __future__ import annotations

import asyncio
import sys

from tests.bridge.processes import jobs

from tidegate.bridge.processes import ProcessLimits, ProcessPool


async def main(port: int) -> None:
    async with (
        ProcessPool("orphans", ProcessLimits(workers=3)) as pool,
        asyncio.TaskGroup() as calls,
    ):
        calls.create_task(pool.run(jobs.spin, port))
        calls.create_task(pool.run(jobs.block, port))
        print(*[worker.pid for worker in pool._staff.workers], flush=True)  # type: ignore


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
