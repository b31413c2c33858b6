"""The socket application of these tests, written for FastAPI."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Any

import notebook
import sockets
from fastapi import Depends, FastAPI, Query, WebSocket, WebSocketDisconnect, WebSocketException
from fastapi.responses import PlainTextResponse

app = FastAPI()


async def accepted(websocket: WebSocket) -> WebSocket:
    """A dependency, as applications have them."""
    await websocket.accept()
    return websocket


Accepted = Annotated[WebSocket, Depends(accepted)]


@app.websocket("/echo")
async def echo(socket: Accepted) -> None:
    while (message := await socket.receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await socket.send_text(message["text"])
        else:
            await socket.send_bytes(message["bytes"])


@app.websocket("/json")
async def exchange_json(socket: Accepted) -> None:
    async for value in socket.iter_json():
        await socket.send_json({"received": value})


@app.websocket("/chat")
async def chat(socket: WebSocket) -> None:
    await socket.accept(subprotocol=sockets.choose(socket.scope["subprotocols"]))
    await socket.send_text("welcome")


@app.websocket("/refused")
async def refused(socket: WebSocket) -> None:
    raise WebSocketException(4001, "not today")


@app.websocket("/denied")
async def denied(socket: WebSocket) -> None:
    answer = PlainTextResponse("who are you?", 401, {"www-authenticate": "Basic"})
    await socket.send_denial_response(answer)


@app.websocket("/farewell/{code}")
async def farewell(socket: Accepted, code: int) -> None:
    await socket.close(code, "bis später")


@app.websocket("/listen/{key}")
async def listen(socket: Accepted, key: str) -> None:
    try:
        while True:
            notebook.note(key, await socket.receive_text())
    except WebSocketDisconnect as left:
        notebook.note(key, f"left with {left.code}")


@app.websocket("/flood/{key}")
async def flood(socket: Accepted, key: str) -> None:
    async with aclosing(sockets.endless(key)) as blocks:
        async for block in blocks:
            await socket.send_text(block)


@app.websocket("/broken/{when}")
async def broken(socket: WebSocket, when: str) -> None:
    if when == "open":
        await socket.accept()
    raise RuntimeError("this handler is broken")


@app.websocket("/items/{name}/{number}")
async def item(socket: Accepted, name: str, number: int, q: Annotated[list[str], Query()]) -> None:
    await socket.send_json({"name": name, "number": number, "q": q})


@app.websocket("/meet/{key}/{parties}")
async def meet(socket: Accepted, key: str, parties: int) -> None:
    await socket.send_json(await notebook.meet(key, parties))


@app.websocket("/room/{name}")
async def room(socket: Accepted, name: str) -> None:
    members = sockets.rooms[name]
    members.add(socket.send_text)
    try:
        async for text in socket.iter_text():
            for send in members:
                await send(text)
    finally:
        members.discard(socket.send_text)


@app.get("/notes/{key}")
async def read_notes(key: str) -> dict[str, Any]:
    return notebook.read_notes(key)
