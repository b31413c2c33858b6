"""Has what the page of the documentation shows, also below a mount, and strange names."""

from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta, Struct

from tidegate import App, Cookie, Header, Query, Request, Socket


class Item(Struct):
    """Something."""

    name: Annotated[str, Meta(min_length=1)]
    price: float = 1.5


class Said(Struct):
    who: str
    text: str


inner = App(title="<b>Shop</b>", version="3", description="Things & <i>more</i>")


@inner.get("/items/{id}", tags=["items"])
async def show(
    request: Request,
    id: str,
    many: Annotated[list[int], Query()] = [],  # noqa: B006
    word: str = "a b",
    agent: Annotated[str, Header("x-agent")] = "",
    session: Annotated[str, Cookie()] = "none",
) -> dict[str, object]:
    """Show one item.

    All of <script>it</script>.
    """
    return {"id": id, "many": many, "word": word, "agent": agent, "path": request.scope["path"]}


@inner.post("/items", status=201, tags=["items"])
async def create(item: Item) -> Item:
    """Create an item."""
    return item


@inner.get("/large", deprecated=True)
async def large() -> dict[str, int]:
    """Return a number that JavaScript cannot hold."""
    return {"id": 9007199254740993}


@inner.route("/found", methods=["QUERY"])
async def found(item: Item) -> str:
    """Find something."""
    return f"{item.name} was found"


@inner.sse("/events")
async def events() -> AsyncIterator[Said]:
    """Follow."""
    yield Said("ann", "hi")


@inner.ws("/chat/{room}")
async def chat(room: str, socket: Socket[Item | str, Said]) -> None:
    """Talk."""


app = App(docs=False)
app.mount("/api/v1", inner)
