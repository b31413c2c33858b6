"""The other side of an ASGI application, for tests of what is put around it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidegate.asgi import Application, Message, Receive, Scope, Send

__all__ = ["Answer", "Recorder", "ask", "page", "scope_of", "shake"]

Pair = tuple[str, str]


class Answer:
    """What an application sent."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        prefix = "websocket." if messages[0]["type"].startswith("websocket.http") else ""
        starts = [each for each in messages if each["type"] == f"{prefix}http.response.start"]
        bodies = [each for each in messages if each["type"] == f"{prefix}http.response.body"]
        assert len(starts) == 1
        self.status = starts[0]["status"]
        self.headers = [(k.decode(), v.decode("latin-1")) for k, v in starts[0].get("headers", [])]
        self.chunks = [bytes(each.get("body", b"")) for each in bodies]
        self.body = b"".join(self.chunks)

    def all(self, name: str) -> list[str]:
        """The values of a field."""
        return [value for key, value in self.headers if key == name]

    def __getitem__(self, name: str) -> str | None:
        """The value of a field that may be there once; None if it is not."""
        found = self.all(name)
        assert len(found) <= 1, found
        return found[0] if found else None


def scope_of(
    kind: str, path: str, headers: Iterable[Pair] | dict[str, str], **more: Any
) -> dict[str, Any]:
    """A scope as a server makes it."""
    path, _, query = path.partition("?")
    pairs = headers.items() if isinstance(headers, dict) else headers
    fields = [(name.encode(), value.encode("latin-1")) for name, value in pairs]
    if not any(name == b"host" for name, _ in fields):
        fields.insert(0, (b"host", b"us.example"))
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [pair for pair in fields if pair != (b"host", b"")],
        "client": ("192.0.2.1", 5000),
        "server": ("127.0.0.1", 80),
        "state": {},
        "extensions": {},
        **({"method": "GET"} if kind == "http" else {"subprotocols": []}),
        **more,
    }


async def ask(
    app: Application, path: str = "/", headers: Iterable[Pair] | dict[str, str] = (), **more: Any
) -> Answer:
    """Send a request.  ``headers`` get a Host, if there is none; ``host: ""`` leaves it out."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of("http", path, headers, **more), receive, send)
    return Answer(sent)


async def shake(
    app: Application, path: str = "/", headers: Iterable[Pair] | dict[str, str] = (), **more: Any
) -> list[Message]:
    """Offer a handshake; return what was sent."""
    events = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    sent: list[Message] = []

    async def receive() -> Message:
        return events.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of("websocket", path, headers, **more), receive, send)
    return sent


def page(
    *chunks: bytes, status: int = 200, headers: dict[str, str] | None = None, **start: Any
) -> Application:
    """An application that answers every request with this, and accepts every socket."""
    pairs = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
    begin = {"type": "http.response.start", "status": status, "headers": pairs, **start}
    bodies: list[Message] = [
        {"type": "http.response.body", "body": chunk, "more_body": place < len(chunks)}
        for place, chunk in enumerate(chunks, 1)
    ] or [{"type": "http.response.body"}]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            # The same objects every time: nobody may change them.
            for message in (begin, *bodies):
                await send(message)

    return application


class Recorder:
    """An application that answers, and keeps its scopes."""

    def __init__(self, app: Application | None = None) -> None:
        self.app = app or page(b"ok")
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)

    @property
    def state(self) -> dict[str, Any]:
        """The state of the last request."""
        found: dict[str, Any] = self.scopes[-1]["state"]
        return found
