"""The framework rows, as Tidegate's framework is used."""

from __future__ import annotations

import msgspec

from tidegate import App

__all__ = ["app"]

app = App()


class Item(msgspec.Struct):
    """What a shop sells."""

    name: str
    price: float
    tags: list[str] = []


@app.get("/plain")
async def plain() -> str:
    """Answer with text."""
    return "Hello, world!"


@app.get("/items/{id}")
async def typed(id: int, page: int = 1, word: str | None = None) -> dict[str, int]:
    """Answer with two parameters."""
    return {"id": id, "page": page}


@app.post("/items")
async def create(item: Item) -> Item:
    """Answer with the content."""
    return item


@app.get("/sync")
def sync(id: int = 0) -> dict[str, int]:
    """Answer from a plain function."""
    return {"id": id}
