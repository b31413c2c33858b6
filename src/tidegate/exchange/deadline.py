"""How long may a whole request take, and what happens when that is over?

The server says so for all requests or for those of a path; with a header of
the operator's choice a client may ask for less, never for more.  So it does not
matter who sends the header.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING

from ..asgi import Application, Receive, Scope, Send
from ..deadline import DEADLINE
from ..http import Head

if TYPE_CHECKING:
    from .http import HttpExchange

__all__ = ["EXTENSION", "Deadlines", "Timed"]

logger = logging.getLogger("tidegate.error")

EXTENSION = "tidegate.deadline"

# Seconds as people and proxies write them; more digits say nothing more.
_SECONDS = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,9})?")


class Deadlines:
    """Watches requests; ``seconds`` is for all of them, None for those that say it themselves."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float | None, header: bytes | None
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._header = header  # lower-case; None if clients are not asked
        self._timers: dict[HttpExchange, tuple[asyncio.TimerHandle, float]] = {}

    def watch(self, exchange: HttpExchange) -> None:
        """The request has arrived; its time runs."""
        seconds = self._for(exchange.head)
        if seconds is None:
            return
        at = time.monotonic() + seconds
        if not exchange.in_thread:
            exchange.scope["extensions"][EXTENSION] = {"seconds": seconds, "at": at}
        timer = self._loop.call_later(seconds, self._expire, exchange, seconds)
        self._timers[exchange] = timer, at

    def at(self, exchange: HttpExchange) -> float | None:
        """Return when its time is over, as ``time.monotonic()`` says it; from any thread."""
        watched = self._timers.get(exchange)
        return None if watched is None else watched[1]

    def forget(self, exchange: HttpExchange) -> None:
        """The call is over."""
        watched = self._timers.pop(exchange, None)
        if watched is not None:
            watched[0].cancel()

    def _for(self, head: Head) -> float | None:
        seconds = self._seconds
        for name, value in head.headers if self._header is not None else ():
            if name == self._header and _SECONDS.fullmatch(value):
                asked = float(value)
                seconds = asked if seconds is None else min(seconds, asked)
        return seconds

    def _expire(self, exchange: HttpExchange, seconds: float) -> None:
        self._timers.pop(exchange, None)
        if exchange.complete or exchange.gone:
            return
        scope = {} if exchange.in_thread else exchange.scope
        route = scope.get("route") or exchange.head.path.decode("ascii")
        logger.warning("No answer within %g s, %s %s", seconds, exchange.head.method, route)
        exchange.answer(504, b"Gateway Timeout")
        if exchange.task is not None:
            exchange.task.cancel("the request took too long")


class Timed:
    """An application whose calls know their deadline; see ``tidegate.deadline.time_left``."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call it."""
        extension = scope.get("extensions", {}).get(EXTENSION)
        if extension is not None:
            DEADLINE.set(extension["at"])
        await self.application(scope, receive, send)
