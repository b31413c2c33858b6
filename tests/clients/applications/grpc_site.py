"""A gRPC service written against ASGI alone: length-prefixed messages, status in trailers."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from typing import Any

Scope = dict[str, Any]
HEADERS = [(b"content-type", b"application/grpc")]


async def app(scope: Scope, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    assert "http.response.trailers" in scope["extensions"]
    start = {"type": "http.response.start", "status": 200, "headers": HEADERS, "trailers": True}
    await send(start)
    status, count = b"0", 0
    async for message in messages(receive):
        count += 1
        if scope["path"] == "/test.Echo/Fail":
            status = b"9"
            break
        if scope["path"] == "/test.Echo/Join":
            continue
        times = 3 if scope["path"] == "/test.Echo/Repeat" else 1
        for _ in range(times):
            await say(send, message)
    if scope["path"] == "/test.Echo/Join":
        await say(send, b"%d" % count)
    await send({"type": "http.response.body"})
    fields = [(b"grpc-status", status), (b"grpc-message", b"as asked")]
    await send({"type": "http.response.trailers", "headers": fields})


async def say(send: Any, message: bytes) -> None:
    body = struct.pack(">BI", 0, len(message)) + message
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def messages(receive: Any) -> AsyncIterator[bytes]:
    """Yield each message as soon as all of it is there."""
    data, more = b"", True
    while more:
        event = await receive()
        data += event.get("body", b"")
        more = event.get("more_body", False)
        while len(data) >= 5 and len(data) >= 5 + struct.unpack(">I", data[1:5])[0]:
            size = struct.unpack(">I", data[1:5])[0]
            message, data = data[5 : 5 + size], data[5 + size :]
            yield message
