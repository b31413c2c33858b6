"""A test can hold the other end of a WebSocket."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.exchange.sockets import Listening, echo

from tidegate import AppError, UsageError
from tidegate.asgi import Receive, Scope, Send
from tidegate.exchange.service import Policy
from tidegate.testing import Disconnected, HandshakeRefused, TimedOut, client


class Say(msgspec.Struct, tag=True):
    text: str


class Leave(msgspec.Struct, tag=True):
    pass


def sockets(app: Any, **options: Any) -> Any:
    return client(app, lifespan="off", **options)


def test_messages_go_to_and_fro() -> None:
    with sockets(echo) as c, c.ws("/") as ws:
        ws.send("text")
        ws.send(b"binary")
        ws.send({"a": [1]})
        ws.send(Say("hi"))
        assert ws.receive() == "text"
        assert ws.receive(bytes) == b"binary"
        assert ws.receive(dict[str, list[int]]) == {"a": [1]}
        assert ws.receive() == '{"type":"Say","text":"hi"}'
        ws.send(Leave())
        assert ws.receive(Say | Leave) == Leave()
        ws.send("text")
        with pytest.raises(UsageError, match="the message is text, not bytes: 'text'"):
            ws.receive(bytes)
        assert ws.close_code is None


async def test_messages_go_to_and_fro_in_a_coroutine() -> None:
    async with sockets(echo) as c, c.ws("/") as ws:
        await ws.send(Say("hi"))
        assert await ws.receive(Say) == Say("hi")
        waiting = asyncio.create_task(ws.receive())
        await asyncio.sleep(0)
        await ws.send("later")
        assert await waiting == "later"
        await ws.close(4000, "enough")
        with pytest.raises(Disconnected, match="4000 'enough'"):
            await ws.receive()


class Typed:
    """Echoes, and says of which types the messages are."""

    def socket_types(self, path: str) -> tuple[Any, Any] | None:
        return (Say, Say | Leave) if path == "/typed" else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)


def test_the_types_are_learned_from_the_application() -> None:
    with sockets(Typed()) as c:
        with c.ws("/typed") as ws:
            ws.send(Say("hi"))
            assert ws.receive() == Say("hi")
            ws.send("nothing of the kind")
            with pytest.raises(ValueError, match="malformed"):
                ws.receive()
        with c.ws("/other") as ws:
            ws.send(Say("hi"))
            assert ws.receive() == '{"type":"Say","text":"hi"}'


def test_the_handshake_carries_headers_cookies_and_subprotocols() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await receive()
        cookie = [(b"set-cookie", b"seen=1; Path=/"), (b"x-more", b"yes")]
        await send({"type": "websocket.accept", "subprotocol": "b", "headers": cookie})

    with sockets(app, cookies={"a": "1"}) as c:
        with c.ws(
            "/room?x=1", headers={"authorization": "ann"}, subprotocols=["a", "b"], params={"y": 2}
        ) as ws:
            assert ws.subprotocol == "b"
            assert ws.headers["x-more"] == "yes"
        assert c.cookies["seen"] == "1"
        with pytest.raises(AppError, match="not among"), c.ws("wss://other/room"):
            pass
    first = scopes[0]
    headers = dict(first["headers"])
    assert (first["type"], first["scheme"], first["path"]) == ("websocket", "ws", "/room")
    assert first["query_string"] == b"x=1&y=2"
    assert first["subprotocols"] == ["a", "b"]
    assert (headers[b"authorization"], headers[b"cookie"]) == (b"ann", b"a=1")
    assert (scopes[1]["scheme"], scopes[1]["server"]) == ("wss", ("other", 443))


def test_the_application_hears_why_a_socket_ends() -> None:
    app = Listening()
    with sockets(app) as c:
        with c.ws("/"):
            pass
        assert app.disconnect == (1000, "")
        with c.ws("/") as ws:
            ws.send("x")
            ws.close(4001, "bye")
            assert (ws.close_code, ws.close_reason) == (4001, "bye")
            with pytest.raises(Disconnected) as raised:
                ws.send("y")
            assert (raised.value.code, raised.value.reason) == (4001, "bye")
        assert app.disconnect == (4001, "bye")
        assert app.messages == ["x"]
        with c.ws("/") as ws:
            ws.disconnect()
            assert ws.close_code == 1006
        assert app.disconnect == (1006, "")


async def test_the_application_hears_of_a_client_that_vanished_from_a_coroutine() -> None:
    app = Listening()
    async with sockets(app) as c, c.ws("/") as ws:
        await ws.disconnect()
        await c.settle()
        assert app.disconnect == (1006, "")


async def closing(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends three messages, then closes."""
    await receive()
    await send({"type": "websocket.accept"})
    for text in ("1", "2", "3"):
        await send({"type": "websocket.send", "text": text})
    await send({"type": "websocket.close", "code": 4002, "reason": "done"})
    assert (await receive())["type"] == "websocket.disconnect"


