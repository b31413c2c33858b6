"""An event loop from beginning to end, also for applications that do not let go."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from ..errors import ConfigError
from .config import Config

if sys.platform != "win32":
    import uvloop

__all__ = ["leave_threads_behind", "loop_factory", "run_in_loop"]

# What is left after the server has stopped is the application's own, and has
# this long to end.
_LAST_SECONDS = 1.0

# The interpreter waits for threads of executors, for ever if need be.
_THREAD_SECONDS = 5.0

logger = logging.getLogger("tidegate.error")


def loop_factory(config: Config) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return how to make the event loop that the configuration asks for."""
    if sys.platform == "win32":
        if config.loop == "uvloop":
            raise ConfigError("loop 'uvloop' does not exist on Windows")
        return asyncio.new_event_loop
    return asyncio.new_event_loop if config.loop == "asyncio" else uvloop.new_event_loop


def run_in_loop(config: Config, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``main()`` in a new loop and close it.

    Not ``asyncio.Runner``: it would turn Ctrl+C during the import of the
    application into a cancellation that a blocking import never sees, and wait
    for ever for tasks that ignore theirs.
    """
    loop = loop_factory(config)()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main())
    finally:
        try:
            loop.run_until_complete(_end_the_rest())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


async def _end_the_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=_LAST_SECONDS)


def leave_threads_behind(status: int = 0) -> None:
    """Let the process end with ``status`` soon, even if threads of the application do not."""

    def leave() -> None:
        logger.error("Leaving threads that did not end within %g s", _THREAD_SECONDS)
        logging.shutdown()
        os._exit(status)

    timer = threading.Timer(_THREAD_SECONDS, leave)
    # It must not keep the process itself.
    timer.daemon = True
    timer.start()
