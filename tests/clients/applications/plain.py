"""An ASGI application without a framework, for real clients.

The first segment of the path names the coroutine below that answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

opened: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
notes: defaultdict[str, list[str]] = defaultdict(list)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    _, name, *rest = scope["path"].split("/")
    await ROUTES.get(name, nothing_here)(scope, receive, send, "/".join(rest))


def create() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """For ``--factory``."""
    return app


async def lifespan(receive: Receive, send: Send) -> None:
    await receive()
    write_diary("startup")
    if os.environ.get("HANGS") == "startup":
        await asyncio.Event().wait()
    if os.environ.get("STARTUP_FAILS"):
        await send({"type": "lifespan.startup.failed", "message": os.environ["STARTUP_FAILS"]})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    write_diary("shutdown")
    if os.environ.get("HANGS") == "shutdown":
        await asyncio.Event().wait()
    await send({"type": "lifespan.shutdown.complete"})


async def hello(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    await answer(send, b"hello\n", ("content-length", "6"))


async def nothing_here(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    await answer(send, b"nothing here\n", status=404)


async def status(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    await answer(send, f"status {rest}\n".encode(), status=int(rest))


async def redirect(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    await answer(send, b"", ("location", "/"), status=303)


async def show_scope(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    shown = {name: scope[name] for name in ("method", "http_version", "path", "client", "server")}
    shown["raw_path"] = scope["raw_path"].decode()
    shown["query"] = scope["query_string"].decode()
    shown["headers"] = {name.decode(): value.decode() for name, value in scope["headers"]}
    await answer_json(send, shown)


async def digest(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Read the whole body, keeping none of it."""
    size = checksum = 0
    async for piece in body(receive):
        size += len(piece)
        checksum = zlib.crc32(piece, checksum)
    await answer_json(send, {"method": scope["method"], "size": size, "crc32": checksum})


async def swallow(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Write down how the reading of the body ended."""
    message = await receive()
    notes[rest].append("here")
    while message.get("more_body", False):
        message = await receive()
    notes[rest].append(message["type"])


async def flood(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Send for ever."""
    write_diary("flood begun")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        while True:
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
    finally:
        write_diary("flood ended")


async def echo(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Send each piece of the body back as soon as it is here."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    async for piece in body(receive):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def refuse(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Answer without a look at the body."""
    await answer(send, b"not wanted\n", status=413)


async def lines(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Stream as many lines, of unannounced length."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(int(rest)):
        line = f"line {number}\n".encode()
        await send({"type": "http.response.body", "body": line, "more_body": True})
    await send({"type": "http.response.body"})


async def hold(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Answer when the gate is opened by another request; write down if the client leaves."""
    notes[rest].append("here")
    async for _ in body(receive):
        pass
    leaving = asyncio.ensure_future(receive())
    opening = asyncio.ensure_future(opened[rest].wait())
    await asyncio.wait({leaving, opening}, return_when=asyncio.FIRST_COMPLETED)
    if leaving.done():
        notes[rest].append(leaving.result()["type"])
        opening.cancel()
        return
    leaving.cancel()
    await answer(send, b"released\n")


async def release(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    opened[rest].set()
    await answer(send, b"")


async def read_notes(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    await answer_json(send, notes[rest])


async def knock(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Tell the test, over a connection to its own port, that we are in; answer when it says so.

    Unlike ``hold`` this works while the server accepts no more connections.
    """
    async with Knocking():
        write_diary("request answered")
        await answer(send, b"let out\n")


async def knock_streaming(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """The same, with the wait in the middle of the response."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun\n", "more_body": True})
    async with Knocking():
        await send({"type": "http.response.body", "body": b"ended\n"})


class Knocking:
    """Connects to the test and waits for a line; writes down a cancellation."""

    async def __aenter__(self) -> None:
        reader, self.writer = await asyncio.open_connection("127.0.0.1", int(os.environ["DOOR"]))
        try:
            await reader.readline()
        except asyncio.CancelledError:
            write_diary("request cancelled")
            self.writer.close()
            raise

    async def __aexit__(self, *exception: object) -> None:
        self.writer.close()


ROUTES = {
    "": hello,
    "digest": digest,
    "echo": echo,
    "flood": flood,
    "hold": hold,
    "knock": knock,
    "knock-streaming": knock_streaming,
    "lines": lines,
    "notes": read_notes,
    "redirect": redirect,
    "refuse": refuse,
    "release": release,
    "scope": show_scope,
    "status": status,
    "swallow": swallow,
}


async def body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        if message.get("body"):
            yield message["body"]


async def answer(send: Send, content: bytes, *headers: tuple[str, str], status: int = 200) -> None:
    fields = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def answer_json(send: Send, value: object) -> None:
    await answer(send, json.dumps(value).encode(), ("content-type", "application/json"))


def write_diary(line: str) -> None:
    """Write a line into the file that the test names in ``DIARY``, if it does."""
    if os.environ.get("DIARY"):
        with Path(os.environ["DIARY"]).open("a") as diary:
            diary.write(f"{line}\n")
