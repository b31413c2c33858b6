"""The framework rows on Starlette: nothing is validated but the numbers."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

__all__ = ["app"]


async def plain(request: Request) -> PlainTextResponse:
    """Answer with text."""
    return PlainTextResponse("Hello, world!")


async def typed(request: Request) -> JSONResponse:
    """Answer with two parameters."""
    page = int(request.query_params.get("page", "1"))
    return JSONResponse({"id": int(request.path_params["id"]), "page": page})


async def create(request: Request) -> JSONResponse:
    """Answer with the content."""
    return JSONResponse(await request.json())


def sync(request: Request) -> JSONResponse:
    """Answer from a plain function."""
    return JSONResponse({"id": int(request.query_params.get("id", "0"))})


app = Starlette(
    routes=[
        Route("/plain", plain),
        Route("/items/{id}", typed),
        Route("/items", create, methods=["POST"]),
        Route("/sync", sync),
    ]
)
