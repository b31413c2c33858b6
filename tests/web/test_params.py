"""One rule says where each parameter comes from, and what is wrong with it."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal, NewType

import annotated_types
import msgspec
import pydantic
import pytest
import typing_extensions
from tests.web.driver import Server, ask, scope_for

from tidegate import App, Body, ConfigError, Cookie, Depends, Form, Header, Path, Query
from tidegate.web.params import LastEventID


class Colour(enum.Enum):
    RED = "red"


class Filter(msgspec.Struct, forbid_unknown_fields=True):
    words: list[str] = []
    pair: tuple[int, int] = (1, 2)
    some: list[int] | None = None
    number: int = msgspec.field(default=1, name="n")


class Needed(msgspec.Struct):
    name: str
    age: int


class Model(pydantic.BaseModel):
    words: list[str] = []
    number: int = pydantic.Field(default=1, alias="n", ge=1)


@pydantic.dataclasses.dataclass
class ModelClass:
    words: list[str]


class Unknown:
    pass


Word = NewType("Word", str)
Alias = typing_extensions.TypeAliasType("Alias", Annotated[int, Query(name="alias", ge=1)])
Plain = typing_extensions.TypeAliasType("Plain", int)


def app_for(hint: Any, method: str = "GET", path: str = "/", **default: Any) -> App:
    app = App()

    async def handler(x: Any) -> Any:
        return {"value": x}

    handler.__annotations__["x"] = hint
    handler.__kwdefaults__ = None
    if default:
        handler.__defaults__ = (default["default"],)
    app.route(path, methods=[method])(handler)
    return app


FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.mark.parametrize(
    ("hint", "query", "expected"),
    [
        (str, "x=a+b%20c", "a b c"),
        (str, "x=", ""),
        (str, "x=1&x=2", "2"),
        (int, "x=-7", -7),
        (float, "x=1.5", 1.5),
        (bool, "x=true", True),
        (bool, "x=0", False),
        (Colour, "x=red", "red"),
        (Literal["a", 1], "x=1", 1),
        (uuid.UUID, f"x={uuid.UUID(int=1)}", str(uuid.UUID(int=1))),
        (datetime.datetime, "x=2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
        (datetime.date, "x=2026-11-22", "2026-11-22"),
        (decimal.Decimal, "x=1.10", "1.10"),
        (int | None, "x=null", None),
        (str | None, "x=null", "null"),
        (list[int], "x=1&x=2", [1, 2]),
        (set[int], "x=1&x=1", [1]),
        (tuple[int, str], "x=1&x=2", [1, "2"]),
        (list[int] | None, "x=1", [1]),
        (Word, "x=w", "w"),
        (Plain, "x=3", 3),
        (Alias, "alias=3", 3),
        (Annotated[str, Query], "x=marker+class", "marker class"),
        (Annotated[str, Query("other")], "other=o", "o"),
        (Annotated[Filter, Query()], "words=a&words=b&some=1&n=4&pair=5&pair=6",
         {"words": ["a", "b"], "pair": [5, 6], "some": [1], "n": 4}),
        (Annotated[Filter, Query()], "",
         {"words": [], "pair": [1, 2], "some": None, "n": 1}),
        (Annotated[Model, Query()], "words=a&n=4", {"words": ["a"], "n": 4}),
        (Annotated[ModelClass, Query()], "words=a", {"words": ["a"]}),
        (Annotated[dict[str, str], Query()], "a=1&b=2", {"a": "1", "b": "2"}),
    ],
)  # fmt: skip
async def test_a_query_parameter_becomes_what_it_is_said_to_be(
    hint: Any, query: str, expected: Any
) -> None:
    reply = await ask(app_for(hint), target=f"/?{query}")
    assert (reply.status, reply.json) == (200, {"value": expected})


@pytest.mark.parametrize(
    ("hint", "default"),
    [
        *((str, "d"), (int | None, None), (list[int], [3]), (Annotated[str, Header()], "d")),
        *((Annotated[str, Cookie()], "d"), (Annotated[list[str], Header()], ["d"])),
        (Annotated[Needed | None, Query()], None),
    ],
)
async def test_what_is_not_sent_has_its_default(hint: Any, default: Any) -> None:
    assert (await ask(app_for(hint, default=default))).json == {"value": default}
    reply = await ask(app_for(hint))
    assert reply.status == 422
    assert "required" in reply.json["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("hint", "headers", "expected"),
    [
        (Annotated[int, Header()], [("x", "7")], 7),
        (Annotated[str, Header("x-long_name")], [("X-Long_Name", "é")], "é"),
        (Annotated[list[int], Header()], [("x", "1"), ("x", "2")], [1, 2]),
        (Annotated[str, Cookie()], [("cookie", 'a=1; x="b"; x=c')], "b"),
        (Annotated[int, Cookie("y")], [("cookie", "y=1")], 1),
        (LastEventID, [("last-event-id", "5")], "5"),
    ],
)
async def test_headers_and_cookies(hint: Any, headers: Any, expected: Any) -> None:
    assert (await ask(app_for(hint), headers=headers)).json == {"value": expected}


async def test_underscores_in_a_name_are_hyphens_in_a_header() -> None:
    app = App()

    @app.get("/")
    async def handler(user_agent: Annotated[str, Header()]) -> str:
        return user_agent

    assert (await ask(app, headers={"User-Agent": "test"})).text == "test"


@pytest.mark.parametrize(
    ("hint", "template", "path", "expected"),
    [
        (int, "/{x}", "/7", 7),
        (Annotated[int, Path("id", ge=1)], "/{id}", "/7", 7),
        (str, "/{x:path}", "/a/b", "a/b"),
        (Any, "/{x}", "/text", "text"),
        (Colour, "/{x}", "/red", "red"),
    ],
)
async def test_path_parameters(hint: Any, template: str, path: str, expected: Any) -> None:
    assert (await ask(app_for(hint, path=template), target=path)).json == {"value": expected}


async def test_a_wrong_path_parameter_is_told_by_its_name() -> None:
    reply = await ask(app_for(Annotated[int, Path("id")], path="/{id}"), target="/secret")
    assert reply.json["errors"] == [
        {"in": "path", "name": "id", "detail": "Expected 'int', got 'str'"}
    ]


@pytest.mark.parametrize(
    ("hint", "content", "expected"),
    [
        (Annotated[int, Form()], b"x=7", 7),
        (Annotated[list[int], Form()], b"x=7&x=8", [7, 8]),
        (Annotated[Filter, Form()], b"words=a&n=2",
         {"words": ["a"], "pair": [1, 2], "some": None, "n": 2}),
        (Annotated[Model, Form()], b"words=a&n=2", {"words": ["a"], "n": 2}),
    ],
)  # fmt: skip
async def test_forms(hint: Any, content: bytes, expected: Any) -> None:
    app = app_for(hint, "POST")
    assert (await ask(app, "POST", "/", FORM, content)).json == {"value": expected}
    assert (await ask(app, "POST", "/", {"content-type": "text/plain"}, content)).status == 415
    assert (await ask(app, "POST", "/", {}, content)).status == 415


@pytest.mark.parametrize(
    ("hint", "content", "expected"),
    [
        (Needed, b'{"name":"a","age":1}', {"name": "a", "age": 1}),
        (list[Needed], b"[]", []),
        (Needed | None, b"null", None),
        (dict[str, Any], b'{"a":[1]}', {"a": [1]}),
        (Annotated[list[int], Body()], b"[1]", [1]),
        (Annotated[int, Body()], b"5", 5),
        (Annotated[Needed | int, Body()], b"5", 5),
        (Annotated[Any, Body()], b'{"a":1}', {"a": 1}),
        (Annotated[str, Body()], "é".encode(), "é"),
        (Annotated[bytes, Body(max_length=3)], b"abc", "YWJj"),
    ],
)
async def test_content(hint: Any, content: bytes, expected: Any) -> None:
    reply = await ask(app_for(hint, "POST"), "POST", "/", {}, content)
    assert (reply.status, reply.json) == (200, {"value": expected})


async def test_content_that_was_not_sent_has_its_default() -> None:
    for hint in (Needed | None, Annotated[str | None, Body()], Annotated[bytes | None, Body()]):
        reply = await ask(app_for(hint, "POST", default=None), "POST")
        assert reply.json == {"value": None}
    reply = await ask(app_for(Annotated[str, Body()], "POST", default="d"), "POST")
    assert reply.json == {"value": "d"}
    assert (await ask(app_for(Needed, "POST"), "POST")).status == 400


@pytest.mark.parametrize(
    "hint",
    [
        Annotated[int, Query(ge=1, le=3)],
        Annotated[int, Query(), msgspec.Meta(ge=1, le=3)],
        Annotated[int, msgspec.Meta(ge=1), msgspec.Meta(le=3)],
        Annotated[int, annotated_types.Ge(1), annotated_types.Le(3)],
        Annotated[int, annotated_types.Gt(0), annotated_types.Lt(4)],
        Annotated[int, annotated_types.Interval(ge=1, le=3)],
        Annotated[int, pydantic.Field(ge=1, le=3)],
        Annotated[int | None, Query(ge=1, le=3)],
    ],
)
async def test_bounds_are_kept_whoever_states_them(hint: Any) -> None:
    app = app_for(hint)
    found = [(await ask(app, target=f"/?x={n}")).status for n in range(5)]
    assert found == [422, 200, 200, 200, 422]


@pytest.mark.parametrize(
    "hint",
    [
        Annotated[str, Query(min_length=2, max_length=3)],
        Annotated[str, annotated_types.MinLen(2), annotated_types.MaxLen(3)],
        Annotated[str, annotated_types.Len(2, 3)],
        Annotated[str, pydantic.Field(min_length=2, max_length=3)],
        Annotated[str, Query(pattern="^..?.$")],
        Annotated[str, pydantic.Field(pattern="^..?.$")],
        Annotated[str, pydantic.StringConstraints(min_length=2, max_length=3)],
    ],
)
async def test_lengths_and_patterns_are_kept_whoever_states_them(hint: Any) -> None:
    app = app_for(hint)
    found = [(await ask(app, target=f"/?x={'a' * n}")).status for n in range(1, 5)]
    assert found == [422, 200, 200, 422]


async def test_numbers_may_be_multiples_and_lists_have_lengths() -> None:
    app = app_for(Annotated[int, annotated_types.MultipleOf(3)])
    assert [(await ask(app, target=f"/?x={n}")).status for n in (3, 4)] == [200, 422]
    app = app_for(Annotated[list[int], Query(max_length=1)])
    assert [(await ask(app, target=f"/?{q}")).status for q in ("x=1", "x=1&x=2")] == [200, 422]
    app = app_for(Annotated[bytes, Body(max_length=1)], "POST")
    reply = await ask(app, "POST", "/", {}, b"abc")
    assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "#")
    model = Annotated[Model | None, pydantic.Field(description="kept for pydantic")]
    assert (await ask(app_for(model, "POST"), "POST", "/", {}, b'{"n":0}')).status == 422


@pytest.mark.parametrize(
    ("hint", "method", "path", "message"),
    [
        (Unknown, "GET", "/", r"neither a resource, a structure nor a scalar; provide it with"),
        (Needed, "GET", "/", r"is a structure, but this method has no content; write Annotated"),
        (Any, "GET", "/", r"has no annotation; say what type it is"),
        (Needed | int, "POST", "/", r"neither a resource"),
        (list[Unknown], "POST", "/", r"neither a resource"),
        (dict[str, Unknown], "POST", "/", r"neither a resource"),
        (Annotated[int, Path()], "GET", "/", r"not in the path template; it has \[\]"),
        (Annotated[int, Path("y")], "GET", "/{x}", r"not in the path template; it has \['x'\]"),
        (list[int], "GET", "/{x}", r"is a list, but a path has one value"),
        (Annotated[list[int], Cookie()], "GET", "/", r"is a list, but a cookie has one value"),
        (Needed, "GET", "/{x}", r"is a structure, which cannot be read from the path"),
        (Annotated[Needed, Header()], "GET", "/", r"cannot be read from the header"),
        (Annotated[Unknown, Query()], "GET", "/", r"Unknown.* cannot be read from the query"),
        (Annotated[Unknown, Body()], "POST", "/", r"Unknown.* cannot be read from the body"),
        (Annotated[str, Query(ge=1)], "GET", "/", r"cannot be read or written: Can only set `ge`"),
        (
            Annotated[int, annotated_types.Predicate(bool)],
            "GET",
            "/",
            r"not understood; use",
        ),
        (Annotated[int, annotated_types.Ge("a")], "GET", "/", r"constraint Ge.*must be an int"),
        (Annotated[int, pydantic.AfterValidator(bool)], "GET", "/", r"not understood"),
        (Annotated[int, Query(), Header()], "GET", "/", r"more than one source"),
    ],
)
def test_what_no_request_could_give_is_an_error_at_start(
    hint: Any, method: str, path: str, message: str
) -> None:
    app = app_for(hint, method, path)
    with pytest.raises(
        ConfigError, match=rf"(?s)handler\(\) \(.*test_params.py, line \d+\).*'x'.*{message}"
    ):
        app.prepare()


def test_all_that_is_wrong_with_an_application_is_said_at_once() -> None:
    app = App()

    @app.get("/one")
    async def first(x: Unknown) -> None: ...

    @app.get("/two")
    async def second(x: int = Query()) -> None:  # type: ignore[assignment]
        ...

    @app.post("/three")
    async def third(x: Needed, y: Needed) -> None: ...

    @app.post("/four")
    async def fourth(x: Needed, y: Annotated[int, Form()]) -> None: ...

    @app.get("/five", status=204)
    async def fifth() -> dict[str, int]:
        return {}

    with pytest.raises(ConfigError) as caught:
        app.prepare()
    text = str(caught.value)
    assert text.startswith("5 things are wrong:")
    assert r"write Annotated[type, Query()] instead of the default Query()" in text
    assert text.count("put them in one structure") == 2
    assert "a response with status 204 has no content" in text
    for name in ("first", "second", "third", "fourth", "fifth"):
        assert f"{name}() ({__file__}, line " in text


def test_constraints_that_make_no_sense_are_refused_where_they_are_written() -> None:
    for wrong in ({"gee": 1}, {"pattern": "("}, {"min_length": -1}, {"ge": 1, "gt": 1}):
        with pytest.raises(ConfigError, match=r"Query\(\): "):
            Query(**wrong)  # type: ignore[arg-type]
    assert repr(Query("name")) == "Query('name')"


async def test_everything_wrong_with_a_request_is_said_at_once() -> None:
    app = App()

    def page(size: Annotated[int, Query(ge=1)], offset: int) -> None: ...

    @app.post("/{id}")
    async def handler(
        id: int,
        item: Needed,
        page: Annotated[None, Depends(page)],
        key: Annotated[int, Header("x-key")],
        session: Annotated[str, Cookie()],
        whole: Annotated[Filter, Query()],
    ) -> None: ...

    fields = {"content-type": "application/json", "x-key": "secret"}
    reply = await ask(app, "POST", "/secret?size=0&n=secret", fields, b'{"age":"secret"}')
    assert reply.status == 422
    assert reply.header("content-type") == "application/problem+json"
    assert "secret" not in reply.text
    # The dependency needs no content, so it is refused before that is read.
    found = [(e["in"], e.get("name") or e["pointer"]) for e in reply.json["errors"]]
    assert found == [
        *(("query", "size"), ("query", "offset"), ("path", "id"), ("header", "x-key")),
        *(("cookie", "session"), ("query", "#/n"), ("query", "#/size")),
    ]
    reply = await ask(app, "POST", "/secret?size=1&offset=1", fields, b'{"age":"secret"}')
    found = [(e["in"], e.get("name") or e["pointer"]) for e in reply.json["errors"]]
    assert ("body", "#/name") in found
    assert ("body", "#/age") in found
    assert ("path", "id") in found
    app = App()

    @app.post("/")
    async def form(a: Annotated[int, Form()], b: Annotated[Needed, Form()], c: int) -> None: ...

    reply = await ask(app, "POST", "/?c=x", FORM, b"a=secret&name=x")
    found = [(e["in"], e.get("name") or e["pointer"]) for e in reply.json["errors"]]
    assert found == [("form", "a"), ("form", "#/age"), ("query", "c")]
    assert "secret" not in reply.text


async def test_the_content_is_not_read_for_a_request_that_is_turned_away() -> None:
    app = App()

    @app.post("/")
    async def handler(
        item: Needed, number: Annotated[int, Depends(_number)], form: int = 1
    ) -> None: ...

    server = Server(b"{}")
    await app(scope_for("POST", "/?number=x"), server.receive, server.send)
    assert (server.reply.status, server.received) == (422, 0)


def _number(number: int) -> int:
    return number


def test_markers_tell_the_documentation() -> None:
    query = Query("q", title="T", description="D", examples=[1], deprecated=True, ge=1)
    assert (query.title, query.description, query.examples) == ("T", "D", [1])
    assert query.deprecated
    assert query.meta == msgspec.Meta(ge=1)


async def test_more_than_a_thousand_parameters_are_too_many(
    new_loop: Callable[[], Any],
) -> None:
    reply = await ask(app_for(int), target="/?x=1" + "&y=1" * 1000)
    assert reply.status == 400
