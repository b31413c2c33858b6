"""Has the client left while its request is being worked on?

Asking costs a task, so it is asked only about requests that take a while: one
timer for all of them looks now and then.  A handler whose client has left is
cancelled, if its route says so.
"""

from __future__ import annotations

import asyncio

from ..errors import ClientDisconnected
from .problems import Problem
from .request import Request

__all__ = ["Watch"]

# A request shorter than this is not worth the asking.
_SECONDS = 0.1


class Watch:
    """The requests in progress that may be cancelled."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self.seconds = seconds
        self._young: dict[Request, asyncio.Task[None]] = {}
        self._old: dict[Request, asyncio.Task[None]] = {}  # who asks for them
        self._left: set[Request] = set()
        self._timer: asyncio.TimerHandle | None = None  # None while nobody is young

    def add(self, request: Request) -> None:
        """A request begins, in the current task."""
        task = asyncio.current_task()
        if task is None:
            return
        self._young[request] = task
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.seconds, self._tick, frozenset())

    def discard(self, request: Request) -> None:
        """A request is over."""
        if self._young.pop(request, None) is None:
            asking = self._old.pop(request, None)
            if asking is not None:
                asking.cancel()
            self._left.discard(request)

    def forgive(self, request: Request) -> bool:
        """Say whether a cancellation was ours, and undo it if so."""
        if request not in self._left:
            return False
        task = asyncio.current_task()
        return task is not None and task.uncancel() == 0

    def _tick(self, seen: frozenset[Request]) -> None:
        """Ask about those that were here a tick ago."""
        self._timer = None
        for request in seen & self._young.keys():
            if _has_no_content(request):
                task = self._young.pop(request)
                self._old[request] = asyncio.create_task(self._ask(request, task))
        if self._young:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.seconds, self._tick, frozenset(self._young))

    async def _ask(self, request: Request, task: asyncio.Task[None]) -> None:
        try:
            await request.disconnected()
        except (ClientDisconnected, Problem):
            pass
        self._left.add(request)
        task.cancel("the client has disconnected")


def _has_no_content(request: Request) -> bool:
    """Say whether nobody else receives: the content was read, or there is none."""
    fields = request.fields
    return request.ended or not (
        fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in fields
    )
