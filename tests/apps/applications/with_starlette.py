"""The application of these tests, written for Starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

import notebook
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route


class State(TypedDict):
    greeting: str


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[State]:
    notebook.write_diary("startup")
    yield {"greeting": "set at startup"}
    notebook.write_diary("shutdown")


async def home(request: Request) -> Response:
    return JSONResponse({"framework": "starlette"})


async def item(request: Request) -> Response:
    return JSONResponse(
        {"name": request.path_params["name"], "q": request.query_params.getlist("q")}
    )


async def receive_json(request: Request) -> Response:
    return JSONResponse({"received": await request.json()})


async def large_headers(request: Request) -> Response:
    value = request.headers["x-large"]
    return JSONResponse({"size": len(value)}, headers={"x-large": value})


async def form(request: Request) -> Response:
    async with request.form() as fields:
        content = await fields["file"].read()
        return JSONResponse({"field": fields["field"], "file_size": len(content)})


async def upload(request: Request) -> Response:
    return JSONResponse(await notebook.digest(request.stream()))


async def download(request: Request) -> Response:
    count = request.path_params["count"]
    return StreamingResponse(notebook.megabytes(request.path_params["key"], count))


async def pieces(request: Request) -> Response:
    return StreamingResponse(notebook.pieces(request.path_params["key"]))


async def endless(request: Request) -> Response:
    return StreamingResponse(notebook.endless(request.path_params["key"]))


async def idle(request: Request) -> Response:
    stream = notebook.idle(request.path_params["key"])
    return StreamingResponse(stream, media_type="text/event-stream")


async def background(request: Request) -> Response:
    key = request.path_params["key"]

    async def task() -> None:
        await notebook.pass_gate(key)
        notebook.note(key, "task ended")

    return JSONResponse({"task": "accepted"}, background=BackgroundTask(task))


def in_thread(request: Request) -> Response:
    return JSONResponse({"passed": notebook.pass_gate_in_thread(request.path_params["key"])})


async def meet(request: Request) -> Response:
    return JSONResponse(
        await notebook.meet(request.path_params["key"], request.path_params["parties"])
    )


async def state(request: Request) -> Response:
    return JSONResponse({"greeting": request.state.greeting})


async def where(request: Request) -> Response:
    return JSONResponse({"link": str(request.url_for("where"))})


async def where_below(request: Request) -> Response:
    return JSONResponse({"link": str(request.url_for("sub:where"))})


async def broken(request: Request) -> Response:
    raise RuntimeError("this view is broken")


async def open_gate(request: Request) -> Response:
    return JSONResponse(notebook.open_gate(request.path_params["key"]))


async def read_notes(request: Request) -> Response:
    return JSONResponse(notebook.read_notes(request.path_params["key"]))


app = Starlette(
    routes=[
        Route("/", home),
        Route("/items/{name}", item),
        Route("/json", receive_json, methods=["POST"]),
        Route("/headers", large_headers),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/download/{key}/{count:int}", download),
        Route("/pieces/{key}", pieces),
        Route("/endless/{key}", endless),
        Route("/idle/{key}", idle),
        Route("/background/{key}", background),
        Route("/sync/{key}", in_thread),
        Route("/meet/{key}/{parties:int}", meet),
        Route("/state", state),
        Route("/where", where),
        Mount("/sub", name="sub", routes=[Route("/where", where_below, name="where")]),
        Route("/broken", broken),
        Route("/gates/{key}", open_gate, methods=["POST"]),
        Route("/notes/{key}", read_notes),
    ],
    lifespan=lifespan,
)
