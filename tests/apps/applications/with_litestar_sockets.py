"""The socket application of these tests, written for Litestar."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import notebook
import sockets
from litestar import Litestar, WebSocket, get, websocket, websocket_listener
from litestar.exceptions import WebSocketDisconnect


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    while (message := await socket.receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await socket.send_text(message["text"])
        else:
            await socket.send_bytes(message["bytes"])


@websocket_listener("/json")
async def exchange_json(data: dict[str, Any]) -> dict[str, Any]:
    return {"received": data}


@websocket("/chat")
async def chat(socket: WebSocket) -> None:
    await socket.accept(subprotocols=sockets.choose(socket.scope["subprotocols"]))
    await socket.send_text("welcome")


@websocket("/refused")
async def refused(socket: WebSocket) -> None:
    await socket.close(4001, "not today")


@websocket("/farewell/{code:int}")
async def farewell(socket: WebSocket, code: int) -> None:
    await socket.accept()
    await socket.close(code, "bis später")


@websocket("/listen/{key:str}")
async def listen(socket: WebSocket, key: str) -> None:
    await socket.accept()
    try:
        while True:
            notebook.note(key, await socket.receive_text())
    except WebSocketDisconnect as left:
        notebook.note(key, f"left with {left.code}")


@websocket("/flood/{key:str}")
async def flood(socket: WebSocket, key: str) -> None:
    await socket.accept()
    async with aclosing(sockets.endless(key)) as blocks:
        async for block in blocks:
            await socket.send_text(block)


@websocket("/broken/{when:str}")
async def broken(socket: WebSocket, when: str) -> None:
    if when == "open":
        await socket.accept()
    raise RuntimeError("this handler is broken")


@websocket("/items/{name:str}/{number:int}")
async def item(socket: WebSocket, name: str, number: int, q: list[str]) -> None:
    await socket.accept()
    await socket.send_json({"name": name, "number": number, "q": q})


@websocket("/meet/{key:str}/{parties:int}")
async def meet(socket: WebSocket, key: str, parties: int) -> None:
    await socket.accept()
    await socket.send_json(await notebook.meet(key, parties))


@websocket("/room/{name:str}")
async def room(socket: WebSocket, name: str) -> None:
    members = sockets.rooms[name]
    await socket.accept()
    members.add(socket.send_text)
    try:
        async for text in socket.iter_data("text"):
            for send in members:
                await send(text)
    finally:
        members.discard(socket.send_text)


@get("/notes/{key:str}")
async def read_notes(key: str) -> dict[str, Any]:
    return notebook.read_notes(key)


app = Litestar(
    [
        *(echo, exchange_json, chat, refused, farewell, listen, flood, broken),
        *(item, meet, room, read_notes),
    ]
)
