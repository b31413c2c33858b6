"""WebSockets without a framework, for real clients; what is HTTP is as in ``plain``.

The first segment of the path names the coroutine below that serves the socket.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import plain
from plain import Receive, Scope, Send, notes, opened, write_diary

PAGE = Path(__file__).with_name("websocket_page.html").read_bytes()
BLOCK = bytes(65536)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        await (page if scope.get("path") == "/page" else plain.app)(scope, receive, send)
        return
    _, name, *rest = scope["path"].split("/")
    assert (await receive())["type"] == "websocket.connect"
    await SOCKETS[name](scope, receive, send, "/".join(rest))


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    await plain.answer(send, PAGE, ("content-type", "text/html; charset=utf-8"))


async def accept(send: Send, scope: Scope | None = None, **extra: Any) -> None:
    """Accept; ``?choose=name`` in the scope is the subprotocol."""
    query = parse_qs(scope["query_string"].decode()) if scope else {}
    chosen = query.get("choose", [None])[0]
    await send({"type": "websocket.accept", "subprotocol": chosen, **extra})


async def echo(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    await accept(send, scope)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def listen(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Write down every event."""
    notes[rest].append("here")
    await accept(send)
    while (message := await receive())["type"] == "websocket.receive":
        notes[rest].append(message.get("text") or f"{len(message['bytes'])} bytes")
    notes[rest].append(f"{message['code']} {message['reason']}".strip())


async def close(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Close with a code and a reason; ``/close`` alone leaves both to the server."""
    await accept(send)
    code, _, reason = rest.partition("/")
    chosen = {"code": int(code), "reason": reason} if code else {}
    await send({"type": "websocket.close", **chosen})


async def leave(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Return without a word."""
    await accept(send)


async def fail(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    if rest != "early":
        await accept(send)
    raise RuntimeError("this application is broken")


async def refuse(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Say no, and write down what follows."""
    await send({"type": "websocket.close", "code": 4003})
    notes[rest].append((await receive())["type"])


async def deny(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Say no with a response of our own."""
    fields = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Basic")]
    start = {"type": "websocket.http.response.start", "status": 401, "headers": fields}
    await send(start)
    try:
        for piece in (b"who ", b"are ", b"you\n"):
            await send({"type": "websocket.http.response.body", "body": piece, "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b""})
    except OSError:
        notes[rest].append("left")
    notes[rest].append((await receive())["type"])


async def show_scope(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    await accept(send, headers=[(b"x-greeting", b"hello"), (b"set-cookie", b"a=1")])
    names = ("type", "http_version", "scheme", "path", "client", "server", "subprotocols")
    shown = {name: scope[name] for name in names}
    shown["raw_path"] = scope["raw_path"].decode()
    shown["query"] = scope["query_string"].decode()
    shown["headers"] = {name.decode(): value.decode() for name, value in scope["headers"]}
    await send({"type": "websocket.send", "text": json.dumps(shown)})


async def flood(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Send for ever; write down how it ended."""
    await accept(send)
    try:
        while True:
            await send({"type": "websocket.send", "bytes": BLOCK})
    except OSError as error:
        notes[rest].append("OSError")
        raise error


async def ignore(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Receive nothing until the gate is opened, then count messages as they come."""
    await accept(send)
    await opened[rest].wait()
    count = 0
    while (await receive())["type"] == "websocket.receive":
        count += 1
        await send({"type": "websocket.send", "text": str(count)})


async def step(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Receive one message each time the gate is opened, all once the gate "all-" is."""
    await accept(send)
    gate, every_gate = opened[rest], opened[f"all-{rest}"]
    await gate.wait()
    while (message := await receive())["type"] == "websocket.receive":
        notes[rest].append(f"{len(message['bytes'])} bytes")
        if not every_gate.is_set():
            gate.clear()
            await gate.wait()


async def once(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Receive one message and close."""
    await accept(send)
    await receive()
    await send({"type": "websocket.close", "code": 4000, "reason": "one is enough"})


async def count(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Receive as fast as possible, and say nothing."""
    await accept(send)
    while (await receive())["type"] == "websocket.receive":
        pass


async def hesitate(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Accept when the test says so, over the connection that ``plain.Knocking`` makes."""
    async with plain.Knocking():
        await accept(send)
    message = await receive()
    write_diary(f"{message['type']} {message['code']}")


async def stay(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Never say anything; write down how it ended."""
    await accept(send)
    message = await receive()
    write_diary(f"{message['type']} {message['code']}")


async def say_goodbye(scope: Scope, receive: Receive, send: Send, rest: str) -> None:
    """Ask to be told of a shutdown; at ``/say-goodbye/and-close`` close after the last words."""
    await accept(send, drain=True)
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.drain":
            write_diary("websocket.drain")
            text = f"goodbye within {message['seconds']} s"
            await send({"type": "websocket.send", "text": text})
            if rest == "and-close":
                await send({"type": "websocket.close", "code": 4000, "reason": "gone"})
    write_diary(f"{message['type']} {message['code']}")


SOCKETS = {
    "close": close,
    "count": count,
    "deny": deny,
    "echo": echo,
    "fail": fail,
    "flood": flood,
    "hesitate": hesitate,
    "ignore": ignore,
    "leave": leave,
    "listen": listen,
    "once": once,
    "refuse": refuse,
    "say-goodbye": say_goodbye,
    "scope": show_scope,
    "stay": stay,
    "step": step,
}
