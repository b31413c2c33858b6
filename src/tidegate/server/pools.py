"""``[pools.NAME]``: which pools are there, and what becomes of their threads at the end?"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractContextManager

from ..bridge.assignment import Assignment, assigned
from ..bridge.threads import pools
from .config import Config

__all__ = ["close_threads", "running_where"]

logger = logging.getLogger("tidegate.error")


def running_where(config: Config) -> AbstractContextManager[None]:
    """Return a block in which named pools run where the configuration says."""
    return assigned(
        {
            name: Assignment(pool.backend, pool.workers, pool.max_queue)
            for name, pool in config.pools.items()
        }
    )


async def close_threads(seconds: float) -> None:
    """End the threads of the running loop's pools; say which of them go on."""
    loop = asyncio.get_running_loop()
    for stack in await asyncio.to_thread(pools.close, seconds, loop):
        logger.error("A call in a thread is still in progress after %g s: %s", seconds, stack)