def test_the_messages_end_when_the_application_closes() -> None:
    with sockets(closing) as c:
        with c.ws("/") as ws:
            assert list(ws) == ["1", "2", "3"]
            assert (ws.close_code, ws.close_reason) == (4002, "done")
            with pytest.raises(Disconnected, match="4002"):
                ws.receive()
        with c.disconnect_after(2), c.ws("/") as ws:
            assert list(ws) == ["1", "2"]
            assert ws.close_code == 1006


async def test_the_messages_end_in_a_coroutine() -> None:
    async with sockets(closing) as c, c.ws("/") as ws:
        assert [message async for message in ws] == ["1", "2", "3"]


def test_a_refused_handshake_shows_the_response() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/denied":
            headers = [(b"x-why", b"none of yours")]
            start = "websocket.http.response.start"
            await send({"type": start, "status": 401, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": b"who are you?"})
        else:
            await send({"type": "websocket.close"})

    with sockets(app) as c:
        with pytest.raises(HandshakeRefused, match="was answered 401") as raised, c.ws("/denied"):
            pytest.fail("entered")
        assert raised.value.reply.status == 401
        assert raised.value.reply.headers["x-why"] == "none of yours"
        with pytest.raises(HandshakeRefused) as raised, c.ws("/"):
            pytest.fail("entered")
        assert raised.value.reply.status == 403


def test_what_escapes_the_application_is_raised() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/before":
            raise KeyError("before")
        await send({"type": "websocket.accept"})
        await receive()
        raise KeyError("after")

    with sockets(app) as c:
        with pytest.raises(KeyError, match="before"), c.ws("/before"):
            pytest.fail("entered")
        with c.ws("/") as ws:
            ws.send("go")
            with pytest.raises(KeyError, match="after"):
                ws.receive()
        with pytest.raises(KeyError, match="after"), c.ws("/") as ws:
            ws.send("go")
    with sockets(app, raise_errors=False) as c:
        with pytest.raises(HandshakeRefused, match="500"), c.ws("/before"):
            pytest.fail("entered")
        with c.ws("/") as ws:
            ws.send("go")
            assert list(ws) == []
            assert ws.close_code == 1011


def test_the_cause_is_raised_rather_than_its_consequence() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1011})
        for _ in range(10):
            await asyncio.sleep(0)
        raise KeyError("the cause")

    with sockets(app) as c, pytest.raises(KeyError, match="the cause"), c.ws("/") as ws:
        ws.receive()


def test_an_application_that_does_not_read_holds_the_test_back() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.Event().wait()

    with sockets(app, policy=Policy(disconnect_grace=0)) as c, c.ws("/", timeout=0.05) as ws:
        for _ in range(Policy.max_queue):
            ws.send("x")
        with pytest.raises(TimedOut, match="did not receive messages"):
            ws.send("one too many")


def test_a_slow_reader_holds_the_application_back() -> None:
    sent = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(10):
            await send({"type": "websocket.send", "text": str(number)})
            sent.append(number)

    with sockets(app) as c, c.ws("/", buffer=0) as ws:
        for number in range(5):
            assert ws.receive() == str(number)
            assert len(sent) <= number + 1
    assert len(sent) < 10


def test_an_application_that_says_nothing_times_out() -> None:
    with sockets(Listening()) as c, c.ws("/", timeout=0.01) as ws:
        with pytest.raises(TimedOut, match="did not send a message"):
            ws.receive()
        ws.send("x")
