"""A raw ASGI application: no framework, just the three arguments.

    tidegate run hello:app --app-dir examples

``/`` says hello, ``/echo`` sends back what you post, ``/clock`` streams a line
a second until you leave.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "http":
        routes = {"/": hello, "/echo": echo, "/clock": clock}
        await routes.get(scope["path"], not_found)(scope, receive, send)


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    scope["state"]["started"] = time.time()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    age = time.time() - scope["state"]["started"]
    await answer(send, 200, f"Hello from Tidegate, up for {age:.0f} s.\n".encode())


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def clock(scope: dict[str, Any], receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while True:
        line = time.strftime("%H:%M:%S\n").encode()
        # Raises an OSError when the client has left, which ends the request.
        await send({"type": "http.response.body", "body": line, "more_body": True})
        await asyncio.sleep(1)


async def not_found(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await answer(send, 404, b"Try /, /echo or /clock.\n")


async def answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
