"""A loop of one's own that runs only while somebody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..errors import UsageError

__all__ = ["PrivateLoop"]

T = TypeVar("T")


class PrivateLoop:
    """Runs coroutines in the calling thread, one after the other, always on the same loop.

    Between calls everything stands still: no thread, no surprise.
    """

    def __init__(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise UsageError("an event loop is running here: write 'async with client(app) as c:'")
        # With a factory it leaves the thread's current loop alone.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the loop run until the work is done; return its result or raise its error."""
        if self._loop.is_running() or self._loop.is_closed():
            work.close()
            what = "closed" if self._loop.is_closed() else "busy with another call"
            raise UsageError(f"the client is {what}")
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        """Cancel what still runs and close the loop, as at the end of a server."""
        self._runner.close()
