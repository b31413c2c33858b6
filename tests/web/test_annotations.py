"""Annotations are understood when the application starts, wherever their names are."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest
from tests.web.driver import ask

from tidegate import App, ConfigError, Depends
from tidegate.web.annotations import place_of, read_signature, unpack

if TYPE_CHECKING:
    import decimal as numbers


def test_a_signature_is_read_through_what_is_around_a_function() -> None:
    class Local: ...

    def function(a: int, /, b: Local, *, c: Annotated[str, "extra"] = "c") -> Local:
        return b

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any: ...

    found = functools.partial(wrapper, 1)
    function.__annotations__["b"] = function.__annotations__["return"] = Local
    signature = read_signature(found)
    assert [(one.name, one.type, one.required) for one in signature.arguments] == [
        *(("b", Local, True), ("c", str, False)),
    ]
    assert signature.arguments[1].extras == ("extra",)
    assert signature.returns is Local
    assert read_signature(functools.partial(function, c="x")).arguments[0].name == "a"
    assert len(read_signature(functools.partial(function, c="x")).arguments) == 2


def test_classes_and_objects_have_the_signature_of_their_calls() -> None:
    assert read_signature(Struct).returns is Struct
    assert [one.type for one in read_signature(Struct).arguments] == [int, Struct | None]
    assert read_signature(Empty).arguments == []
    assert [one.name for one in read_signature(Called()).arguments] == ["number"]
    assert read_signature(Called().method).returns is Called


class Struct(msgspec.Struct):
    number: int
    inner: Struct | None = None


class Empty: ...


class Called:
    def __call__(self, number: int) -> None: ...

    def method(self) -> Called:
        return self


def test_what_cannot_be_understood_says_where_it_is() -> None:
    def many(*args: int) -> None: ...

    def unknown(a: Nothing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def wrong(a: "1 +") -> None: ...  # type: ignore  # noqa

    def checking(a: numbers.Decimal) -> None: ...

    for function, message in (
        (many, r"many\(\) \(.*, line \d+\): \*args cannot be filled"),
        (unknown, r"annotation of 'a' names 'Nothing', which is not defined when"),
        (wrong, r"wrong\(\) .*: the annotation of 'a': "),
        (checking, r"names 'numbers', .* move the import at line \d+ out of 'if TYPE_CHECKING:'"),
        (type("NoSignature", (), {"__signature__": 1}), r"NoSignature\(\).* has no signature"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_signature(function)
    exec("def made(a: Missing): ...", space := {"__file__": "/nowhere"})
    with pytest.raises(ConfigError, match="not defined when the application starts"):
        read_signature(space["made"])  # type: ignore[arg-type]


def test_a_variable_that_is_not_assigned_yet_is_no_hindrance() -> None:
    def make() -> Any:
        def function(a: int) -> None:
            later  # noqa: B018

        found = read_signature(function)
        later = 1
        return found, later

    assert make()[0].arguments[0].type is int


def test_the_place_of_anything_can_be_said() -> None:
    assert place_of(len) == "len()"
    assert place_of(Called()).startswith(f"Called.__call__() ({__file__}, line ")
    assert place_of(functools.partial(place_of)).startswith("place_of() (")


def test_annotated_is_taken_apart() -> None:
    assert unpack(Annotated[int, 1, "a"]) == (int, (1, "a"))
    assert unpack(int) == (int, ())


async def test_a_nested_handler_and_its_dependencies_may_name_local_classes() -> None:
    app = App()

    class Local:
        def __init__(self, word: Word) -> None:
            self.word = word

    class Word(msgspec.Struct):
        text: str = "word"

    def word(given: Local) -> str:
        return "word"

    @app.resource
    def local() -> Local:
        return Local(Word())

    def needs(local: Local, number: int = 1) -> str:
        return f"{local.word.text} {number}"

    @app.get("/")
    async def handler(one: Annotated[str, Depends(needs)]) -> str:
        return one

    assert (await ask(app)).text == "word 1"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement is new in Python 3.12")
def test_the_type_statement_is_understood() -> None:
    exec("type Number = int\nasync def function(a: Number): ...", space := {"__name__": __name__})
    (argument,) = read_signature(space["function"]).arguments  # type: ignore[arg-type]
    assert argument.type is int
