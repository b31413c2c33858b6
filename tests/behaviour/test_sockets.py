"""WebSocket: a connection of its own in HTTP/1.1, a stream in the others (RFC 8441, RFC 9220)."""

from __future__ import annotations

import asyncio

import pytest
from tests.behaviour.applications import Sends
from tests.behaviour.calls import Lost
from tests.behaviour.conftest import Serve
from tests.net.applications import hello
from wsproto.events import CloseConnection

from tidegate.asgi import Message, Receive, Scope, Send


class Echo:
    """Sends every message back; keeps its scope and what it receives."""

    def __init__(self, **accept: object) -> None:
        self.accept = accept
        self.scope: Scope = {}
        self.messages: list[Message] = []
        self.over = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await hello(scope, receive, send)
            return
        self.scope = scope
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", **self.accept})
        while True:
            message = await receive()
            self.messages.append(message)
            if message["type"] == "websocket.disconnect":
                self.over.set()
                return
            await send({**message, "type": "websocket.send"})


@pytest.mark.parametrize(
    "message", ["", "text", "é" * 40_000, b"", b"\0bytes", b"x" * 1_000_000], ids=lambda m: len(m)
)
async def test_messages_come_back(serve: Serve, message: str | bytes) -> None:
    async with serve(Echo()) as client:
        socket = await client.socket()
        sending = asyncio.ensure_future(socket.send(message))
        assert await socket.receive() == message
        await sending


async def test_the_scope_says_what_was_asked(serve: Serve) -> None:
    echo = Echo(subprotocol="two", headers=[(b"x-y", b"z")])
    async with serve(echo) as client:
        call = await client.begin_socket("/a%20b?c=d", [(b"sec-websocket-protocol", b"one, two")])
        answer = await call.head()
    assert answer.status == client.accepted_status
    assert answer.one(b"sec-websocket-protocol") == b"two"
    assert answer.one(b"x-y") == b"z"
    scope = echo.scope
    assert (scope["type"], scope["http_version"]) == ("websocket", client.http_version)
    assert scope["scheme"] == client.scheme.replace("http", "ws")
    assert (scope["path"], scope["raw_path"]) == ("/a b", b"/a%20b")
    assert (scope["query_string"], scope["subprotocols"]) == (b"c=d", ["one", "two"])
    assert scope["headers"][0] == (b"host", b"test")
    assert "method" not in scope


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (3999, "")])
async def test_a_close_of_the_client_is_told_and_answered(
    serve: Serve, code: int, reason: str
) -> None:
    echo = Echo()
    async with serve(echo) as client:
        socket = await client.socket()
        await socket.close(code, reason)
        answered = await socket.receive()
        await echo.over.wait()
    assert isinstance(answered, CloseConnection)
    assert answered.code == code
    assert (echo.messages[-1]["code"], echo.messages[-1]["reason"]) == (code, reason)


async def test_a_close_of_the_application_is_sent(serve: Serve) -> None:
    close = {"type": "websocket.close", "code": 4000, "reason": "enough"}
    async with serve(Sends({"type": "websocket.accept"}, close)) as client:
        socket = await client.socket()
        event = await socket.receive()
        await socket.close(4000)
    assert isinstance(event, CloseConnection)
    assert (event.code, event.reason) == (4000, "enough")


async def test_an_application_that_returns_closes(serve: Serve) -> None:
    async with serve(Sends({"type": "websocket.accept"})) as client:
        socket = await client.socket()
        event = await socket.receive()
        assert isinstance(event, CloseConnection)
        assert event.code == 1000
        await socket.close(1000)


async def test_an_application_that_fails_closes_with_1011(serve: Serve) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        raise ValueError("as asked")

    async with serve(application) as client:
        socket = await client.socket()
        event = await socket.receive()
        assert isinstance(event, CloseConnection)
        assert event.code == 1011
        await socket.close(1011)


async def test_a_client_that_leaves_is_told_as_1006(serve: Serve) -> None:
    echo = Echo()
    async with serve(echo) as client:
        socket = await client.socket()
        await socket.send("x")
        await socket.receive()
        socket.call.leave()
        await echo.over.wait()
    assert echo.messages[-1]["code"] == 1006


async def test_a_socket_may_be_denied(serve: Serve) -> None:
    async with serve(Sends({"type": "websocket.close"})) as client:
        call = await client.begin_socket("/")
        assert (await call.result()).status == 403


async def test_a_denial_may_be_a_response(serve: Serve) -> None:
    start = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x", b"y")]}
    body = {"type": "websocket.http.response.body", "body": b"who are you?"}
    async with serve(Sends(start, body)) as client:
        answer = await (await client.begin_socket("/")).result()
    assert (answer.status, answer.body, answer.lost) == (401, b"who are you?", False)
    assert answer.one(b"x") == b"y"


async def test_an_application_that_fails_before_it_accepts_is_a_500(serve: Serve) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("as asked")

    async with serve(application) as client:
        assert (await (await client.begin_socket("/")).result()).status == 500


async def test_a_message_that_is_too_large_closes_with_1009(serve: Serve) -> None:
    async with serve(Echo(), ws_max_size=1000) as client:
        socket = await client.socket()
        await socket.send("x" * 1001)
        event = await socket.receive()
    assert isinstance(event, CloseConnection)
    assert event.code == 1009


async def test_a_stopping_server_closes_with_1012(serve: Serve) -> None:
    async with serve(Echo()) as client:
        socket = await client.socket()
        await client.stopping()
        event = await socket.receive()
        assert isinstance(event, CloseConnection)
        assert event.code == 1012
        await socket.close(1012)
        await client.running.task


async def test_requests_are_answered_beside_a_socket(serve: Serve) -> None:
    async with serve(Echo()) as client:
        socket = await client.socket()
        assert (await client.get()).body == b"hello"
        await socket.send("still here")
        assert await socket.receive() == "still here"


async def test_after_the_close_nothing_more_comes(serve: Serve) -> None:
    async with serve(Echo()) as client:
        socket = await client.socket()
        await socket.close(1000)
        assert isinstance(await socket.receive(), CloseConnection)
        with pytest.raises((Lost, AssertionError)):
            await socket.receive()
