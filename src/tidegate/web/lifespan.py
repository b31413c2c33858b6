"""The lifespan of an application, and of those mounted in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from ..asgi import Application, Message, Receive, Send
from ..errors import ConfigError

__all__ = ["lifespan_of", "serve_lifespan"]

logger = logging.getLogger("tidegate.app")


async def serve_lifespan(
    opened: contextlib.AbstractAsyncContextManager[Any], receive: Receive, send: Send
) -> None:
    """Answer the lifespan messages of a server by entering and leaving a context."""
    await receive()
    try:
        await opened.__aenter__()
    except Exception as error:
        # The server logs the message; the traceback is ours to log.
        if not isinstance(error, ConfigError):
            logger.exception("The application could not start")
        await send({"type": "lifespan.startup.failed", "message": _text(error)})
        return
    try:
        await send({"type": "lifespan.startup.complete"})
        await receive()
    except BaseException as error:
        # The server gives us up without a word: what is open is closed all the same.
        await opened.__aexit__(type(error), error, error.__traceback__)
        raise
    try:
        await opened.__aexit__(None, None, None)
    except Exception as error:
        logger.exception("The application could not shut down")
        await send({"type": "lifespan.shutdown.failed", "message": _text(error)})
        return
    await send({"type": "lifespan.shutdown.complete"})


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


@contextlib.asynccontextmanager
async def lifespan_of(app: Application, state: dict[str, Any]) -> AsyncIterator[None]:
    """Run the lifespan of another application, if it has one, around the block.

    What it puts into its state goes to ``state``.  Raises ``ConfigError`` if it
    says that it cannot start.
    """
    driver = _Driver(app, state)
    try:
        await driver.say("lifespan.startup")
        try:
            yield
        finally:
            await driver.say("lifespan.shutdown")
    finally:
        driver.task.cancel()
        await asyncio.wait([driver.task])


class _Driver:
    def __init__(self, app: Application, state: dict[str, Any]) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Message] = asyncio.Queue()
        asgi = {"version": "3.0", "spec_version": "2.0"}
        scope = {"type": "lifespan", "asgi": asgi, "state": state}
        self.task = asyncio.create_task(self._run(app, scope))
        self.supported = True

    async def _run(self, app: Application, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self.incoming.get, self.outgoing.put)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # What is raised at once means that it knows no lifespan (ASGI lifespan spec).
            logger.debug("A mounted application has no lifespan: %r", error)
        finally:
            self.outgoing.put_nowait({"type": "returned"})

    async def say(self, kind: str) -> None:
        if not self.supported or self.task.done():
            return
        await self.incoming.put({"type": kind})
        answer = await self.outgoing.get()
        if answer["type"] == f"{kind}.failed":
            message = answer.get("message", "")
            if kind == "lifespan.startup":
                raise ConfigError(f"a mounted application did not start: {message}")
            logger.error("A mounted application did not shut down: %s", message)
        self.supported = answer["type"] == f"{kind}.complete"
