"""The framework rows, as BlackSheep's documentation writes them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from blacksheep import Application, FromJSON, get, json, post, text

__all__ = ["app"]

app = Application()


@dataclass
class Item:
    """What a shop sells."""

    name: str
    price: float
    tags: list[str] = field(default_factory=list)


@get("/plain")
async def plain() -> Any:
    """Answer with text."""
    return text("Hello, world!")


@get("/items/{id}")
async def typed(id: int, page: int = 1) -> Any:
    """Answer with two parameters."""
    return json({"id": id, "page": page})


@post("/items")
async def create(item: FromJSON[Item]) -> Any:
    """Answer with the content."""
    return json(item.value)


@get("/sync")
async def sync(id: int = 0) -> Any:
    """Answer from a plain function, in a thread."""
    return json(await asyncio.to_thread(_plain_function, id))


def _plain_function(id: int) -> dict[str, int]:
    return {"id": id}
