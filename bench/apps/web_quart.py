"""The framework rows on Quart: nothing is validated but the numbers."""

from __future__ import annotations

from typing import Any

from quart import Quart, request

__all__ = ["app"]

app = Quart(__name__)


@app.get("/plain")
async def plain() -> tuple[str, dict[str, str]]:
    """Answer with text."""
    return "Hello, world!", {"content-type": "text/plain"}


@app.get("/items/<int:id>")
async def typed(id: int) -> dict[str, int]:
    """Answer with two parameters."""
    return {"id": id, "page": request.args.get("page", 1, type=int)}


@app.post("/items")
async def create() -> Any:
    """Answer with the content."""
    return await request.get_json()


@app.get("/sync")
def sync() -> dict[str, int]:
    """Answer from a plain function."""
    return {"id": request.args.get("id", 0, type=int)}
