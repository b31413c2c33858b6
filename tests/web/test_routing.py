"""Paths and methods lead to handlers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.web.driver import ask, scope_for

from tidegate import App, ConfigError, Request, Response, Router, UsageError
from tidegate.web.table import Table, parse_template


def app_with(*paths: str) -> App:
    app = App()
    for path in paths:
        app.get(path, name=path)(answer_with(path))
    return app


def answer_with(path: str) -> Callable[..., Any]:
    async def handler(request: Request) -> dict[str, Any]:
        return {"route": path, **request.path_params}

    return handler


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", {"route": "/"}),
        ("/items/new", {"route": "/items/new"}),
        ("/items/7", {"route": "/items/{id:int}", "id": "7"}),
        ("/items/-7", {"route": "/items/{id:int}", "id": "-7"}),
        ("/items/x", {"route": "/items/{name}", "name": "x"}),
        ("/items/7/tags", {"route": "/items/{id}/tags", "id": "7"}),
        ("/items/x/tags/y", {"route": "/items/{name}/{rest:path}", "name": "x", "rest": "tags/y"}),
        ("/v2/a.json", {"route": "/v{n:int}/{name}.json", "n": "2", "name": "a"}),
        ("/2026-11", {"route": "/{year:int}-{month:int}", "year": "2026", "month": "11"}),
        ("/files/", {"route": "/files/{path:path}", "path": ""}),
        ("/files/a/b", {"route": "/files/{path:path}", "path": "a/b"}),
        ("/été", {"route": "/{word}", "word": "été"}),
    ],
)
async def test_the_most_specific_route_answers(path: str, expected: dict[str, str]) -> None:
    app = app_with(
        *("/{word}", "/", "/items/{name}", "/items/{id:int}", "/items/new", "/items/{id}/tags"),
        *("/items/{name}/{rest:path}", "/v{n:int}/{name}.json", "/{year:int}-{month:int}"),
        "/files/{path:path}",
    )
    assert (await ask(app, target=path)).json == expected


@pytest.mark.parametrize("path", ["/nothing/here", "/items/", "/items//tags", "//"])
async def test_a_path_without_route_is_a_problem(path: str) -> None:
    app = app_with("/", "/items/{id}", "/items/{id}/tags")
    app.redirect_slashes = False
    reply = await ask(app, target=path)
    assert reply.status == 404
    assert reply.header("content-type") == "application/problem+json"
    assert reply.json["status"] == 404


async def test_a_method_that_is_not_there_is_told_which_are() -> None:
    app = app_with("/items/{id}")
    app.delete("/items/{id}")(answer_with("delete"))
    reply = await ask(app, "POST", "/items/1")
    assert reply.status == 405
    assert reply.header("allow") == "DELETE, GET, HEAD, OPTIONS"
    assert reply.header("content-type") == "application/problem+json"


async def test_options_is_answered_with_what_is_allowed() -> None:
    reply = await ask(app_with("/"), "OPTIONS", "/")
    assert (reply.status, reply.header("allow"), reply.body) == (204, "GET, HEAD, OPTIONS", b"")


async def test_head_has_the_head_of_get_and_no_content() -> None:
    app = app_with("/")
    got, head = await ask(app, "GET"), await ask(app, "HEAD")
    assert head.headers == got.headers
    assert (head.status, head.body) == (200, b"")
    assert got.body


async def test_a_method_is_never_looked_up_as_anything_else() -> None:
    for method in ("__init__", "get", "Get", "prepare", ""):
        assert (await ask(app_with("/"), method)).status == 405


async def test_static_and_dynamic_routes_share_a_path() -> None:
    app = App()
    app.post("/items/new")(answer_with("static"))
    app.get("/items/{id}")(answer_with("dynamic"))
    assert (await ask(app, "GET", "/items/new")).json == {"route": "dynamic", "id": "new"}
    assert (await ask(app, "POST", "/items/new")).json == {"route": "static"}
    assert (await ask(app, "PUT", "/items/new")).status == 405


@pytest.mark.parametrize(("asked", "there"), [("/a/", "/a"), ("/b", "/b/"), ("/c/1/", "/c/1")])
async def test_a_slash_too_many_or_too_few_is_redirected(asked: str, there: str) -> None:
    app = app_with("/a", "/b/", "/c/{id}")
    reply = await ask(app, "GET", f"{asked}?q=1")
    assert (reply.status, reply.header("location")) == (308, f"{there}?q=1")
    app.redirect_slashes = False
    assert (await ask(app, "GET", asked)).status == 404


async def test_a_redirect_stays_below_the_mount_point_and_names_no_host() -> None:
    app = app_with("/a")
    scope = scope_for("GET", "/api/a/", {"host": "evil.example"})
    scope["root_path"] = "/api"
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, None, send)  # type: ignore[arg-type]
    assert (b"location", b"/api/a") in sent[0]["headers"]


async def test_routers_nest_with_their_prefixes() -> None:
    app, outer, inner = App(), Router("/outer"), Router("/inner")
    app.include(outer)
    outer.include(inner)
    inner.get("/{id}")(answer_with("deep"))
    outer.get("")(answer_with("bare"))
    assert (await ask(app, target="/outer/inner/5")).json == {"route": "deep", "id": "5"}
    assert (await ask(app, target="/outer")).json == {"route": "bare"}


async def test_the_same_path_and_method_twice_is_an_error_that_names_both() -> None:
    app = App()
    app.get("/a")(answer_with("first"))
    app.get("/a")(answer_with("second"))
    with pytest.raises(ConfigError, match=r"GET /a has two handlers.*test_routing.*test_routing"):
        app.prepare()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("items", "begins with '/'"),
        ("/{id", "brace is not closed"),
        ("/{id:what}", "no type 'what'; there are str, int"),
        ("/{id}/{id}", "names 'id' twice"),
        ("/{not-a-name}", "cannot be the name of a parameter"),
        ("/{rest:path}/more", "nothing can follow"),
        ("/x{rest:path}", "stands alone"),
    ],
)
def test_a_wrong_template_is_an_error_that_says_why(path: str, words: str) -> None:
    app = App()
    app.get(path)(answer_with(path))
    with pytest.raises(ConfigError) as raised:
        app.prepare()
    assert words in str(raised.value)


@pytest.mark.parametrize("prefix", ["api", "/api/", "/"])
def test_a_wrong_prefix_is_an_error(prefix: str) -> None:
    with pytest.raises(ConfigError, match="prefix"):
        Router(prefix)


def test_a_method_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no method 'FETCH'"):
        App().route("/", methods=["FETCH"])


def test_urls_are_made_from_names() -> None:
    app = app_with("/items/{id:int}", "/files/{path:path}", "/people/{name}")
    assert app.url_for("/items/{id:int}", id=3) == "/items/3"
    assert app.url_for("/people/{name}", name="a b ü") == "/people/a%20b%20%C3%BC"
    assert app.url_for("/files/{path:path}", path="a/b c") == "/files/a/b%20c"


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("nope", {}, "no route named"),
        ("one", {}, "needs 'id'"),
        ("one", {"id": "x"}, "cannot be"),
        ("one", {"id": "1/2"}, "cannot be"),  # it would lead elsewhere
    ],
)
def test_urls_that_cannot_be_made_are_errors(name: str, params: Any, words: str) -> None:
    app = App()
    app.get("/items/{id:int}", name="one")(answer_with(""))
    with pytest.raises(UsageError, match=words):
        app.url_for(name, **params)


async def test_hosts_lead_to_their_applications() -> None:
    app, api, many = app_with("/"), app_with("/"), app_with("/")
    api.get("/api")(answer_with("api"))
    many.get("/any")(answer_with("many"))
    app.host("api.example.com", api)
    app.host("*.example.org", many)
    for host, path, status in [
        ("api.example.com", "/api", 200),
        ("API.example.com:8000", "/api", 200),
        ("www.example.org", "/any", 200),
        ("example.org", "/any", 404),
        ("other.example", "/api", 404),
    ]:
        assert (await ask(app, "GET", path, {"host": host})).status == status, host


async def test_a_mount_sees_its_part_of_the_path() -> None:
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            text = f"{scope['root_path']}|{scope['path']}|{scope.get('path_params', {})}"
            await Response(text)(scope, receive, send)

    app = app_with("/old/new")
    app.mount("/old", mounted)
    app.mount("/old/deep", app_with("/x"))
    app.mount("/tenants/{name}", mounted)
    assert (await ask(app, target="/old")).text == "/old|/old|{}"
    assert (await ask(app, target="/old/a/b")).text == "/old|/old/a/b|{}"
    assert (await ask(app, target="/older")).status == 404
    assert (await ask(app, target="/old/new")).json == {"route": "/old/new"}
    assert (await ask(app, target="/old/deep/x")).json == {"route": "/x"}
    assert (await ask(app, target="/tenants/a/x")).text == ("/tenants/a|/tenants/a/x|{'name': 'a'}")


async def test_the_fallback_takes_what_no_route_does() -> None:
    app, old = app_with("/new"), app_with("/old")
    app.fallback(old)
    assert (await ask(app, target="/old")).json == {"route": "/old"}
    assert (await ask(app, target="/new")).json == {"route": "/new"}
    assert (await ask(app, "POST", "/new")).status == 405


def test_the_trie_finds_what_a_plain_search_finds() -> None:
    chance = random.Random(7)
    words = ["a", "b", "{x}", "{n:int}", "v{n:int}", "{x}.json"]
    templates = sorted({"/" + "/".join(chance.choices(words, k=chance.randint(1, 3)))
                        for _ in range(60)})  # fmt: skip
    templates = [t for t in templates if t.count("{x}") < 2 and t.count("{n") < 2]
    table: Table[list[str]] = Table(list)
    for text in templates:
        table.at(parse_template(text)).append(text)
    for _ in range(2000):
        path = "/" + "/".join(chance.choices(["a", "b", "7", "v7", "a.json", "", "c"], k=2))
        fitting = [t for t in templates if _fits(t, path)]
        found = table.find(path)
        assert (found is not None) == bool(fitting), path
        if found is not None:
            assert set(found[0]) & set(fitting), path


def _fits(template: str, path: str) -> bool:
    parsed = parse_template(template)
    parts = path.split("/")[1:]
    if len(parts) != len(parsed.segments):
        return False
    return all(
        re.fullmatch(pattern, part) if pattern else literal == part
        for (pattern, literal), part in zip(parsed.segments, parts, strict=True)
    )
