"""What an HTTP exchange and a WebSocket exchange have in common.

Waiting without losing anything, and what becomes of an application whose
client has left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from ..errors import ClientDisconnected
from .disconnect import only_disconnected
from .out import Out
from .service import Service

__all__ = ["Exchange"]

logger = logging.getLogger("tidegate.error")


class Exchange:
    """Base of exchanges; has no ``__init__``: each call would cost every request."""

    __slots__ = ("_grace", "_told", "_waiters", "gone", "out", "service", "task")

    out: Out
    service: Service
    task: asyncio.Task[None] | None  # None until started
    gone: bool  # the client cannot be reached
    _grace: asyncio.Handle | None  # None unless the client left
    _told: bool  # the application knows that the client has gone
    _waiters: list[asyncio.Future[None]] | None  # None while nobody waits

    def begin(self) -> None:
        """Call the application, which runs until it first has to wait."""
        service = self.service
        task = service.start(self.run(), service.context.copy())
        self.task = task
        if not task.done():
            service.running.add(self)

    async def run(self) -> None:
        """Call the application and see to it that the exchange ends, one way or another."""

    def peer_gone(self) -> None:
        """The client cannot be reached any more."""

    @property
    def is_stream(self) -> bool:
        """Whether it has begun a response that says nothing of where it ends."""
        return False

    def on_drain(self, seconds: float) -> None:
        """The server shuts down; a socket hears of that from what carries it."""

    def cut(self) -> None:
        """End it in the middle."""
        self.out.abort()

    def may_write(self) -> None:
        """The peer takes data again."""
        self._wake()

    def _finished(self) -> None:
        """The call is over, and it had to wait."""
        self.service.finished(self)
        # A task that failed holds its traceback, which holds us; a timer too.
        self.task = None
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _is_idle(self) -> bool:
        """Say whether a call that nobody listens to may be cancelled."""
        return True

    def log_failure(self, error: BaseException, where: str) -> None:
        """Log what escaped the application, unless it is our own news of a lost client.

        The test client gives it to the test instead.
        """
        if not (self.gone and only_disconnected(error)):
            logger.error("Exception in the application, %s", where, exc_info=error)

    def _nobody_listens(self) -> Awaitable[None]:
        """Raise ``ClientDisconnected``, unless the policy is to ignore that."""
        if self.service.policy.on_disconnect == "ignore":
            # Not SENT: an application that sends in a loop must not hold the loop.
            return asyncio.sleep(0)
        self._told = True
        raise ClientDisconnected("the client has disconnected")

    async def _flushed(self) -> None:
        """Wait until the peer takes data again."""
        while self.out.congested and not self.gone:
            await self._wait()
        if self.gone:
            await self._nobody_listens()

    async def _wait(self) -> None:
        # A future of its own for every wait: the application may cancel it.
        waiter = self.service.loop.create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if self._waiters is not None and waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def _on_loss(self) -> None:
        """The client left: tell who waits, and see later who does not react."""
        self._wake()
        policy = self.service.policy
        if policy.on_disconnect == "cancel" and self.task is not None:
            loop = self.service.loop
            self._grace = loop.call_later(policy.disconnect_grace, self._on_grace_over)

    def _on_grace_over(self) -> None:
        # A loop that was busy all the time comes to both at once: whom we woke goes first.
        self._grace = self.service.loop.call_soon(self._cancel_if_idle)

    def _cancel_if_idle(self) -> None:
        # One that was told decides for itself.
        if self.task is not None and not self._told and self._is_idle():
            self.task.cancel("the client has disconnected")
