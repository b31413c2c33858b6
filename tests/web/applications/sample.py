"""An application that answers alike on every server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tidegate import App, Event, HTMLResponse, Hub, LastEventID, Problem, Request, Socket, Tasks

__all__ = ["app"]


async def layer(request: Request, call_next: Any) -> Any:
    response = await call_next(request)
    response.headers["x-layer"] = "1"
    return response


app = App(middleware=[layer])
log: list[str] = []


class Database:
    """What is opened once."""

    opened = False


@app.resource
async def database() -> AsyncIterator[Database]:
    one = Database()
    one.opened = True
    yield one


@app.get("/items/{id}")
async def show(id: int, db: Database, number: int = 0) -> dict[str, int]:
    return {"id": id, "number": number if db.opened else -1}


@app.get("/plain")
def plain() -> str:
    return "from a thread"


@app.post("/echo")
async def echo(request: Request, tasks: Tasks) -> bytes:
    tasks.add(log.append, "task")
    return await request.body()


@app.get("/stream")
async def stream() -> AsyncIterator[str]:
    for word in ("a", "b", "c"):
        await asyncio.sleep(0)
        yield word


@app.get("/plain-stream")
def plain_stream() -> Iterator[bytes]:
    yield b"a"
    yield b"b"


@app.get("/waits")
async def waits() -> str:
    log.append("waiting")
    try:
        await asyncio.Event().wait()
    finally:
        log.append("left")
    return ""


@app.get("/waits-in-stream")
async def waits_in_stream() -> AsyncIterator[str]:
    yield "first"
    log.append("waiting")
    try:
        await asyncio.Event().wait()
    finally:
        log.append("left")


@app.get("/log/{word}")
async def count(word: str) -> int:
    return log.count(word)


@app.get("/problem")
async def problem() -> str:
    raise Problem(409, "of the sample")


@app.sse("/events")
async def events(hub: Hub, last: LastEventID = None) -> AsyncIterator[str]:
    async for word in hub.subscribe("room", str, after=last):
        yield word


@app.post("/say/{word}")
async def say(word: str, hub: Hub) -> int:
    return await hub.publish("room", word)


@app.get("/members")
async def members(hub: Hub) -> int:
    return hub.members("room")


@app.ws("/chat")
async def chat(socket: Socket[dict[str, Any], Any], refused: bool = False) -> None:
    if refused:
        raise Problem(401)
    async for message in socket:
        await socket.send({"said": message})


PAGE = """<!doctype html><pre id="log"></pre><script>
const log = document.getElementById("log");
const source = new EventSource("/numbers");
source.onmessage = event => { log.textContent += event.data + " "; };
source.onopen = () => { log.dataset.opened = 1 + Number(log.dataset.opened || 0); };
</script>"""


@app.get("/page")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.sse("/numbers", heartbeat=0.2)
async def numbers(hub: Hub, last: LastEventID = None) -> AsyncIterator[Event]:
    """End after each three, so that a browser must come back."""
    left = 3
    async for word in hub.subscribe("numbers", str, after=last):
        yield Event(word, retry=1)
        left -= 1
        if not left:
            return


@app.post("/number/{word}")
async def number(word: str, hub: Hub) -> int:
    return await hub.publish("numbers", word)
