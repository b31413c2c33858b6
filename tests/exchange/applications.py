"""Small ASGI applications that tests of the exchange share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tidegate.asgi import Message, Receive, Scope, Send

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> Message:
    """The event that begins a response."""
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data: bytes = b"", more_body: bool = False) -> Message:
    """An event with content."""
    return {"type": "http.response.body", "body": data, "more_body": more_body}


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start(200, (b"content-type", b"text/plain")))
    await send(body(b"hello"))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    content = b""
    more = True
    while more:
        message = await receive()
        content += message["body"]
        more = message["more_body"]
    await send(start())
    await send(body(content))


def sends(*messages: Any) -> Application:
    """An application that sends these events and returns."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return application


class Recorded:
    """An application that keeps its scopes and the errors that ``send`` raised."""

    def __init__(self, *messages: Any) -> None:
        self.messages = messages or (start(), body(b"ok"))
        self.scopes: list[Any] = []
        self.errors: list[BaseException] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        for message in self.messages:
            try:
                await send(message)
            except Exception as error:
                self.errors.append(error)
