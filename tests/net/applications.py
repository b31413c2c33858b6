"""What these tests serve, and what they send."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tidegate.asgi import Application, Message, Receive, Scope, Send
from tidegate.testing.peer import Peer

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def post(length: int, content: bytes = b"", headers: str = "", target: str = "/") -> bytes:
    """Return the head of a POST that announces ``length`` bytes, and ``content`` after it."""
    head = f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{headers}\r\n"
    return head.encode() + content


def chunked_post(content: bytes = b"") -> bytes:
    """Return the head of a chunked POST and the beginning of its body as it is on the wire."""
    return b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + content


def is_left(peer: Peer) -> bool:
    """Say whether the server has said its last word on the connection."""
    return peer.transport.closed or peer.transport.eof_written


async def respond(
    send: Send,
    body: bytes = b"hello",
    headers: Iterable[tuple[bytes, bytes]] = (),
    status: int = 200,
) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def begin(send: Send, body: bytes = b"") -> None:
    """Send the beginning of a response; the head goes out with the first content event."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def read_body(receive: Receive) -> bytes:
    """Receive all the content of a request; fail if the client leaves before."""
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        body += message["body"]
        if not message["more_body"]:
            return body


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a look at the request."""
    await respond(send)


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the content of the request."""
    await respond(send, await read_body(receive))


async def flooding(scope: Scope, receive: Receive, send: Send) -> None:
    """Send for ever, as fast as ``send`` allows."""
    await begin(send)
    while True:
        await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})


class Held:
    """Answers with the path, but only when it is told: at once after ``release``."""

    def __init__(self) -> None:
        self.paths: list[str] = []  # in the order of the calls
        self.released = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        await self.released.wait()
        await respond(send, scope["path"].encode())

    def release(self) -> None:
        self.released.set()


class Listening:
    """Keeps what ``receive`` returns until the client leaves; answers ``early`` if asked to."""

    def __init__(self, early: bool = False) -> None:
        self.messages: list[Message] = []
        self._early = early

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._early:
            await begin(send, b"early")
        while not self.messages or self.messages[-1]["type"] != "http.disconnect":
            self.messages.append(await receive())

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def told_of_disconnect(self) -> bool:
        return bool(self.messages) and self.messages[-1]["type"] == "http.disconnect"


def by_path(**applications: Application) -> Application:
    """Return an application that calls ``a`` for ``/a`` and so on."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await applications[scope["path"].strip("/")](scope, receive, send)

    return application
