"""Types are read and written alike, whoever's they are, and all that is wrong is told."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from tests.web.driver import ask
from typing_extensions import TypeAliasType

from tidegate import App, Body, ConfigError, Problem, Response, StreamResponse
from tidegate.web.codec import codec_of, to_json
from tidegate.web.content import read_json, read_msgpack
from tidegate.web.encoding import Encoding
from tidegate.web.explain import MAX_ERRORS, faults_in, pointer
from tidegate.web.kinds import kind_of
from tidegate.web.problems import Invalid

T = TypeVar("T")


class Struct(msgspec.Struct):
    name: str
    age: int


class Model(pydantic.BaseModel):
    name: str
    age: int


@pydantic.dataclasses.dataclass
class ModelClass:
    name: str
    age: int


@dataclasses.dataclass
class Class:
    name: str
    age: int


@attrs.define
class Attrs:
    name: str
    age: int


class Typed(TypedDict):
    name: str
    age: int


KINDS = [Struct, Model, ModelClass, Class, Attrs, Typed]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_structure_is_content_and_answer(kind: Any) -> None:
    app = App()

    async def one(x: Any) -> Any:
        assert isinstance(x, dict if kind is Typed else kind)
        return x

    async def many(x: Any) -> Any:
        return x

    async def optional(x: Any = None) -> Any:
        return x

    async def any_answer(x: Any) -> Any:
        return {"inner": [x]}

    hints = ((one, kind), (many, list[kind]), (optional, kind | None), (any_answer, kind))
    for handler, hint in hints:
        handler.__annotations__["x"] = hint
        if handler is not any_answer:
            handler.__annotations__["return"] = hint
        app.post(f"/{handler.__name__}")(handler)
    good, bad = {"name": "a", "age": 1}, {"age": "secret"}
    assert (await ask(app, "POST", "/one", **good)).json == good
    assert (await ask(app, "POST", "/any_answer", **good)).json == {"inner": [good]}
    assert (await ask(app, "POST", "/optional", **good)).json == good
    assert (await ask(app, "POST", "/optional")).body == b"null"
    # A cache must not give one representation to who asked for the other.
    assert (await ask(app, "POST", "/optional")).header("vary") == "accept"
    assert (await ask(app, "POST", "/many", {}, to_json([good, good]))).json == [good, good]
    reply = await ask(app, "POST", "/one", {}, to_json(bad))
    assert (reply.status, "secret" in reply.text) == (422, False)
    assert sorted(e["pointer"] for e in reply.json["errors"]) == ["#/age", "#/name"]
    reply = await ask(app, "POST", "/many", {}, to_json([good, bad]))
    assert sorted(e["pointer"] for e in reply.json["errors"]) == ["#/1/age", "#/1/name"]
    reply = await ask(app, "POST", "/one", {}, b'{"name": "a')
    assert (reply.status, reply.json["detail"].startswith("the content is not JSON")) == (400, True)
    fields = {"content-type": "application/msgpack", "accept": "application/msgpack"}
    reply = await ask(app, "POST", "/one", fields, msgspec.msgpack.encode(good))
    assert msgspec.msgpack.decode(reply.body) == good
    assert reply.header("vary") == "accept"
    reply = await ask(app, "POST", "/one", fields, msgspec.msgpack.encode(bad))
    assert (reply.status, "secret" in reply.text) == (422, False)
    assert (await ask(app, "POST", "/one", fields, b"\xc1")).status == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": "application/merge-patch+JSON"}, 200),
        ({}, 200),
        ({"content-type": "text/plain"}, 415),
    ],
)
async def test_content_has_a_type_that_can_be_read(fields: dict[str, str], status: int) -> None:
    app = App()

    @app.post("/")
    async def handler(x: Struct) -> Struct:
        return x

    assert (await ask(app, "POST", "/", fields, b'{"name":"a","age":1}')).status == status


@pytest.mark.parametrize("kind", [Struct, Model, dict[str, Any], Any])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"nonsense", "invalid"),
        (b'{"name":"\xff"}', "UTF-8"),
        (b'{"name":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
    ],
    ids=["empty", "truncated", "nonsense", "not utf-8", "deep"],
)
def test_content_that_is_not_json_is_a_400(kind: Any, content: bytes, reason: str) -> None:
    with pytest.raises(Problem) as caught:
        read_json(codec_of(kind), content)
    assert caught.value.status == 400
    assert reason in (caught.value.detail or "")


def errors(hint: Any, value: Any) -> dict[str, str]:
    """Return what is said of a value, by place; the same of JSON and of MessagePack."""
    found = []
    for read, encode in ((read_json, to_json), (read_msgpack, msgspec.msgpack.encode)):
        with pytest.raises(Invalid) as caught:
            read(codec_of(hint), encode(value))
        found.append({one["pointer"]: one["detail"] for one in caught.value.errors})
        assert "secret" not in str(found)
    assert found[0] == found[1]
    return found[0]


class Strict(msgspec.Struct, forbid_unknown_fields=True, tag="strict"):
    number: Annotated[int, msgspec.Meta(ge=1)]
    inner: list[Struct] = []
    by_name: dict[str, Struct] = {}
    pair: tuple[int, Struct] = (1, Struct("a", 1))
    many: tuple[int, ...] = ()
    renamed: int = msgspec.field(default=1, name="re/named~")
    any: Any = None


class Other(msgspec.Struct, tag="other"):
    x: int


class Page(msgspec.Struct, Generic[T]):
    items: list[T]
    first: T
    optional: T | None = None


class Partly(TypedDict):
    a: int
    b: NotRequired[int]


class Tree(msgspec.Struct):
    value: int
    children: list[Tree] = []


class Point(NamedTuple):
    x: int
    y: int


class Array(msgspec.Struct, array_like=True):
    x: int


class Mixed(msgspec.Struct):
    model: Model
    age: int


@attrs.define
class Checked:
    age: int = attrs.field(validator=attrs.validators.ge(3))


class Judging(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


BAD = {"age": "secret"}


def test_all_that_is_wrong_is_told_with_its_place() -> None:
    value = {
        "number": 0,
        "inner": [BAD, {"name": "a", "age": 1}, 5],
        "by_name": {"a b": {"name": 1, "age": 1}},
        "pair": ["secret", {"name": "x", "age": "secret"}],
        "many": [1, "secret", 3, "secret"],
        "re/named~": "secret",
        "unknown": "secret",
    }
    assert errors(Strict, value) == {
        "#/number": "Expected 'int' >= 1",
        "#/inner/0/name": "This field is required",
        "#/inner/0/age": "Expected 'int', got 'str'",
        "#/inner/2": "Expected 'object', got 'int'",
        "#/by_name/a%20b/name": "Expected 'str', got 'int'",
        "#/pair/0": "Expected 'int', got 'str'",
        "#/pair/1/age": "Expected 'int', got 'str'",
        "#/many/1": "Expected 'int', got 'str'",
        "#/many/3": "Expected 'int', got 'str'",
        "#/re~1named~0": "Expected 'int', got 'str'",
        "#/unknown": "There is no such field",
    }


@pytest.mark.parametrize(
    ("hint", "value", "places"),
    [
        (list[Strict | Other], [{"type": "other", "x": "secret"}, {"type": "secret"}, {}],
         ["#/0/x", "#/1/type", "#/2"]),
        (Page[Struct], {"items": [BAD], "first": BAD, "optional": BAD},
         ["#/items/0/name", "#/items/0/age", "#/first/name", "#/first/age",
          "#/optional/name", "#/optional/age"]),
        (Page, {"items": 1, "first": 1}, ["#/items"]),
        (Partly, {"a": "secret", "b": "secret"}, ["#/a", "#/b"]),
        (dict[Literal["a", "b"], int], {"a": "secret", "secret": 1}, ["#/a", "#/secret"]),
        (Tree, {"value": 1, "children": [{"value": 1, "children": [{"value": "x"}, {}]}]},
         ["#/children/0/children/0/value", "#/children/0/children/1/value"]),
        (Struct | None, BAD, ["#/name", "#/age"]),
        (int | list[int], ["secret"], ["#/0"]),
        (Point, {"x": 1}, ["#"]),
        (Point, ["secret", 1], ["#/0"]),
        (Array, {"x": 1}, ["#"]),
        (Mixed, {"model": BAD, "age": "secret"}, ["#/model/name", "#/model/age", "#/age"]),
        (list[Mixed], [{"model": "secret", "age": 1}], ["#/0/model"]),
        (Judging, {"low": 2, "high": 1}, ["#"]),
        (list[Checked], [{"age": 1}], ["#/0"]),
        (Annotated[list[int], msgspec.Meta(min_length=2)], [1], ["#"]),
        (Literal["a"], "secret", ["#"]),
        (int, {"a": "secret"}, ["#"]),
    ],
)  # fmt: skip
def test_errors_are_found_in_every_shape(hint: Any, value: Any, places: list[str]) -> None:
    if hint == dict[Literal["a", "b"], int]:
        with pytest.raises(Invalid) as caught:
            read_json(codec_of(hint), to_json(value))
        assert [one["pointer"] for one in caught.value.errors] == places
    else:
        assert list(errors(hint, value)) == places


def test_what_a_class_of_the_user_says_is_told() -> None:
    assert errors(Judging, {"low": 2, "high": 1}) == {"#": "low is above high"}


def test_validators_of_attrs_do_not_repeat_what_was_sent() -> None:
    assert errors(list[Checked], [{"age": 1}]) == {"#/0": "This value is not valid"}


def test_pydantic_never_repeats_what_was_sent() -> None:
    class A(pydantic.BaseModel):
        kind: Literal["a"]

    class B(pydantic.BaseModel):
        kind: Literal["b"]

    class Many(pydantic.BaseModel):
        union: A | B = pydantic.Field(discriminator="kind")
        id: pydantic.UUID4
        when: pydantic.AwareDatetime

    value = {"union": {"kind": "secret"}, "id": "secret", "when": "secret"}
    assert list(errors(Many, value)) == ["#/union", "#/id", "#/when"]


def test_a_very_wrong_value_is_explained_in_bounds() -> None:
    with pytest.raises(Invalid) as caught:
        read_json(codec_of(list[int]), to_json(["x"] * 1000))
    assert len(caught.value.errors) == MAX_ERRORS
    large = to_json([1] * 200_000 + ["x", "y"])
    with pytest.raises(Invalid) as caught:
        read_json(codec_of(list[int]), large)
    assert [one["pointer"] for one in caught.value.errors] == ["#/200000"]
    deep: dict[str, Any] = {"value": "x"}
    for _ in range(200):
        deep = {"value": 1, "children": [deep]}
    with pytest.raises(Invalid) as caught:
        read_json(codec_of(Tree), to_json(deep))
    assert len(caught.value.errors) == 1


def test_a_value_that_only_the_decoder_refuses_is_still_refused() -> None:
    assert faults_in(1, int, True) == []
    codec = codec_of(int)
    assert codec.explain_text("1", ValueError()) == [((), "This value is not valid")]


def test_places_are_json_pointers_in_a_fragment() -> None:
    assert pointer(()) == "#"
    assert pointer(("a/b", 0, "~", "é ")) == "#/a~1b/0/~0/%C3%A9%20"


def test_kinds_of_types() -> None:
    for hint, kind in (
        *((int, "scalar"), (None, "scalar"), (Literal[1], "scalar"), (int | str, "scalar")),
        *((list, "list"), (list[int], "list"), (tuple[int, ...], "list"), (list[Any], "unknown")),
        *((list[Struct], "structure"), (dict, "structure"), (dict[str, Any], "structure")),
        *((Point, "structure"), (Struct | None, "structure"), (Struct | int, "unknown")),
        *((T, "unknown"), (object, "unknown"), (Annotated[int, 1], "scalar")),
        (TypeAliasType("Number", int) | None, "scalar"),
    ):
        assert kind_of(hint) == kind, hint


def test_what_cannot_be_read_or_written_is_an_error() -> None:
    with pytest.raises(ConfigError, match="cannot be read or written"):
        codec_of(Struct | Class)
    unhashable = Annotated[int, msgspec.Meta(extra={"a": []}), []]
    assert codec_of(unhashable).decode(b"1") == 1
    with pytest.warns(UserWarning, match="mixes msgspec structs and pydantic models"):
        codec = codec_of(tuple[Model, Struct])
    assert codec.decode(b'[{"name":"a","age":1},{"name":"b","age":2}]')[0] == Model(name="a", age=1)
    with pytest.raises(NotImplementedError, match="object cannot be encoded"):
        to_json(object())


class Opaque: ...


class Holder(msgspec.Struct):
    inside: dict[str, list[Opaque | None]]


@pytest.mark.parametrize("hint", [Opaque, object, list[Opaque], Holder, tuple[int, Holder] | None])
def test_a_type_that_nobody_can_read_is_found_when_the_application_starts(hint: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be read or written: nothing is known of"):
        codec_of(hint)


@dataclasses.dataclass
class Recursive:
    inner: list[Recursive]


def test_a_type_may_contain_itself() -> None:
    assert codec_of(Recursive).decode(b'{"inner":[{"inner":[]}]}') == Recursive([Recursive([])])


class Word(enum.Enum):
    A = "a"
    ONE = "1"


LOOSE_HINTS: list[Any] = [
    *(int, float, bool, bytes, Any, None, int | None, bool | None, int | str, str | None),
    *(Annotated[int, msgspec.Meta(ge=1, le=100)], Annotated[str, msgspec.Meta(min_length=2)]),
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta, uuid.UUID),
    *(decimal.Decimal, Word, Word | None, Literal["a", "b"], Literal[1, 2], list[int]),
]
LOOSE_TEXTS = [
    *("", "0", "01", "-1", "+1", "1.0", "1e3", "1_0", "0x1", "99999999999999999999", "nan", "inf"),
    *("true", "True", "TRUE", "1", "false", "null", "None", "a", "b", "ab", " 1", "1 ", "[1]"),
    *("2026-01-02", "2026-01-02T03:04:05Z", "03:04:05", "PT5S", "P1D", "YWJj", "{}", "é", "\u0661"),
    *('a"b', '"', "a\\", "\\u0061", "\t", "\x7f", "\u2028", "00000000-0000-0000-0000-000000000001"),
]


@pytest.mark.parametrize("hint", LOOSE_HINTS, ids=str)
def test_text_is_read_as_msgspec_reads_it_without_strictness(hint: Any) -> None:
    def outcome(read: Callable[[], Any]) -> Any:
        try:
            value = read()
        except msgspec.ValidationError:
            return "refused"
        return type(value), str(value)

    codec = codec_of(hint)
    for text in LOOSE_TEXTS:
        expected = outcome(functools.partial(msgspec.convert, text, hint, strict=False))
        assert outcome(functools.partial(codec.convert, text)) == expected, text


async def test_models_are_written_by_the_names_of_their_schema() -> None:
    class Aliased(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(populate_by_name=True)
        some_name: int = pydantic.Field(alias="someName")

    app = App()

    @app.get("/typed")
    async def typed() -> Aliased:
        return Aliased(some_name=1)

    @app.get("/untyped")
    async def untyped():  # type: ignore[no-untyped-def]
        return [Aliased(some_name=1)]

    @app.get("/other")
    async def other() -> Aliased:
        return {"someName": 1}  # type: ignore[return-value]

    @app.get("/response")
    async def response() -> Response[Aliased]:
        return Response(Aliased(some_name=1))

    for target in ("/typed", "/other", "/response"):
        assert (await ask(app, target=target)).json == {"someName": 1}
    assert (await ask(app, target="/untyped")).json == [{"someName": 1}]


# -- answers -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "status", "kind", "body"),
    [
        ("é", 200, "text/plain; charset=utf-8", "é".encode()),
        (b"x", 200, "application/octet-stream", b"x"),
        (None, 204, None, b""),
        ({"a": 1}, 200, "application/json", b'{"a":1}'),
        (5, 200, "application/json", b"5"),
        (Struct("a", 1), 200, "application/json", b'{"name":"a","age":1}'),
        (Response("x", 202), 202, "text/plain; charset=utf-8", b"x"),
    ],
)
async def test_values_are_answered_as_what_they_are(
    value: Any, status: int, kind: str | None, body: bytes
) -> None:
    app = App()

    @app.get("/")
    async def handler() -> Any:
        return value

    reply = await ask(app)
    assert (reply.status, reply.header("content-type"), reply.body) == (status, kind, body)


async def test_a_route_has_its_own_status() -> None:
    app = App()

    @app.post("/none", status=202)
    async def none() -> None: ...

    @app.post("/value", status=201)
    async def value() -> dict[str, int]:
        return {}

    @app.delete("/empty", status=204)
    async def empty() -> None: ...

    @app.delete("/response", status=204)
    async def response() -> Response[None]:
        return Response()

    reply = await ask(app, "POST", "/none")
    assert (reply.status, reply.header("content-length")) == (202, "0")
    assert (await ask(app, "POST", "/value")).status == 201
    for target in ("/empty", "/response"):
        reply = await ask(app, "DELETE", target)
        assert (reply.status, reply.header("content-length")) == (204, None)


@pytest.mark.parametrize(
    ("accept", "packed"),
    [
        ("application/msgpack", True),
        ("application/json, application/msgpack", True),
        ("application/msgpack;q=0.5, application/json;q=0.9", False),
        ("application/msgpack;q=0", False),
        ("application/msgpack; q=x", False),
        ("application/json", False),
        ("*/*", False),
        ("text/application/msgpackish", False),
    ],
)
async def test_messagepack_is_for_who_asks_for_it(accept: str, packed: bool) -> None:
    app = App()

    @app.get("/")
    async def handler() -> dict[str, int]:
        return {"a": 1}

    @app.get("/text")
    async def text() -> str:
        return "x"

    reply = await ask(app, headers={"accept": accept})
    assert reply.header("content-type") == "application/" + ("msgpack" if packed else "json")
    assert (await ask(app, target="/text", headers={"accept": accept})).text == "x"


async def test_streams_are_made_of_what_their_items_are() -> None:
    app = App()

    @app.get("/lines")
    async def lines() -> AsyncIterator[Model | str]:
        yield Model(name="a", age=1)
        yield "text"

    @app.get("/unknown")
    async def unknown():  # type: ignore[no-untyped-def]
        return iter([{"a": 1}, 2])

    @app.get("/text")
    async def text() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    @app.get("/bytes", status=203)
    def raw() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    @app.get("/response")
    async def response() -> StreamResponse:
        return StreamResponse(["a", 1])

    reply = await ask(app, target="/lines")
    assert reply.header("content-type") == "application/jsonl"
    assert reply.body == b'{"name":"a","age":1}\n"text"\n'
    reply = await ask(app, target="/unknown")
    assert (reply.header("content-type"), reply.body) == ("application/jsonl", b'{"a":1}\n2\n')
    reply = await ask(app, target="/text")
    assert (reply.header("content-type"), reply.text) == ("text/plain; charset=utf-8", "ab")
    reply = await ask(app, target="/bytes")
    assert (reply.header("content-type"), reply.status) == ("application/octet-stream", 203)
    assert (await ask(app, target="/response")).body == b"a1\n"
    assert (await ask(app, "HEAD", "/text")).body == b""
    assert (await ask(app, "HEAD", "/response")).body == b""


async def test_a_value_that_cannot_be_encoded_is_a_500() -> None:
    app = App()

    @app.get("/")
    async def handler() -> dict[str, object]:
        return {"a": object()}

    reply = await ask(app)
    assert reply.status == 500
    assert "object cannot be encoded" in str(reply.error)


async def test_another_application_may_be_the_answer() -> None:
    app = App()
    inner = Response("inner", 202)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    @app.get("/")
    async def handler() -> Any:
        return application

    assert (await ask(app)).text == "inner"
    assert Encoding(Response[int]).returns is int
    assert Encoding(Response).returns is Any


async def test_scalars_may_be_content_if_they_are_said_to_be() -> None:
    app = App()

    @app.post("/")
    async def handler(x: Annotated[int, Body()]) -> int:
        return x

    assert (await ask(app, "POST", "/", {}, b"5")).json == 5
    reply = await ask(app, "POST", "/", {}, b'"5"')
    assert reply.json["errors"] == [
        {"in": "body", "pointer": "#", "detail": "Expected 'int', got 'str'"}
    ]
