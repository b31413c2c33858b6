"""Startup and shutdown as the application sees them (ASGI lifespan 2.0).

The application is called once per event loop.  One that does not know the
protocol raises, and is served without it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal

from ..asgi import Application, Message
from ..errors import AppError

__all__ = ["Lifespan", "LifespanFailed", "LifespanMode"]

logger = logging.getLogger("tidegate.error")

LifespanMode = Literal["auto", "on", "off"]


class LifespanFailed(AppError):
    """The application refused to start, or could not."""


class Lifespan:
    """One lifespan call: ``startup``, then serve, then ``shutdown``.

    ``state`` is the namespace the application may fill; each request gets a
    shallow copy.
    """

    def __init__(self, application: Application, mode: LifespanMode = "auto") -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._mode = mode
        self._task: asyncio.Task[None] | None = None  # None unless running
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._started: asyncio.Future[None] | None = None
        self._stopped: asyncio.Future[None] | None = None

    async def startup(self, timeout: float | None = None) -> None:
        """Send ``lifespan.startup`` and wait until the application is ready.

        Raises ``LifespanFailed`` if it sends ``startup.failed``, takes longer
        than ``timeout`` seconds or, in mode ``on``, does not speak the protocol.
        """
        if self._mode == "off":
            return
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()
        self._stopped = loop.create_future()
        self._inbox.put_nowait({"type": "lifespan.startup"})
        self._task = loop.create_task(self._run(), name="tidegate-lifespan")
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._started)
        except TimeoutError:
            self.abandon()
            raise LifespanFailed(f"lifespan startup took longer than {timeout:g} s") from None

    async def shutdown(self, timeout: float | None = None) -> None:
        """Send ``lifespan.shutdown`` and wait for the answer, at most ``timeout`` seconds.

        What goes wrong is logged: there is nobody left to tell.
        """
        if self._task is None or self._task.done() or self._stopped is None:
            return
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._stopped)
                await asyncio.wait([self._task])
        except TimeoutError:
            logger.error("Lifespan shutdown took longer than %g s; giving up on it", timeout)
            self.abandon()

    def abandon(self) -> None:
        """Cancel the call, whatever it is doing."""
        if self._task is not None:
            self._task.cancel("lifespan abandoned")

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._application(scope, self._inbox.get, self._send)
        except asyncio.CancelledError:
            self._finish(LifespanFailed("lifespan was cancelled"))
            raise
        except BaseException as error:
            self._on_error(error)
        else:
            # Returning without a word is fine: the application wants no events.
            self._finish(None)

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        started, stopped = self._started, self._stopped
        failure = LifespanFailed(message.get("message") or "the application gave no reason")
        if kind == "lifespan.startup.complete" and _settle(started, None):
            return
        if kind == "lifespan.startup.failed" and _settle(started, failure):
            return
        if kind == "lifespan.shutdown.complete" and _settle(stopped, None):
            return
        if kind == "lifespan.shutdown.failed" and _settle(stopped, None):
            logger.error("Lifespan shutdown failed: %s", failure)
            return
        raise AppError(f"message type {kind!r} is unknown or not expected now")

    def _on_error(self, error: BaseException) -> None:
        if self._started is not None and self._started.done():
            if self._started.exception() is None:
                logger.error("Exception in the lifespan of the application", exc_info=error)
        elif self._mode == "on":
            logger.error("Exception in the lifespan of the application", exc_info=error)
            self._finish(LifespanFailed(f"lifespan raised {error!r}"))
        else:
            # ASGI lifespan spec: continue without, the application may just
            # not support it.  But it may also have failed: say why.
            logger.info("The application has no lifespan (it raised %r)", error)
        self._finish(None)

    def _finish(self, failure: LifespanFailed | None) -> None:
        _settle(self._started, failure)
        _settle(self._stopped, None)


def _settle(future: asyncio.Future[None] | None, failure: LifespanFailed | None) -> bool:
    """Set the outcome; False if there was one before."""
    if future is None or future.done():
        return False
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
        # Whoever waits sees it; if nobody does any more, that is no news.
        future.exception()
    return True
