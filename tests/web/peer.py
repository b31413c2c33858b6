"""The server's side of a WebSocket, for applications that are asked without a server."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.web.driver import Server, scope_for

from tidegate.asgi import Application

__all__ = ["Peer"]


class Peer(Server):
    """What a peer sends, and ``sent``: the events the application sent.

    ``send_fails`` is how many events are taken before the peer is gone.
    """

    def __init__(self, *messages: Any, code: int | None = 1001, send_fails: int = -1) -> None:
        super().__init__()
        self.incoming = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        for message in messages:
            self.say(message)
        if code is not None:
            self.incoming.put_nowait(
                {"type": "websocket.disconnect", "code": code, "reason": "bye"}
            )
        self.events: list[Any] = []
        self.send_fails = send_fails

    def say(self, message: Any) -> None:
        if isinstance(message, dict):
            self.incoming.put_nowait(message)
        else:
            key = "text" if isinstance(message, str) else "bytes"
            self.incoming.put_nowait({"type": "websocket.receive", key: message})

    async def take(self, event: Any) -> None:
        if len(self.events) == self.send_fails:
            raise OSError("the peer is gone")
        self.events.append(event)

    async def talk(self, app: Application, path: str = "/", **more: Any) -> list[Any]:
        scope = {**scope_for("GET", path), "type": "websocket", "subprotocols": [], **more}
        del scope["method"]
        await app(scope, self.receive, self.take)
        return self.events
