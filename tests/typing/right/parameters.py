"""Markers, dependencies and resources of all kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, TypedDict

from msgspec import Meta, Struct

from tidegate import (
    App,
    Body,
    Cookie,
    Depends,
    FileResponse,
    Form,
    Header,
    HTMLResponse,
    JSONResponse,
    LastEventID,
    Path,
    Query,
    RedirectResponse,
    Response,
    StreamResponse,
    TextResponse,
)

app = App()


class DB:
    pass


class Session:
    def __init__(self, db: DB) -> None:
        self.db = db


class Filters(Struct):
    q: str = ""


@dataclass
class Login:
    name: str


class Options(TypedDict, total=False):
    color: str


@app.resource
def database() -> DB:
    return DB()


@app.resource(scope="request", close="before", run="inline")
def session(db: DB) -> Iterator[Session]:
    yield Session(db)


@app.resource(scope="app")
async def filters() -> AsyncIterator[Filters]:
    yield Filters()


def user(token: Annotated[str, Header("authorization")]) -> str:
    return token


User = Annotated[str, Depends(user, close="after", use_cache=False, run="thread")]


@app.get("/{id}")
async def read(
    id: Annotated[int, Path(ge=1)],
    who: User,
    session: Session,
    filters: Annotated[Filters, Query()],
    last: LastEventID,
    page: Annotated[int, Query("p", ge=1, description="P", examples=[1], deprecated=True)] = 1,
    names: Annotated[list[str], Query(max_length=3)] = [],  # noqa: B006
    agent: Annotated[str | None, Header] = None,
    cookie: Annotated[str, Cookie("sid"), Meta(max_length=9)] = "",
) -> dict[str, int | str]:
    return {"id": id, "who": who}


@app.post("/form")
def form(login: Annotated[Login, Form()]) -> HTMLResponse:
    return HTMLResponse("<p>")


@app.post("/field")
def field(name: Annotated[str, Form(min_length=1)]) -> RedirectResponse:
    return RedirectResponse("/")


@app.post("/raw")
def raw(content: Annotated[bytes, Body()]) -> StreamResponse:
    return StreamResponse([content], media_type="text/plain")


@app.post("/options")
def options(options: Options) -> JSONResponse[Options]:
    return JSONResponse(options)


@app.get("/text")
def text() -> TextResponse:
    return TextResponse("a")


@app.get("/file")
def file() -> FileResponse:
    return FileResponse("a.txt", filename="b.txt", disposition="inline")


@app.get("/cookie")
def cookie() -> Response[None]:
    response = Response[None](status=204)
    response.set_cookie("a", "b", max_age=1, same_site="strict")
    response.headers["x-a"] = "1"
    return response
