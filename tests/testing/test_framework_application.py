"""With an application of the framework a client also replaces, calls and knows types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Annotated, Any

import msgspec
import pytest

from tidegate import App, Depends, Header, Hub, Problem, Response, Socket, UsageError
from tidegate.asgi import Receive, Scope, Send
from tidegate.exchange.lifespan import LifespanFailed
from tidegate.testing import StatusError, client

from .applications import Mirror, answer, http_only


class Item(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1)]


class Say(msgspec.Struct, tag=True):
    text: str


class Said(msgspec.Struct, tag=True):
    who: str
    text: str


class DB:
    """Opened for real, which a test does not want."""

    name = "real"


def shop() -> App:
    app = App(title="Shop")

    @app.resource
    async def database() -> DB:
        raise ConnectionError("no database in tests")

    async def user(token: Annotated[str, Header("authorization")] = "") -> str:
        if not token:
            raise Problem(401)
        return token

    @app.get("/")
    async def show(db: DB) -> str:
        return db.name

    @app.post("/items", status=201)
    async def create(item: Item, who: Annotated[str, Depends(user)]) -> Item:
        return item

    @app.ws("/rooms/{room}")
    async def chat(
        room: str, sock: Socket[Say, Said], who: Annotated[str, Depends(user)], hub: Hub
    ) -> None:
        async for message in sock:
            await sock.send(Said(who, message.text))

    return app


class Fake(DB):
    name = "fake"


def test_what_is_injected_can_be_replaced() -> None:
    app = shop()
    with client(app, override={DB: Fake()}) as c:
        assert c.get("/").text.strip('"') == "fake"
        assert c.post("/items", json={"name": ""}, headers={"authorization": "a"}).status == 422
        assert c.post("/items", json=Item("x")).status == 401
        reply = c.post("/items", json=Item("x"), headers={"authorization": "a"})
        assert (reply.status, reply.json(Item)) == (201, Item("x"))
        with c.ws("/rooms/a", headers={"authorization": "ann"}) as ws:
            ws.send(Say("hi"))
            assert ws.receive() == Said("ann", "hi")
    with pytest.raises(LifespanFailed, match="no database in tests"), client(app):
        pass


@pytest.mark.parametrize("kind", [contextmanager, asynccontextmanager])
def test_an_override_lasts_from_before_the_startup_until_after_the_shutdown(kind: Any) -> None:
    events: list[Any] = []

    class Overridable:
        def override(self, values: Mapping[Any, Any]) -> AbstractContextManager[None]:
            if kind is contextmanager:

                @contextmanager
                def managed() -> Any:
                    events.append(values)
                    yield
                    events.append("restored")
            else:

                @asynccontextmanager
                async def managed() -> Any:
                    events.append(values)
                    yield
                    events.append("restored")

            return managed()  # type: ignore[no-any-return]

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            for _ in range(2):
                kind = (await receive())["type"]
                events.append(kind)
                await send({"type": f"{kind}.complete"})

    with client(Overridable(), override={"a": 1}):
        pass
    assert events == [{"a": 1}, "lifespan.startup", "lifespan.shutdown", "restored"]


class Callable_(Mirror):
    """Has what ``call`` asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Any = None

    def request_for(
        self, handler: Callable[..., Any], arguments: dict[str, Any]
    ) -> tuple[str, str, Any, Any, Any]:
        self.asked = (handler, arguments)
        return "POST", "/items", {"page": 1}, {"x-who": "me"}, arguments.get("item", msgspec.UNSET)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        content = (await receive())["body"]
        self.scope = scope
        await answer(send, content or b"null", 400 if content == b'{"name":"bad"}' else 200)


async def create(item: Item) -> Item:
    """Never runs: the application is not really one."""
    return item


def nothing(item: Item | None = None) -> None:
    """Never runs either."""


def respond(item: Item) -> Response[Item]:
    """Nor does this."""
    return Response(item)


def test_a_handler_is_called_through_a_request() -> None:
    app = Callable_()
    with client(app) as c:
        assert c.call(create, item=Item("x")) == Item("x")
        assert app.asked == (create, {"item": Item("x")})
        assert (app.scope["query_string"], app.header("x-who")) == (b"page=1", "me")
        c.call(nothing)
        assert app.header("content-type") is None
        assert c.call(respond, item=Item("y")).status == 200
        with pytest.raises(StatusError, match="answered 400"):
            c.call(create, item=Item("bad"))


def test_a_handler_of_the_framework_is_called_by_its_own_arguments() -> None:
    app = App()

    @app.get("/items/{id}")
    async def show(id: int, tags: list[str], page: int = 1) -> dict[str, Any]:
        return {"id": id, "tags": tags, "page": page}

    @app.put("/items")
    def put(item: Item, x_who: Annotated[str, Header("x-who")]) -> str:
        return f"{x_who} put {item.name}"

    @app.delete("/items/{id}", status=204)
    async def delete(id: int) -> None:
        if id == 0:
            raise Problem(404, "no such item")

    with client(app) as c:
        assert c.call(show, id=3, tags=["a", "b"]) == {"id": 3, "tags": ["a", "b"], "page": 1}
        assert c.call(put, item=Item("x"), x_who="ann") == "ann put x"
        assert c.call(delete, id=3) is None
        with pytest.raises(StatusError, match="no such item"):
            c.call(delete, id=0)
        with pytest.raises(UsageError, match="takes no 'nothing'"):
            c.call(show, nothing=1)


async def test_a_handler_is_called_through_a_request_in_a_coroutine() -> None:
    async with client(Callable_()) as c:
        assert await c.call(create, item=Item("x")) == Item("x")


def test_other_applications_have_neither() -> None:
    with pytest.raises(UsageError, match=r"Mirror has no override\(\)"):
        client(Mirror(), override={DB: Fake()}).__enter__()
    with client(Mirror()) as c, pytest.raises(UsageError, match=r"Mirror has no request_for\(\)"):
        c.call(create, item=Item("x"))
