"""The application that every server runs: as little Python as ASGI allows.

It stands in nobody's way, so what is measured is the server.  Messages are
built afresh for each request, as in a real application; header lists are
shared, because no server may change them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HELLO = b"Hello, world!"
TEN_KIB = b"0123456789abcdef" * 640

HELLO_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
TEN_KIB_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"10240")]


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer ``/hello``, ``/ten_kib`` and ``/echo``; anything else is a 404."""
    if scope["type"] == "http":
        path = scope["path"]
        if path == "/hello":
            await send({"type": "http.response.start", "status": 200, "headers": HELLO_HEADERS})
            await send({"type": "http.response.body", "body": HELLO})
        elif path == "/ten_kib":
            await send({"type": "http.response.start", "status": 200, "headers": TEN_KIB_HEADERS})
            await send({"type": "http.response.body", "body": TEN_KIB})
        elif path == "/echo":
            await echo(receive, send)
        else:
            headers = [(b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
    elif scope["type"] == "lifespan":
        await live(receive, send)
    elif scope["type"] == "websocket":
        await converse(receive, send)
    else:
        raise RuntimeError(f"no row of this benchmark uses {scope['type']!r}")


async def echo(receive: Receive, send: Send) -> None:
    """Read the whole body, then send it back."""
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def converse(receive: Receive, send: Send) -> None:
    """Send every message back."""
    await receive()
    await send({"type": "websocket.accept"})
    message = await receive()
    while message["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})
        message = await receive()


async def live(receive: Receive, send: Send) -> None:
    """Take part in the lifespan protocol and do nothing in it."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
