"""What will happen to a request is told to people, and what makes no sense is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import msgspec
import pytest

from tidegate import App, ConfigError, Depends, Problem, Router, Socket, UsageError
from tidegate.web.describe import explain, routes


class Item(msgspec.Struct):
    name: str


async def layer(request: Any, call_next: Any) -> Any:
    return await call_next(request)


def session() -> Iterator[int]:
    yield 1


async def user(one: Annotated[int, Depends(session)], token: str = "none") -> str:
    return token


def app_for() -> App:
    app = App(middleware=[layer], docs=False)

    @app.get("/items/{id}")
    async def show(id: int) -> Item:
        return Item("x")

    @app.post("/items", status=201, max_body_size=100, timeout=5)
    def create(item: Item, me: Annotated[str, Depends(user)]) -> Item:
        return item

    @app.put("/items", run=app.pool("few", threads=2))
    def put(one: Annotated[int, Depends(session)], item: Item) -> None: ...

    @app.get("/stream")
    async def stream() -> AsyncIterator[Item]:
        yield Item("x")

    @app.ws("/chat")
    async def chat(socket: Socket[str, str]) -> None: ...

    app.mount("/inner", App(docs=False))
    return app


def test_routes_are_listed() -> None:
    lines = [re.split(r"  +", line) for line in routes(app_for()).splitlines()]
    assert [line[:3] for line in lines[:5]] == [
        ["GET", "/items/{id}", "on the event loop"],
        ["POST", "/items", "in a thread"],
        ["PUT", "/items", "in a thread of pool 'few'"],
        ["GET", "/stream", "on the event loop"],
        ["WEBSOCKET", "/chat", "on the event loop"],
    ]
    assert lines[5] == ["MOUNT", "/inner/...", "App"]
    assert routes(App(docs=False)) == ""


def test_a_request_is_explained_step_by_step() -> None:
    app = app_for()
    text = explain(app, "POST", "/items")
    steps = [
        *("POST /items -> ", "middleware, outermost first: layer", "1. in one thread hop:"),
        *("session\\(\\) \\(.*\\), closed afterwards", "2. on the event loop:"),
        *("user\\(\\)", "token: str from query 'token', default 'none'", "given session"),
        *("3. read the content for 'item', at most 100 bytes", "4. the handler, in a thread:"),
        *("item: Item from body 'item', required", "given user", "use the same thread"),
        *("504 after 5 s", "answer: 201, Item"),
    ]
    assert re.search(".*".join(steps), text, re.DOTALL), text
    text = explain(app, "HEAD", "/items/7")
    assert "id: int from path 'id', required" in text
    assert "cancelled when the client leaves" in text
    assert explain(app, "GET", "/items/{id}") == text
    assert "a stream of Item" in explain(app, "GET", "/stream")
    assert "answer: 204, None" in explain(app, "PUT", "/items")
    assert "of pool 'few'" in explain(app, "PUT", "/items")
    assert explain(app, "WEBSOCKET", "/chat").startswith("WEBSOCKET /chat")


def test_what_nothing_serves_is_said() -> None:
    app = app_for()
    with pytest.raises(UsageError, match="nothing serves GET /none"):
        explain(app, "GET", "/none")
    with pytest.raises(UsageError, match=r"/items takes OPTIONS, POST, PUT, not GET"):
        explain(app, "GET", "/items")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"status": 199}, r"status must be from 200 to 599, not 199"),
        ({"timeout": 0}, r"timeout must be more than 0 seconds, not 0"),
        ({"run": "fork"}, r"run must be auto, .* not 'fork'"),
        ({"raises": [KeyError]}, r"raises= lists subclasses of Problem, not .*KeyError"),
        ({"raises": [Problem(404)]}, r"raises= lists subclasses"),
        ({"status_code": 201}, r"no option 'status_code'; did you mean 'status'\?"),
        ({"zzz": 1}, r"no option 'zzz'$"),
    ],
)
def test_a_route_is_refused_where_it_is_written(options: dict[str, Any], message: str) -> None:
    def handler() -> None: ...

    with pytest.raises(ConfigError, match=rf"handler\(\) \(.*, line \d+\): .*{message}"):
        App().get("/", **options)(handler)


def test_a_router_is_refused_where_it_is_written() -> None:
    for prefix in ("a", "/a/", "/"):
        with pytest.raises(ConfigError, match="a prefix begins with"):
            Router(prefix)
    router, inner = Router(), Router()
    router.include(inner)
    for wrong in (router, inner):
        with pytest.raises(ConfigError, match="cannot include itself"):
            wrong.include(router)
    with pytest.raises(ConfigError, match=r"for WSGI write wsgi\(app\)"):
        router.mount("/x", 5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a mount begins with"):
        router.mount("/x/", App())
    with pytest.raises(ConfigError, match="there is no method 'FETCH'"):
        router.route("/", methods=["FETCH"])
    app = App()
    app.get("x")(lambda: None)
    with pytest.raises(ConfigError, match="a path begins with '/', 'x' does not"):
        app.prepare()
