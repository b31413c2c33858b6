"""The application of these tests, written for Litestar."""

# Litestar reads the annotations of a handler when it is defined.
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import notebook
from litestar import HttpMethod, Litestar, Request, Response, Router, get, post, route
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Stream


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    notebook.write_diary("startup")
    yield
    notebook.write_diary("shutdown")


@route("/", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def home() -> dict[str, Any]:
    return {"framework": "litestar"}


@get("/items/{name:str}")
async def item(name: str, q: list[str]) -> dict[str, Any]:
    return {"name": name, "q": q}


@post("/json", status_code=200)
async def receive_json(data: dict[str, Any]) -> dict[str, Any]:
    return {"received": data}


@get("/headers")
async def large_headers(request: Request) -> Response[dict[str, Any]]:
    value = request.headers["x-large"]
    return Response({"size": len(value)}, headers={"x-large": value})


@post("/form", status_code=200)
async def form(
    data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)],
) -> dict[str, Any]:
    file: UploadFile = data["file"]
    return {"field": data["field"], "file_size": len(await file.read())}


@post("/upload", status_code=200, request_max_body_size=None)
async def upload(request: Request) -> dict[str, Any]:
    return await notebook.digest(request.stream())


@get("/download/{key:str}/{count:int}")
async def download(key: str, count: int) -> Stream:
    return Stream(notebook.megabytes(key, count))


@get("/pieces/{key:str}")
async def pieces(key: str) -> Stream:
    return Stream(notebook.pieces(key))


@get("/endless/{key:str}")
async def endless(key: str) -> Stream:
    return Stream(notebook.endless(key))


@get("/idle/{key:str}")
async def idle(key: str) -> Stream:
    return Stream(notebook.idle(key), media_type="text/event-stream")


@get("/background/{key:str}")
async def background(key: str) -> Response[dict[str, Any]]:
    async def task() -> None:
        await notebook.pass_gate(key)
        notebook.note(key, "task ended")

    return Response({"task": "accepted"}, background=BackgroundTask(task))


@get("/sync/{key:str}", sync_to_thread=True)
def in_thread(key: str) -> dict[str, Any]:
    return {"passed": notebook.pass_gate_in_thread(key)}


@get("/meet/{key:str}/{parties:int}")
async def meet(key: str, parties: int) -> dict[str, Any]:
    return await notebook.meet(key, parties)


@get("/where", name="where")
async def where(request: Request) -> dict[str, Any]:
    return {"link": request.url_for("where")}


@get("/where", name="where_below")
async def where_below(request: Request) -> dict[str, Any]:
    return {"link": request.url_for("where_below")}


@get("/broken")
async def broken() -> dict[str, Any]:
    raise RuntimeError("this view is broken")


@post("/gates/{key:str}", status_code=200)
async def open_gate(key: str) -> dict[str, Any]:
    return notebook.open_gate(key)


@get("/notes/{key:str}")
async def read_notes(key: str) -> dict[str, Any]:
    return notebook.read_notes(key)


app = Litestar(
    route_handlers=[
        home,
        item,
        receive_json,
        large_headers,
        form,
        upload,
        download,
        pieces,
        endless,
        idle,
        background,
        in_thread,
        meet,
        where,
        Router("/sub", route_handlers=[where_below]),
        broken,
        open_gate,
        read_notes,
    ],
    lifespan=[lifespan],
)
