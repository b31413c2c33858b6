"""Small ASGI applications that tests of the client share."""

from __future__ import annotations

import json

from tidegate.asgi import Receive, Scope, Send

__all__ = ["Mirror", "Sender", "answer", "http_only", "read"]


async def read(receive: Receive) -> list[bytes]:
    """Return the content as the pieces that came."""
    pieces = []
    while (message := await receive())["type"] == "http.request":
        pieces.append(message["body"])
        if not message["more_body"]:
            break
    return pieces


async def answer(
    send: Send,
    body: bytes = b"",
    status: int = 200,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": headers or []})
    await send({"type": "http.response.body", "body": body})


def http_only(scope: Scope) -> None:
    """Refuse a lifespan, as applications do that do not know it."""
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan here")


class Mirror:
    """Answers with what it was asked, as JSON; keeps the last scope and the pieces."""

    def __init__(self, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.status = status
        self.headers = headers or []
        self.scope: Scope = {}
        self.pieces: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        self.scope = scope
        self.pieces = await read(receive)
        seen = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "body": b"".join(self.pieces).decode("latin-1"),
            "headers": [[n.decode(), v.decode("latin-1")] for n, v in scope["headers"]],
        }
        headers = [(b"content-type", b"application/json"), *self.headers]
        await answer(send, json.dumps(seen).encode(), self.status, headers)

    def header(self, name: str) -> str | None:
        """Return a header of the last request."""
        return {n.decode(): v.decode() for n, v in self.scope["headers"]}.get(name)


class Sender:
    """Streams what it is told to; counts what it could send and keeps how it ended."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks
        self.sent = 0
        self.ended_by: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for chunk in self.chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                self.sent += 1
            await send({"type": "http.response.body", "body": b""})
        except BaseException as error:
            self.ended_by = error
            raise
