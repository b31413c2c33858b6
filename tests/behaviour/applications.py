"""What these tests serve, besides the applications of the network tests."""

from __future__ import annotations

import asyncio

from tidegate.asgi import Message, Receive, Scope, Send

__all__ = ["Kept", "Sends", "Watched"]


class Sends:
    """Reads nothing, and sends these events."""

    def __init__(self, *events: Message) -> None:
        self.events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for event in self.events:
            await send(dict(event))


class Kept(Sends):
    """Keeps the scopes of its calls as well."""

    def __init__(self, *events: Message) -> None:
        super().__init__(*events)
        self.scopes: list[Scope] = []

    @property
    def scope(self) -> Scope:
        return self.scopes[-1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await super().__call__(scope, receive, send)


class Watched:
    """Sends pieces of 64 KiB, as many as asked for, and notes what comes of that."""

    PIECE = b"x" * 65536

    def __init__(self, count: int) -> None:
        self.count = count
        self.sent = 0
        self.waits = asyncio.Event()  # a ``send`` has not returned at once
        self.over = asyncio.Event()
        self.failure: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200})
            while self.sent < self.count:
                await self._send(send)
                self.sent += 1
            await send({"type": "http.response.body"})
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self.over.set()

    async def _send(self, send: Send) -> None:
        event = {"type": "http.response.body", "body": self.PIECE, "more_body": True}
        sending = asyncio.ensure_future(send(event))
        done, _ = await asyncio.wait([sending], timeout=1)
        if not done:
            self.waits.set()
        await sending
