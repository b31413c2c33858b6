"""The lifespan of an ASGI application where no ASGI server drives it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ...asgi import Application, Message
from ...errors import AppError

__all__ = ["Life"]

logger = logging.getLogger("tidegate.error")


class Life:
    """One lifespan call; an application that does not know the protocol goes without."""

    def __init__(self, application: Application) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None  # None unless it takes part

    async def startup(self) -> None:
        """Start the application.  Raises ``AppError`` if it refuses."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._inbox.put_nowait({"type": "lifespan.startup"})
        answer = await self._answers.get()
        if answer is None:
            self._task = None
        elif answer["type"] != "lifespan.startup.complete":
            reason = answer.get("message") or "it gave no reason"
            raise AppError(f"the application did not start: {reason}")

    async def shutdown(self, timeout: float) -> None:
        """Shut the application down; what goes wrong is logged."""
        if self._task is None or self._task.done():
            return
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        try:
            async with asyncio.timeout(timeout):
                answer = await self._answers.get()
                await asyncio.wait([self._task])
        except TimeoutError:
            logger.error("Lifespan shutdown took longer than %g s; giving up on it", timeout)
            self._task.cancel()
            return
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            logger.error("Lifespan shutdown failed: %s", answer.get("message", ""))

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._application(scope, self._inbox.get, self._answers.put)
        except Exception as error:
            logger.info("The application has no lifespan, or left it (it raised %r)", error)
        finally:
            self._answers.put_nowait(None)
