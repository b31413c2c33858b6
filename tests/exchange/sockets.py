"""Small ASGI applications for sockets that tests share."""

from __future__ import annotations

import asyncio
from typing import Any

from tidegate.asgi import Message, Receive, Scope, Send
from tidegate.testing.peer import turns

__all__ = ["Listening", "Manual", "echo"]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send every message back."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


class Listening:
    """Accepts, and keeps what it receives until the socket is closed."""

    def __init__(self, **accept: Any) -> None:
        self.accept = {"type": "websocket.accept", **accept}
        self.events: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.events.append(await receive())
        await send(self.accept)
        while self.events[-1]["type"] != "websocket.disconnect":
            self.events.append(await receive())

    @property
    def messages(self) -> list[str | bytes]:
        """The content of the messages."""
        kind = "websocket.receive"
        return [
            event.get("text", event.get("bytes")) for event in self.events if event["type"] == kind
        ]

    @property
    def disconnect(self) -> tuple[int, str] | None:
        """Code and reason of the end; None while it has not come."""
        last = self.events[-1]
        return (last["code"], last["reason"]) if last["type"] == "websocket.disconnect" else None


class Manual:
    """Does what the test says: hands it ``scope``, ``receive`` and ``send``."""

    scope: Scope
    receive: Receive
    send: Send

    def __init__(self) -> None:
        self.ended_by: BaseException | None = None
        self.ended = False
        self._end: asyncio.Future[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self._end = asyncio.get_running_loop().create_future()
        try:
            await self._end
        except BaseException as error:
            self.ended_by = error
            raise
        finally:
            self.ended = True

    async def end(self, error: BaseException | None = None) -> None:
        """Return, or raise ``error``."""
        assert self._end is not None
        if error is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(error)
        await turns()

    async def accept(self, **more: Any) -> None:
        """Take the handshake and accept it."""
        assert await self.receive() == {"type": "websocket.connect"}
        await self.send({"type": "websocket.accept", **more})

    async def text(self, text: str) -> None:
        """Send a text message."""
        await self.send({"type": "websocket.send", "text": text})
