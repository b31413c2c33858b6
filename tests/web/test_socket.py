"""A WebSocket as a typed channel: accepted when used, closed with a reason, ended by ending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import msgspec
import pytest
from tests.web.driver import ask
from tests.web.peer import Peer

from tidegate import (
    App,
    Body,
    ClientDisconnected,
    ConfigError,
    Depends,
    Hub,
    Problem,
    Query,
    Request,
    Socket,
    Tasks,
    UsageError,
)

DENIAL = {"websocket.http.response": {}}


class Say(msgspec.Struct, tag=True):
    text: Annotated[str, msgspec.Meta(max_length=3)]


class Leave(msgspec.Struct, tag=True):
    pass


class Said(msgspec.Struct, tag=True):
    text: str


def echo(hint: Any) -> App:
    app = App()

    async def handler(socket: Any) -> None:
        async for message in socket:
            await socket.send(message)

    handler.__annotations__["socket"] = hint
    app.ws("/")(handler)
    return app


@pytest.mark.parametrize(
    ("hint", "messages", "answers"),
    [
        (Socket, ["a", b"b"], ["a", b"b"]),
        (Socket[Any, Any], ["a", b"b"], ["a", b"b"]),
        (Socket[str, str], ["a"], ["a"]),
        (Socket[bytes, bytes], [b"b"], [b"b"]),
        (Socket[str | bytes, str | bytes], ["a", b"b"], ["a", b"b"]),
        (Socket[list[int], list[int]], ["[1, 2]", b"[3]"], ["[1,2]", "[3]"]),
        (Socket[int | None, int | None], ["1", "null"], ["1", "null"]),
        (
            Socket[Say | Leave, Say | Leave],
            ['{"type":"Say","text":"hi"}', '{"type":"Leave"}'],
            ['{"type":"Say","text":"hi"}', '{"type":"Leave"}'],
        ),
    ],
)
async def test_messages_are_what_the_types_say(
    hint: Any, messages: list[Any], answers: list[Any]
) -> None:
    first, *rest = await Peer(*messages).talk(echo(hint))
    assert first == {"type": "websocket.accept", "headers": []}
    assert [event.get("text", event.get("bytes")) for event in rest] == answers


async def test_bytes_of_any_kind_are_binary() -> None:
    app = App()

    @app.ws("/")
    async def handler(socket: Socket[str, Said]) -> None:
        for data in (b"a", bytearray(b"b"), memoryview(b"c")):
            await socket.send(data)  # type: ignore[arg-type]

    events = await Peer().talk(app)
    assert [event.get("bytes") for event in events[1:-1]] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("hint", "message", "reason"),
    [
        (Socket[Say, Said], '{"type":"Say","text":"long"}', "#/text: "),
        (Socket[Say, Said], '{"type":"Nay"}', "#/"),
        (Socket[Say, Said], "no json", ""),
        (Socket[Say, Said], b"\xff", ""),
        (Socket[str, str], b"x", "messages are text"),
        (Socket[bytes, str], "x", "messages are binary"),
    ],
)
async def test_a_bad_message_closes_with_a_reason(hint: Any, message: Any, reason: str) -> None:
    _, close = await Peer(message).talk(echo(hint))
    assert (close["type"], close["code"]) == ("websocket.close", 1007)
    assert close["reason"].startswith(reason)
    assert 0 < len(close["reason"].encode()) <= 123


async def test_a_handler_that_catches_a_bad_message_finds_the_socket_closed() -> None:
    app = App()

    @app.ws("/")
    async def handler(socket: Socket[int, str]) -> None:
        with pytest.raises(Problem):
            await socket.receive()
        with pytest.raises(ClientDisconnected):
            await socket.send("x")

    events = await Peer("x").talk(app)
    assert [event["type"] for event in events] == ["websocket.accept", "websocket.close"]


async def test_a_socket_is_accepted_by_hand_with_subprotocol_and_fields() -> None:
    app = App()

    @app.ws("/")
    async def handler(socket: Socket[str, str]) -> None:
        assert socket.subprotocols == ["a", "b"]
        await socket.accept("b", [("X-A", "1")])
        with pytest.raises(UsageError, match="accepted before"):
            await socket.accept()
        await socket.close(4001, "é" * 100)
        await socket.close()
        with pytest.raises(ClientDisconnected):
            await socket.receive()

    accept, close = await Peer().talk(app, subprotocols=["a", "b"])
    assert accept["subprotocol"] == "b"
    assert accept["headers"] == [(b"x-a", b"1")]
    assert close == {"type": "websocket.close", "code": 4001, "reason": "é" * 61}


async def test_a_socket_that_nobody_used_is_accepted_and_closed() -> None:
    app = App()

    @app.ws("/")
    async def handler(socket: Socket[str, str]) -> None: ...

    accept, close = await Peer().talk(app)
    assert (accept["type"], close["code"]) == ("websocket.accept", 1000)


async def test_a_socket_closed_before_it_was_accepted_is_refused() -> None:
    app = App()

    @app.ws("/")
    async def handler(socket: Socket[str, str]) -> None:
        await socket.close()
        for use in (socket.accept, socket.receive, lambda: socket.send("x")):
            with pytest.raises(ClientDisconnected):
                await use()

    (close,) = await Peer().talk(app)
    assert close["type"] == "websocket.close"


async def test_a_problem_before_the_socket_is_accepted_is_a_response() -> None:
    app = App()

    @app.ws("/")
    async def handler(socket: Socket[str, str], n: Annotated[int, Query()] = 0) -> None:
        raise Problem(401, "é" * 200, headers={"www-authenticate": "Basic"})

    start, body = await Peer().talk(app, extensions=DENIAL)
    assert (start["status"], msgspec.json.decode(body["body"])["status"]) == (401, 401)
    assert (b"www-authenticate", b"Basic") in start["headers"]
    (close,) = await Peer().talk(app)
    assert (close["code"], len(close["reason"].encode())) == (1008, 122)
    start, _ = await Peer().talk(app, extensions=DENIAL, query_string=b"n=x")
    assert start["status"] == 422


async def test_a_problem_afterwards_is_a_close_code() -> None:
    app = App()

    @app.ws("/")
    async def handler(socket: Socket[str, str]) -> None:
        await socket.accept()
        raise Problem(404, "no such room")

    _, close = await Peer().talk(app)
    assert (close["code"], close["reason"]) == (4404, "no such room")


async def test_an_error_closes_and_is_raised_for_the_server_to_log() -> None:
    app = App()

    @app.ws("/late")
    async def late(socket: Socket[str, str]) -> None:
        await socket.accept()
        raise ValueError("secret")

    @app.ws("/early")
    async def early(socket: Socket[str, str]) -> None:
        raise ValueError("secret")

    for target, more in (("/late", {}), ("/early", {}), ("/early", {"extensions": DENIAL})):
        peer = Peer()
        with pytest.raises(ValueError, match="secret"):
            await peer.talk(app, target, **more)
        assert "secret" not in str(peer.events)
    assert peer.events[0]["status"] == 500
    peer = Peer(send_fails=1)
    # Nobody can be told; the server is.
    with pytest.raises(ValueError, match="secret"):
        await peer.talk(app, "/late")


async def test_a_peer_that_leaves_while_it_is_sent_to_is_a_normal_end() -> None:
    app = App()
    log: list[Any] = []

    async def resource() -> AsyncIterator[int]:
        try:
            yield 1
        except ClientDisconnected:
            log.append("closed")
            raise

    @app.ws("/")
    async def handler(
        socket: Socket[str, str], one: Annotated[int, Depends(resource)], tasks: Tasks
    ) -> None:
        tasks.add(log.append, "task")
        try:
            while True:
                await socket.send("x")
        finally:
            log.append((socket.closed, socket.code))

    events = await Peer(send_fails=3).talk(app)
    assert len(events) == 3
    assert log == [(True, 1006), "closed"]


async def test_how_the_peer_left_is_known() -> None:
    app = App()
    seen: list[Any] = []

    @app.ws("/")
    async def handler(socket: Socket[str, str]) -> None:
        seen.extend([message async for message in socket])
        seen.append((socket.code, socket.reason))

    await Peer("a", code=4000).talk(app)
    await Peer({"type": "websocket.disconnect"}).talk(app)
    assert seen == ["a", (4000, "bye"), (1005, "")]


async def test_a_shutdown_of_the_server_is_seen() -> None:
    app = App()
    seen: list[bool] = []

    @app.ws("/", heartbeat=5)
    async def handler(socket: Socket[str, str]) -> None:
        async for _ in socket:
            seen.append(socket.draining)

    peer = Peer("a", {"type": "websocket.drain", "seconds": 5.0}, code=None)
    peer.say("b")
    peer.say({"type": "websocket.disconnect", "code": 1000})
    accept, *_ = await peer.talk(app, extensions={"tidegate.drain": {}})
    assert (accept["drain"], accept["ping_interval"]) == (True, 5)
    assert seen == [False, True]


async def test_other_servers_are_told_nothing_they_do_not_know() -> None:
    app = App()

    @app.ws("/", heartbeat=5)
    async def handler(socket: Socket[str, str]) -> None: ...

    accept, *_ = await Peer().talk(app)
    assert accept == {"type": "websocket.accept", "headers": []}


async def test_dependencies_are_opened_before_and_closed_after() -> None:
    app = App()
    log: list[str] = []

    async def resource() -> AsyncIterator[str]:
        log.append("open")
        yield "a"
        log.append("close")

    def plain() -> Iterator[str]:
        log.append("plain open")
        yield "b"
        log.append("plain close")

    async def done() -> None:
        log.append("task")

    @app.ws("/{room}")
    async def handler(
        room: str,
        socket: Socket[str, str],
        one: Annotated[str, Depends(resource)],
        two: Annotated[str, Depends(plain)],
        request: Request,
        tasks: Tasks,
    ) -> None:
        tasks.add(done)
        await socket.send(room + one + two + request.path)

    events = await Peer().talk(app, "/x")
    assert events[1]["text"] == "xab/x"
    await app.supervisor.drain(30)
    assert log == ["open", "plain open", "plain close", "close", "task"]


async def test_dependencies_of_a_cancelled_handler_hear_of_it() -> None:
    app = App()
    log: list[str] = []
    inside = asyncio.Event()

    async def resource() -> AsyncIterator[str]:
        try:
            yield "a"
            log.append("commit")
        except asyncio.CancelledError:
            log.append("rollback")
            raise

    @app.ws("/")
    async def handler(socket: Socket[str, str], one: Annotated[str, Depends(resource)]) -> None:
        await socket.accept()
        inside.set()
        await asyncio.Event().wait()

    call = asyncio.create_task(Peer().talk(app))
    await inside.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert log == ["rollback"]


async def test_a_dependency_that_fails_at_its_end_is_an_error() -> None:
    app = App()

    async def resource() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("commit failed")

    @app.ws("/")
    async def handler(socket: Socket[str, str], one: Annotated[str, Depends(resource)]) -> None: ...

    with pytest.raises(ValueError, match="commit failed"):
        await Peer().talk(app)


async def test_a_socket_joins_a_room_and_is_closed_when_it_is_too_slow() -> None:
    app = App()

    @app.ws("/joined")
    async def joined(socket: Socket[str, str], hub: Hub) -> None:
        async with hub.join("room", socket):
            await hub.publish("room", "hello")
            async for _ in socket:
                return

    @app.ws("/listens")
    async def listens(socket: Socket[str, str], hub: Hub) -> None:
        await socket.accept()
        subscription = hub.subscribe("room", queue=1, overflow="disconnect")
        for _ in range(3):
            await hub.publish("room", "hello")
        async for message in subscription:
            await socket.send(message)

    peer = Peer(code=None)
    call = asyncio.create_task(peer.talk(app, "/joined"))
    async with asyncio.timeout(30):
        while len(peer.events) < 2:
            await asyncio.sleep(0)
    assert peer.events[1] == {"type": "websocket.send", "text": "hello"}
    peer.say("leave")
    await call
    *_, close = await Peer().talk(app, "/listens")
    assert close["code"] == 1008


async def test_there_may_be_nobody_at_a_path() -> None:
    app = App()

    @app.get("/")
    async def handler() -> str:
        return ""

    start, _ = await Peer().talk(app, extensions=DENIAL)
    assert start["status"] == 404
    fallback: list[str] = []

    async def other(scope: Any, receive: Any, send: Any) -> None:
        fallback.append(scope["type"])

    app.fallback(other)
    await Peer().talk(app)
    assert fallback[-1] == "websocket"
    assert (await ask(app, target="/")).status == 200


def test_a_handler_that_cannot_serve_a_socket_is_an_error_at_start() -> None:
    async def generator(socket: Socket[str, str]) -> AsyncIterator[str]:
        yield ""

    async def body(socket: Socket[str, str], text: Annotated[Say, Depends(lambda: 1)]) -> None: ...

    def plain(socket: Socket[str, str]) -> None: ...

    async def none(text: str) -> None: ...

    async def content(socket: Socket[str, str], say: Annotated[Say, Body()]) -> None: ...

    app = App()
    app.ws("/")(content)
    with pytest.raises(ConfigError):
        app.prepare()
    for handler in (generator, plain):
        app = App()
        app.ws("/")(handler)
        with pytest.raises(ConfigError, match="must be 'async def' to serve a socket"):
            app.prepare()
    app = App()
    app.ws("/")(none)
    with pytest.raises(ConfigError, match="has no parameter of type Socket"):
        app.prepare()
    for _ in range(2):
        app = App()
        app.ws("/")(body)
    app.prepare()
    app.ws("/")(body)
    with pytest.raises(ConfigError, match="two handlers for the WebSocket /"):
        app.prepare()
