"""The application of these tests, written for FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict

import notebook
from fastapi import (
    BackgroundTasks,
    FastAPI,
    Form,
    Header,
    Query,
    Request,
    Response,
    UploadFile,
)
from fastapi.responses import StreamingResponse


class State(TypedDict):
    greeting: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    notebook.write_diary("startup")
    yield {"greeting": "set at startup"}
    notebook.write_diary("shutdown")


app = FastAPI(lifespan=lifespan)
sub = FastAPI()
app.mount("/sub", sub)


@app.middleware("http")
async def say_that_it_passed(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Every stream of this application goes through the middleware most applications have."""
    response = await call_next(request)
    response.headers["x-passed"] = "middleware"
    return response


@app.api_route("/", methods=["GET", "HEAD"])
async def home() -> dict[str, Any]:
    return {"framework": "fastapi"}


@app.get("/items/{name}")
async def item(name: str, q: Annotated[list[str], Query()]) -> dict[str, Any]:
    return {"name": name, "q": q}


@app.post("/json")
async def receive_json(body: dict[str, Any]) -> dict[str, Any]:
    return {"received": body}


@app.get("/headers")
async def large_headers(x_large: Annotated[str, Header()], response: Response) -> dict[str, Any]:
    response.headers["x-large"] = x_large
    return {"size": len(x_large)}


@app.post("/form")
async def form(field: Annotated[str, Form()], file: UploadFile) -> dict[str, Any]:
    return {"field": field, "file_size": len(await file.read())}


@app.post("/upload")
async def upload(request: Request) -> dict[str, Any]:
    return await notebook.digest(request.stream())


@app.get("/download/{key}/{count}")
async def download(key: str, count: int) -> StreamingResponse:
    return StreamingResponse(notebook.megabytes(key, count))


@app.get("/pieces/{key}")
async def pieces(key: str) -> StreamingResponse:
    return StreamingResponse(notebook.pieces(key))


@app.get("/endless/{key}")
async def endless(key: str) -> StreamingResponse:
    return StreamingResponse(notebook.endless(key))


@app.get("/idle/{key}")
async def idle(key: str) -> StreamingResponse:
    return StreamingResponse(notebook.idle(key), media_type="text/event-stream")


@app.get("/background/{key}")
async def background(key: str, tasks: BackgroundTasks) -> dict[str, Any]:
    async def task() -> None:
        await notebook.pass_gate(key)
        notebook.note(key, "task ended")

    tasks.add_task(task)
    return {"task": "accepted"}


@app.get("/sync/{key}")
def in_thread(key: str) -> dict[str, Any]:
    return {"passed": notebook.pass_gate_in_thread(key)}


@app.get("/meet/{key}/{parties}")
async def meet(key: str, parties: int) -> dict[str, Any]:
    return await notebook.meet(key, parties)


@app.get("/state")
async def state(request: Request) -> dict[str, Any]:
    return {"greeting": request.state.greeting}


@app.get("/where")
async def where(request: Request) -> dict[str, Any]:
    return {"link": str(request.url_for("where"))}


@sub.get("/where", name="where_below")
async def where_below(request: Request) -> dict[str, Any]:
    return {"link": str(request.url_for("where_below"))}


@app.get("/broken")
async def broken() -> dict[str, Any]:
    raise RuntimeError("this view is broken")


@app.post("/gates/{key}")
async def open_gate(key: str) -> dict[str, Any]:
    return notebook.open_gate(key)


@app.get("/notes/{key}")
async def read_notes(key: str) -> dict[str, Any]:
    return notebook.read_notes(key)
