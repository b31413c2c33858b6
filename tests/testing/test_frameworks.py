"""The client drives applications of several frameworks as their servers do."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import fastapi
import pydantic
import pytest
import quart
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tidegate.testing import HandshakeRefused, client


class Item(pydantic.BaseModel):
    name: str
    price: float = 1.0


def fastapi_site() -> Any:
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[dict[str, str]]:
        seen.append("up")
        yield {"db": "open"}
        seen.append("down")

    app = fastapi.FastAPI(lifespan=lifespan)
    app.state.seen = seen

    @app.post("/items")
    async def create(item: Item, tasks: fastapi.BackgroundTasks) -> Item:
        tasks.add_task(seen.append, item.name)
        return item

    @app.get("/sync/{id}")
    def show(id: int, request: fastapi.Request) -> dict[str, Any]:
        return {
            "id": id,
            "db": request.state.db,
            "here": threading.current_thread() is threading.main_thread(),
        }

    @app.post("/upload")
    async def upload(file: fastapi.UploadFile, note: str = fastapi.Form()) -> dict[str, Any]:
        return {"name": file.filename, "size": len(await file.read()), "note": note}

    @app.get("/fail")
    async def fail() -> None:
        raise KeyError("mine")

    @app.websocket("/room/{name}")
    async def room(socket: WebSocket, name: str) -> None:
        if name == "secret":
            raise fastapi.WebSocketException(1008)
        await socket.accept()
        async for message in socket.iter_json():
            await socket.send_json({"room": name, **message})

    return app


def test_fastapi_is_driven() -> None:
    app = fastapi_site()
    with client(app) as c:
        assert c.post("/items", json=Item(name="x")).json(Item) == Item(name="x")
        assert app.state.seen == ["up", "x"]
        assert c.post("/items", json={"price": 1}).status == 422
        assert c.get("/sync/3").json() == {"id": 3, "db": "open", "here": False}
        files = {"file": ("a.txt", b"12345")}
        reply = c.post("/upload", files=files, data={"note": "n"})
        assert reply.json() == {"name": "a.txt", "size": 5, "note": "n"}
        with pytest.raises(KeyError, match="mine"):
            c.get("/fail")
        with c.ws("/room/a") as ws:
            ws.send({"say": "hi"})
            assert ws.receive(dict[str, str]) == {"room": "a", "say": "hi"}
        with pytest.raises(HandshakeRefused) as raised, c.ws("/room/secret"):
            pytest.fail("entered")
        assert raised.value.reply.status == 403
    assert app.state.seen == ["up", "x", "down"]


async def test_fastapi_is_driven_in_a_coroutine() -> None:
    app = fastapi_site()
    async with client(app, raise_errors=False) as c:
        assert (await c.get("/sync/3")).json()["id"] == 3
        assert (await c.get("/fail")).status == 500
        async with c.ws("/room/a") as ws:
            await ws.send({"say": "hi"})
            assert await ws.receive(dict[str, str]) == {"room": "a", "say": "hi"}


def starlette_site(done: list[str]) -> Starlette:
    async def plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hi", background=BackgroundTask(done.append, "background"))

    async def stream(request: Request) -> StreamingResponse:
        def pieces() -> Iterator[str]:
            for number in range(3):
                yield str(number)

        return StreamingResponse(pieces())

    async def fail(request: Request) -> JSONResponse:
        raise KeyError("mine")

    async def echo(socket: WebSocket) -> None:
        await socket.accept(subprotocol=socket.scope["subprotocols"][0])
        async for text in socket.iter_text():
            await socket.send_text(text)
        done.append("left")

    async def passing(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    routes = [
        Route("/", plain),
        Route("/stream", stream),
        Route("/fail", fail),
        WebSocketRoute("/echo", echo),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    return app


def test_starlette_is_driven() -> None:
    done: list[str] = []
    with client(starlette_site(done)) as c:
        assert c.get("/").text == "hi"
        assert done == ["background"]
        with c.stream("GET", "/stream") as reply:
            assert "".join(reply.iter_text()) == "012"
        with pytest.raises(KeyError, match="mine"):
            c.get("/fail")
        with c.ws("/echo", subprotocols=["p"]) as ws:
            ws.send("x")
            assert (ws.receive(), ws.subprotocol) == ("x", "p")
        assert done == ["background", "left"]
        assert c.get("/none").status == 404


def test_quart_is_driven() -> None:
    app = quart.Quart(__name__)
    seen: list[str] = []

    @app.before_serving
    async def up() -> None:
        seen.append("up")

    @app.after_serving
    async def down() -> None:
        seen.append("down")

    @app.post("/form")
    async def form() -> str:
        quart.session["name"] = (await quart.request.form)["name"]
        return "kept"

    @app.get("/name")
    async def name() -> str:
        return str(quart.session["name"])

    @app.websocket("/echo")
    async def echo() -> None:
        while True:
            await quart.websocket.send(await quart.websocket.receive())

    app.secret_key = "for this test"
    with client(app) as c:
        assert c.post("/form", data={"name": "ann"}).text == "kept"
        assert c.get("/name").text == "ann"
        with c.ws("/echo") as ws:
            ws.send("x")
            assert ws.receive() == "x"
    assert seen == ["up", "down"]
