"""The framework rows, as FastAPI's documentation writes them."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

__all__ = ["app"]

app = FastAPI()


class Item(BaseModel):
    """What a shop sells."""

    name: str
    price: float
    tags: list[str] = []


@app.get("/plain", response_class=PlainTextResponse)
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
