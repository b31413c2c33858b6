from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta, Struct
from oldshop import DB, FakeDB, User, flask_app, send_mail  # your existing code

from tidegate import App, Depends, Header, Hub, LastEventID, Problem, Query, Socket, Tasks, wsgi
from tidegate.testing import client


class Item(Struct):
    name: Annotated[str, Meta(min_length=1)]
    price: float
    tags: list[str] = []


class Say(Struct, tag=True):
    text: str


class Leave(Struct, tag=True):
    pass


class Said(Struct, tag=True):
    who: str
    text: str


class OutOfStock(Problem, status=409, title="Out of stock"):
    pass  # RFC 9457, also in the OpenAPI document


app = App(title="Shop")


@app.resource  # lifespan: opened once per worker, injected by type
async def database() -> AsyncIterator[DB]:
    async with DB.connect() as db:
        yield db


async def current_user(db: DB, token: Annotated[str, Header("authorization")] = "") -> User:
    if (user := await db.user(token)) is None:
        raise Problem(401)
    return user


Me = Annotated[User, Depends(current_user)]


@app.get("/items/{id}")  # id: path, page: query, db: resource
async def show(id: int, db: DB, page: Annotated[int, Query(ge=1)] = 1) -> Item:
    return await db.item(id, page)


@app.post("/items", status=201, raises=[OutOfStock])
async def create(item: Item, me: Me, db: DB, tasks: Tasks) -> Item:
    await db.add(item)
    tasks.add(send_mail, me.email, item.name)  # supervised; drained at shutdown
    return item


@app.get("/report")  # plain def: ONE hop to a worker thread
def report(db: DB) -> list[Item]:
    return db.all_sync()


@app.get("/primes/{n}", run="process", timeout=10)  # CPU bound: process pool, encoded there
def primes(n: Annotated[int, Meta(le=10_000_000)]) -> list[int]:
    return [p for p in range(2, n) if all(p % d for d in range(2, int(p**0.5) + 1))]


@app.ws("/rooms/{room}", heartbeat=20)
async def chat(room: str, sock: Socket[Say | Leave, Said], me: Me, hub: Hub) -> None:
    async with hub.join(f"room:{room}", sock, queue=64, overflow="drop_oldest"):
        async for msg in sock:  # ends when the peer leaves; no exception
            match msg:
                case Say(text=text):
                    await hub.publish(f"room:{room}", Said(me.name, text))
                case Leave():
                    return


@app.sse("/rooms/{room}/events")  # heartbeat, Last-Event-ID, stops on drain
async def watch(room: str, hub: Hub, last: LastEventID = None) -> AsyncIterator[Said]:
    async for said in hub.subscribe(f"room:{room}", Said, after=last):
        yield said


@app.error(KeyError)
def missing(exc: KeyError) -> Problem:
    return Problem(404, f"no such {exc}")


app.mount("/old", wsgi(flask_app, threads=16))  # the Flask (or Django) app keeps running


def test_shop() -> None:
    with client(app, override={DB: FakeDB()}) as c:  # async with … also works, on the same loop
        assert c.post("/items", json={"name": "", "price": 1}).status == 422
        with c.ws("/rooms/a", headers={"authorization": "ann"}) as ws:
            ws.send(Say("hi"))
            assert ws.receive() == Said("ann", "hi")
