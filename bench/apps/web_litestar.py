"""The framework rows, as Litestar's documentation writes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from litestar import Litestar, MediaType, get, post

__all__ = ["app"]


@dataclass
class Item:
    """What a shop sells."""

    name: str
    price: float
    tags: list[str] = field(default_factory=list)


@get("/plain", media_type=MediaType.TEXT)
async def plain() -> str:
    """Answer with text."""
    return "Hello, world!"


@get("/items/{id:int}")
async def typed(id: int, page: int = 1, word: str | None = None) -> dict[str, int]:
    """Answer with two parameters."""
    return {"id": id, "page": page}


@post("/items", status_code=200)
async def create(data: Item) -> Item:
    """Answer with the content."""
    return data


@get("/sync", sync_to_thread=True)
def sync(id: int = 0) -> dict[str, int]:
    """Answer from a plain function."""
    return {"id": id}


app = Litestar([plain, typed, create, sync], openapi_config=None)
