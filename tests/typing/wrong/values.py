"""Values of the wrong type."""

from __future__ import annotations

from msgspec import Struct

from tidegate import App, FileResponse, Hub, Problem, Request, Response, Socket, Tasks
from tidegate.testing import client

app = App()


class Item(Struct):
    name: str


class Said(Struct):
    text: str


@app.ws("/")
async def talk(socket: Socket[Said, Item], hub: Hub) -> None:
    await socket.send(Said("a"))  # error
    await socket.send("a")  # error
    async for said in socket:
        said.name  # error
        said.text.nothing  # error
    item: Item = await socket.receive()  # error
    await socket.close("bye")  # error
    async with hub.join("room", socket, overflow="drop"):  # error
        await hub.publish("room", item)
    async with hub.join("room", 5):  # error
        pass
    async for other in hub.subscribe("room", Said):
        other.name  # error


@app.get("/items")
async def items() -> Response[Item]:
    return Response(Said("a"))  # error


@app.get("/text")
async def text() -> Response[Item]:
    return Response("text", 200)  # error


def unit(request: Request, tasks: Tasks) -> None:
    Response(None, "200")  # error
    Problem(404, 5)  # error
    FileResponse(5)  # error
    FileResponse("a", disposition="shown")  # error
    tasks.add(len, 1)  # error
    tasks.add("len")  # error
    request.headers["a"] = 5  # error
    Response[None]().set_cookie("a", same_site="Lax")  # error


def test_it() -> None:
    with client(app, overrides={}) as c:  # error
        pass
    with client(app) as d:
        d.get("/", param={"a": "b"})  # error
        d.post("/", timeout="1")  # error
        name: str = d.get("/").json(Item)  # error
        with d.ws("/", heartbeat=1) as socket:  # error
            pass
    with client(5):  # error
        pass


async def scoped() -> None:
    async with app.scope() as scope:
        said: Said = await scope.get(Item)  # error
