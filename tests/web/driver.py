"""Asks an application as a server would, with nothing in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.asgi import Application, Message

__all__ = ["Reply", "Server", "ask", "scope_for"]


@dataclass
class Reply:
    """What an application answered; ``error`` is what it raised afterwards."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    pieces: list[bytes] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        found = [v.decode("latin-1") for n, v in self.headers if n == name.encode()]
        return ", ".join(found) if found else None


def scope_for(
    method: str, target: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    path, _, query = target.partition("?")
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in pairs],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 80),
        "state": {},
        "extensions": {},
    }


class Server:
    """One request: what the client sends, and what the application has sent so far."""

    def __init__(self, *pieces: bytes, leaves: bool = False) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        for index, piece in enumerate(pieces, 1):
            more = index < len(pieces) or leaves
            self.incoming.put_nowait({"type": "http.request", "body": piece, "more_body": more})
        if leaves:
            self.leave()
        self.received = 0
        self.reply = Reply()
        self.sent = asyncio.Event()

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Message:
        message = await self.incoming.get()
        self.received += 1
        return message

    async def send(self, message: Message) -> None:
        reply = self.reply
        reply.messages.append(message)
        if message["type"] == "http.response.start":
            assert not reply.status, "a second start"
            reply.status = message["status"]
            reply.headers = list(message["headers"])
        elif message["type"] == "http.response.body":
            assert reply.status, "content before the start"
            reply.pieces.append(message.get("body", b""))
            reply.body += message.get("body", b"")
        self.sent.set()


async def ask(
    app: Application,
    method: str = "GET",
    target: str = "/",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    *pieces: bytes,
    **json_content: Any,
) -> Reply:
    """Send one request; keyword arguments are the members of a JSON object."""
    if json_content:
        pieces = (json.dumps(json_content).encode(),)
        headers = {"content-type": "application/json", **dict(headers)}
    server = Server(*(pieces or (b"",)))
    scope = scope_for(method, target, headers)
    try:
        await app(scope, server.receive, server.send)
    except Exception as error:
        server.reply.error = error
    return server.reply
