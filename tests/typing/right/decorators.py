"""Every decorator, with every option; the function keeps its type."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, assert_type

from msgspec import Struct

from tidegate import App, Depends, Event, Hub, Problem, Request, Response, Router, Socket, Tasks
from tidegate.web.middleware import CORS


class Item(Struct):
    name: str


class Gone(Problem, status=410, title="Gone"):
    pass


@contextlib.asynccontextmanager
async def life(app: App) -> AsyncIterator[Mapping[str, Any] | None]:
    yield {"started": True}


def check(request: Request) -> None: ...


app = App(
    title="T", version="1", description="D", debug=True, lifespan=life, docs=False, tags=["a"]
)
app.add_middleware(CORS, origins=["https://example.com"])
router = Router("/api", dependencies=[Depends(check)], tags=["api"])
app.include(router)


@app.get(
    "/items/{id}",
    status=200,
    run="inline",
    timeout=1.5,
    raises=[Gone],
    name="item",
    tags=["x"],
    summary="S",
    description="D",
    deprecated=True,
    hidden=False,
    dependencies=[Depends(check)],
    max_body_size=10,
    cancel_on_disconnect=False,
    security=["key"],
)
async def show(id: int) -> Item:
    return Item("a")


@router.post("/items", run=app.pool("db", threads=4))
def create(item: Item, tasks: Tasks) -> Response[Item]:
    tasks.add(print, item.name, flush=True)
    return Response(item, 201, {"location": "/items/1"})


@app.put("/a")
@app.patch("/a")
@app.delete("/a")
@app.route("/b", methods=["GET", "QUERY"])
def several() -> None: ...


@app.get("/stream")
def stream() -> Iterator[Item]:
    yield Item("a")


@app.sse("/events", heartbeat=5.0)
async def events(hub: Hub) -> AsyncIterator[Item | Event]:
    yield Item("a")
    yield Event("b", id="1", event="news", retry=1000)


@app.ws("/socket", heartbeat=20, name="socket")
async def socket(sock: Socket[Item, str | bytes]) -> None:
    await sock.accept("chat", [("x-a", "1")])
    async for item in sock:
        assert_type(item, Item)
        await sock.send(item.name)
    await sock.send(b"bye")
    await sock.close(4000, "bye")


@app.error(KeyError)
def missing(error: KeyError, request: Request) -> Problem:
    return Problem(404, "no such thing", title="Missing", headers={"x-a": "1"}, key=str(error))


async def called() -> None:
    assert_type(await show(1), Item)
    assert_type(create(Item("a"), Tasks()), Response[Item])
    async with app.scope() as scope:
        assert_type(await scope.get(Item), Item)
    async for item in Hub().subscribe("room", Item, after=None):
        assert_type(item, Item)
    with app.override({Item: Item("b")}):
        assert_type(app.url_for("item", id=1), str)
