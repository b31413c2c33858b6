"""A whole server in the event loop of a test, on a free port, and clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tidegate.asgi import Application, Receive, Scope, Send
from tidegate.server.config import Config
from tidegate.server.server import Server
from tidegate.testing.peer import Response

# Leaves handlers and levels as the test has them.
UNTOUCHED = {"version": 1, "incremental": True}

GET = "GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"


class Diary:
    """An application that notes what it is called for, and answers with the path."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.scopes: list[Scope] = []
        self.may_start = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_stop = asyncio.Event()
        for event in (self.may_start, self.may_answer, self.may_stop):
            event.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self.scopes.append(scope)
        self.entries.append(f"begin {scope['path']}")
        try:
            await self.may_answer.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": scope["path"].encode()})
            self.entries.append(f"end {scope['path']}")
        except asyncio.CancelledError:
            self.entries.append(f"cancel {scope['path']}")
            raise

    async def _live(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        await self.may_start.wait()
        self.entries.append("startup")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await self.may_stop.wait()
        self.entries.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def ask(self, path: str = "/", headers: str = "") -> None:
        """Send a request without waiting for anything."""
        self.writer.write(GET.format(path=path, headers=headers).encode())

    async def answer(self) -> Response:
        """Read one response whose length is announced."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return Response(head + await self.reader.readexactly(length))

    async def rest(self) -> bytes:
        """Read until the server closes."""
        return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass  # the server was quicker, or has sent an alert


class Running:
    """A server that serves, and the task it runs in."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.task = asyncio.ensure_future(server.serve())
        self.clients: list[Client] = []

    @property
    def port(self) -> int:
        return int(self.server.addresses[0].rpartition(":")[2])

    async def started(self) -> None:
        """Wait until it accepts connections; raise what kept it from that."""
        starting = asyncio.ensure_future(self.server.started.wait())
        await asyncio.wait([starting, self.task], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await self.task

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def get(self, path: str = "/", headers: str = "") -> Response:
        """Ask on a connection of its own."""
        client = await self.connect()
        client.ask(path, headers)
        answer = await client.answer()
        await client.close()
        return answer

    async def stop(self) -> None:
        self.server.should_exit = True
        await self.task

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        if not self.task.done():
            await self.stop()


@asynccontextmanager
async def running(
    application: Application | str, *, within: float = 20, **settings: Any
) -> AsyncIterator[Running]:
    """Serve ``application`` on a free port of the running loop; fail after ``within`` seconds."""
    config = Config(application, **{"port": 0, "log_config": UNTOUCHED, **settings})
    made = Running(Server(config))
    async with asyncio.timeout(within):
        try:
            await made.started()
            yield made
        finally:
            await made.close()
