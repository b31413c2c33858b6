"""Many sockets that wait, and one that sends each of its messages to all of them.

Sockets at ``/lead`` lead; all others wait.  A leader gets its message back when
it has been sent to everybody.  HTTP is answered as in ``raw.py``.
"""

from __future__ import annotations

import raw
from raw import Message, Receive, Send

__all__ = ["app"]

waiting: set[Send] = set()


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Let a socket wait or lead."""
    if scope["type"] != "websocket":
        await raw.app(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/lead":
        await lead(receive, send)
    else:
        await wait(receive, send)


async def lead(receive: Receive, send: Send) -> None:
    """Send every message to all who wait, one after the other."""
    while (message := await receive())["type"] == "websocket.receive":
        for each in list(waiting):
            await each({"type": "websocket.send", "bytes": message["bytes"]})
        await send({"type": "websocket.send", "bytes": message["bytes"]})


async def wait(receive: Receive, send: Send) -> None:
    """Be sent to, until the client leaves."""
    waiting.add(send)
    try:
        while (await receive())["type"] == "websocket.receive":
            pass
    finally:
        waiting.discard(send)
