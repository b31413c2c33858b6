"""The lifespan as the client runs it: what goes wrong in it reaches the test."""

from __future__ import annotations

import asyncio
from typing import Any

from ..asgi import Application, Message, Receive, Scope, Send
from ..exchange.lifespan import Lifespan, LifespanFailed, LifespanMode

__all__ = ["TestedLifespan"]


class TestedLifespan:
    """Starts and stops an application; ``state`` is what requests get a copy of."""

    # Not a test case, whatever pytest thinks of the name.
    __test__ = False

    def __init__(self, app: Application, mode: LifespanMode, raises: bool) -> None:
        self._app = app
        self._raises = raises
        self._lifespan = Lifespan(self._call, mode)
        self._speaks = False  # the application asked for events
        self._error: BaseException | None = None  # what escaped the application
        self._complaint = ""  # what it said when it failed
        self._ended = asyncio.Event()
        if mode == "off":
            self._ended.set()

    @property
    def state(self) -> dict[str, Any]:
        """What the application filled in."""
        return self._lifespan.state

    async def open(self, timeout: float | None) -> None:
        """Start the application.

        Raises ``LifespanFailed`` if it refuses, and what it raises itself.
        """
        try:
            await self._lifespan.startup(timeout)
        except LifespanFailed as failed:
            self._lifespan.abandon()
            await self._ended.wait()
            error, self._error = self._error, None
            raise failed from error
        self._check()

    async def close(self, timeout: float | None) -> None:
        """Stop the application, in so many seconds; raise what goes wrong."""
        await self._lifespan.shutdown(timeout)
        in_time = self._ended.is_set()
        await self._ended.wait()
        self._check()
        if not in_time:
            raise LifespanFailed(f"shutdown took longer than {timeout} s")
        if self._complaint and self._raises:
            raise LifespanFailed(f"shutdown failed: {self._complaint}")

    def _check(self) -> None:
        # One that never asked for an event does not know the protocol.
        error, self._error = self._error, None
        if error is not None and self._speaks and self._raises:
            raise error

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told() -> Message:
            self._speaks = True
            return await receive()

        async def answer(message: Message) -> None:
            if message["type"].endswith(".failed"):
                self._complaint = message.get("message") or "the application gave no reason"
            await send(message)

        try:
            await self._app(scope, told, answer)
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self._error = error
            raise
        finally:
            self._ended.set()
