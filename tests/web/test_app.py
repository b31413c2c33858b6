"""The application as a whole: its options, its names, its hosts, its changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from tests.web.driver import Server, ask, scope_for

from tidegate import App, ConfigError, Depends, Hub, Problem, Request, Router, UsageError


async def test_an_unknown_option_is_an_error_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="no option 'titel'; did you mean 'title'"):
        App(titel="x")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"no option 'zzz'$"):
        App(zzz="x")  # type: ignore[call-arg]


async def test_all_that_is_wrong_is_said_at_once() -> None:
    app = App()

    @app.get("/a")
    async def one(thing: object) -> None: ...

    @app.get("/b")
    async def two(thing: object) -> None: ...

    @app.resource
    async def nothing():  # type: ignore[no-untyped-def]
        yield 1

    with pytest.raises(ConfigError, match=r"3 things are wrong:\n- (?s:.*)\n- (?s:.*)\n- "):
        app.prepare()


async def test_what_is_added_later_is_served_too() -> None:
    app = App()
    router = Router(prefix="/r")
    app.include(router)
    assert (await ask(app, target="/a")).status == 404

    @app.get("/a")
    async def first() -> str:
        return "a"

    assert app.url_for("first") == "/a"

    @router.get("/b")
    async def second() -> str:
        return "b"

    assert app.url_for("second") == "/r/b"
    assert (await ask(app, target="/a")).text == "a"
    assert (await ask(app, target="/r/b")).text == "b"


async def test_paths_are_made_from_names() -> None:
    app = App()

    @app.get("/items/{id:int}/{rest:path}")
    async def show(id: int, rest: str, request: Request) -> str:
        return request.url_for("show", id=id, rest=rest)

    app.mount("/inner", App(), name="inner")
    assert app.url_for("show", id=5, rest="a b/ü?") == "/items/5/a%20b/%C3%BC%3F"
    assert app.url_for("inner") == "/inner"
    assert (await ask(app, target="/items/1/x")).text == "/items/1/x"
    outer = App()
    outer.mount("/at", app)
    assert (await ask(outer, target="/at/items/1/x")).text == "/at/items/1/x"
    with pytest.raises(UsageError, match="no route named 'none'"):
        app.url_for("none")
    with pytest.raises(UsageError, match="needs 'rest'"):
        app.url_for("show", id=5)
    with pytest.raises(UsageError, match="'x' cannot be"):
        app.url_for("show", id="x", rest="")


async def test_hosts_have_applications_of_their_own() -> None:
    app = App()
    for name in ("a.example", "*.b.example"):
        other = App()
        other.get("/", name=name)(_named(name))
        app.host(name, other)
    app.get("/")(_named("main"))
    for host, expected in (
        ("a.example", "a.example"),
        ("A.EXAMPLE:8000", "a.example"),
        ("x.b.example", "*.b.example"),
        ("b.example", "main"),
        ("[::1]", "main"),
        ("[::1]:80", "main"),
        ("", "main"),
    ):
        assert (await ask(app, headers={"host": host})).text == expected


def _named(name: str) -> Any:
    async def handler() -> str:
        return name

    return handler


async def test_a_fallback_serves_what_no_route_matches() -> None:
    app, old = App(), App()
    app.get("/new")(_named("new"))
    old.get("/old")(_named("old"))
    app.fallback(old)
    assert (await ask(app, target="/new")).text == "new"
    assert (await ask(app, target="/old")).text == "old"
    assert (await ask(app, "POST", "/new")).status == 405
    assert (await ask(app, target="/none")).status == 404


async def test_a_method_that_a_path_does_not_take_is_405_and_options_says_which_it_takes() -> None:
    app = App()
    app.get("/")(_named("x"))
    reply = await ask(app, "POST")
    assert (reply.status, reply.header("allow")) == (405, "GET, HEAD, OPTIONS")
    reply = await ask(app, "OPTIONS")
    assert (reply.status, reply.header("allow")) == (204, "GET, HEAD, OPTIONS")


async def test_values_and_functions_are_replaced_in_a_block() -> None:
    app = App()

    class Database:
        name = "real"

    @app.resource
    async def database() -> AsyncIterator[Database]:
        yield Database()

    def word() -> str:
        return "real"

    @app.get("/")
    async def handler(db: Database, one: Annotated[str, Depends(word)]) -> str:
        return f"{db.name} {one}"

    fake = Database()
    fake.name = "fake"
    async with app.opened():
        with app.override({Database: fake, word: lambda: "other"}):
            assert (await ask(app)).text == "fake other"
        assert (await ask(app)).text == "real real"


async def test_resources_are_given_outside_of_requests() -> None:
    app = App()
    log = []

    class Database:
        pass

    @app.resource
    async def database() -> AsyncIterator[Database]:
        log.append("open")
        yield Database()
        log.append("close")

    async with app.scope() as scope:
        assert isinstance(await scope.get(Database), Database)
    assert log == ["open", "close"]
    async with app.opened(), app.scope() as scope:
        await scope.get(Database)
        with pytest.raises(ValueError, match="of the block"):
            async with app.scope():
                raise ValueError("of the block")
    assert log == ["open", "close"] * 2


async def test_a_pool_has_one_size() -> None:
    app = App()
    pool = app.pool("of-this-test", threads=2)
    assert app.pool("of-this-test", threads=2) == pool
    with pytest.raises(ConfigError, match="exists with other limits"):
        app.pool("of-this-test", threads=3)
    for sizes in ({}, {"threads": 1, "processes": 1}):
        with pytest.raises(ConfigError, match=r"has threads=\.\.\. or processes"):
            app.pool("other", **sizes)


async def test_errors_are_answered_with_what_a_function_makes_of_them() -> None:
    app = App()

    @app.error(KeyError)
    def missing(error: KeyError) -> Problem:
        return Problem(404, f"no such {error}")

    @app.error(LookupError)
    async def lookup(request: Request, error: LookupError) -> dict[str, str]:
        return {"path": request.path}

    @app.get("/{kind}")
    async def handler(kind: str) -> str:
        raise {"key": KeyError("x"), "index": IndexError()}[kind]

    reply = await ask(app, target="/key")
    assert (reply.status, reply.json["detail"]) == (404, "no such 'x'")
    reply = await ask(app, target="/index")
    assert (reply.status, reply.json) == (500, {"path": "/index"})


async def test_two_handlers_of_one_path_or_two_mounts_are_an_error() -> None:
    app = App()
    app.get("/")(_named("a"))
    app.get("/")(_named("b"))
    with pytest.raises(ConfigError, match="GET / has two handlers"):
        app.prepare()
    app = App()
    app.mount("/a", App())
    app.mount("/a", App())
    with pytest.raises(ConfigError, match="two applications are mounted at /a"):
        app.prepare()
    with pytest.raises(ConfigError, match=r"for WSGI write wsgi\(app\)"):
        app.mount("/b", "app")  # type: ignore[arg-type]


async def test_a_mount_below_parameters_knows_them_and_its_part_of_the_path() -> None:
    app = App()
    seen = {}

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.update(scope)

    app.mount("/u/{user}/v{n:int}", inner)
    server = Server(b"")
    await app({**scope_for("GET", "/"), "path": "/u/ann/v2/x"}, server.receive, server.send)
    assert seen["root_path"] == "/u/ann/v2"
    assert seen["path_params"] == {"user": "ann", "n": "2"}


async def test_the_hub_is_that_of_the_application() -> None:
    app = App()

    @app.get("/")
    async def handler(hub: Hub) -> bool:
        return hub is app.hub

    assert (await ask(app)).json is True


async def test_the_documentation_gives_way_to_routes_of_the_same_path() -> None:
    app = App()
    app.get("/docs")(_named("mine"))
    assert (await ask(app, target="/docs")).text == "mine"
    assert (await ask(app, target="/openapi.json")).status == 200
    assert (await ask(App(docs=False), target="/docs")).status == 404
