"""The socket application of these tests, written for Quart."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import notebook
import sockets
from quart import Quart, Response, abort, websocket

app = Quart(__name__)


@app.websocket("/echo")
async def echo() -> None:
    while True:
        await websocket.send(await websocket.receive())


@app.websocket("/json")
async def exchange_json() -> None:
    while True:
        await websocket.send_json({"received": await websocket.receive_json()})


@app.websocket("/chat")
async def chat() -> None:
    await websocket.accept(subprotocol=sockets.choose(websocket.requested_subprotocols))
    await websocket.send("welcome")


@app.websocket("/refused")
async def refused() -> None:
    await websocket.close(4001, "not today")


@app.websocket("/denied")
async def denied() -> None:
    abort(Response("who are you?", 401, {"www-authenticate": "Basic"}))


@app.websocket("/farewell/<int:code>")
async def farewell(code: int) -> None:
    await websocket.accept()
    await websocket.close(code, "bis später")


@app.websocket("/listen/<key>")
async def listen(key: str) -> None:
    await websocket.accept()
    try:
        while True:
            notebook.note(key, await websocket.receive())
    except asyncio.CancelledError:
        # This is how Quart says it; the code it keeps to itself.
        notebook.note(key, "left")
        raise


@app.websocket("/flood/<key>")
async def flood(key: str) -> None:
    await websocket.accept()
    async with aclosing(sockets.endless(key)) as blocks:
        async for block in blocks:
            await websocket.send(block)


@app.websocket("/broken/<when>")
async def broken(when: str) -> None:
    if when == "open":
        await websocket.accept()
    raise RuntimeError("this handler is broken")


@app.websocket("/items/<name>/<int:number>")
async def item(name: str, number: int) -> None:
    q = websocket.args.getlist("q")
    await websocket.send_json({"name": name, "number": number, "q": q})


@app.websocket("/meet/<key>/<int:parties>")
async def meet(key: str, parties: int) -> None:
    await websocket.accept()
    await websocket.send_json(await notebook.meet(key, parties))


@app.websocket("/room/<name>")
async def room(name: str) -> None:
    members = sockets.rooms[name]
    # The proxy knows its socket only in a task of that socket's own.
    socket = websocket._get_current_object()
    await websocket.accept()
    members.add(socket.send)
    try:
        while True:
            text = await websocket.receive()
            for send in members:
                await send(text)
    finally:
        members.discard(socket.send)


@app.get("/notes/<key>")
async def read_notes(key: str) -> dict[str, Any]:
    return notebook.read_notes(key)
