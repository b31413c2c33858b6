"""The socket application of these tests, written for Starlette."""

from __future__ import annotations

from contextlib import aclosing

import notebook
import sockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    while (message := await socket.receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await socket.send_text(message["text"])
        else:
            await socket.send_bytes(message["bytes"])


async def exchange_json(socket: WebSocket) -> None:
    await socket.accept()
    async for value in socket.iter_json():
        await socket.send_json({"received": value})


async def chat(socket: WebSocket) -> None:
    await socket.accept(subprotocol=sockets.choose(socket.scope["subprotocols"]))
    await socket.send_text("welcome")


async def refused(socket: WebSocket) -> None:
    await socket.close(4001, "not today")


async def denied(socket: WebSocket) -> None:
    answer = PlainTextResponse("who are you?", 401, {"www-authenticate": "Basic"})
    await socket.send_denial_response(answer)


async def farewell(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close(socket.path_params["code"], "bis später")


async def listen(socket: WebSocket) -> None:
    key = socket.path_params["key"]
    await socket.accept()
    try:
        while True:
            notebook.note(key, await socket.receive_text())
    except WebSocketDisconnect as left:
        notebook.note(key, f"left with {left.code}")


async def flood(socket: WebSocket) -> None:
    await socket.accept()
    async with aclosing(sockets.endless(socket.path_params["key"])) as blocks:
        async for block in blocks:
            await socket.send_text(block)


async def broken(socket: WebSocket) -> None:
    if socket.path_params["when"] == "open":
        await socket.accept()
    raise RuntimeError("this handler is broken")


async def item(socket: WebSocket) -> None:
    await socket.accept()
    params, query = socket.path_params, socket.query_params
    found = {"name": params["name"], "number": params["number"], "q": query.getlist("q")}
    await socket.send_json(found)


async def meet(socket: WebSocket) -> None:
    await socket.accept()
    params = socket.path_params
    await socket.send_json(await notebook.meet(params["key"], params["parties"]))


async def room(socket: WebSocket) -> None:
    members = sockets.rooms[socket.path_params["name"]]
    await socket.accept()
    members.add(socket.send_text)
    try:
        async for text in socket.iter_text():
            for send in members:
                await send(text)
    finally:
        members.discard(socket.send_text)


async def read_notes(request: Request) -> JSONResponse:
    return JSONResponse(notebook.read_notes(request.path_params["key"]))


app = Starlette(
    routes=[
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/json", exchange_json),
        WebSocketRoute("/chat", chat),
        WebSocketRoute("/refused", refused),
        WebSocketRoute("/denied", denied),
        WebSocketRoute("/farewell/{code:int}", farewell),
        WebSocketRoute("/listen/{key}", listen),
        WebSocketRoute("/flood/{key}", flood),
        WebSocketRoute("/broken/{when}", broken),
        WebSocketRoute("/items/{name}/{number:int}", item),
        WebSocketRoute("/meet/{key}/{parties:int}", meet),
        WebSocketRoute("/room/{name}", room),
        Route("/notes/{key}", read_notes),
    ]
)
