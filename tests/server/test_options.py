"""One declaration says which values a setting takes, and how it is read from text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from tidegate.server.options import Option, did_you_mean, option, options_of, wrong_values


@dataclasses.dataclass
class Sample:
    """A few settings of every kind."""

    count: int = option(1, "How many.", least=0, most=9)
    seconds: float | None = option(None, "How long.", env="SECONDS", least=0)
    quiet: bool = option(False, "Whether.")
    spelled: bool = option(True, "Whether, spelled out.", valued=True)
    word: Literal["red", "blue"] = option("red", "Which.", instead={"azure": "blue"})
    text: str = option("", "What.", flag="words", also="old-words")
    headers: Sequence[tuple[str, str]] = option([], "Which.", flag="header")
    mounts: dict[str, str] = option({}, "Where.", flag="mount")
    either: str | dict[str, Any] | None = option(None, "One of both.")
    private: int = 0


OPTIONS = options_of(Sample)


def test_a_field_without_a_declaration_is_no_option() -> None:
    assert "private" not in OPTIONS


def test_an_option_has_flags_variables_and_keys() -> None:
    assert OPTIONS["text"].flags == ("--words", "--old-words")
    assert OPTIONS["text"].keys == {"text", "words", "old_words"}
    assert OPTIONS["text"].variables == ("TIDEGATE_TEXT",)
    assert OPTIONS["seconds"].variables == ("TIDEGATE_SECONDS", "SECONDS")


def test_only_a_yes_or_no_that_is_not_spelled_out_has_a_flag_for_no() -> None:
    assert {name: each.negative for name, each in OPTIONS.items() if each.negative} == {
        "quiet": "--no-quiet"
    }


def test_two_records_do_not_share_a_default() -> None:
    assert Sample().headers is not Sample().headers
    assert Sample().mounts is not Sample().mounts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 0),
        ("count", 9),
        ("seconds", None),
        ("seconds", 1),
        ("seconds", 0.5),
        ("quiet", True),
        ("word", "blue"),
        ("text", ""),
        ("headers", []),
        ("headers", ()),
        ("mounts", {}),
        ("either", "a.json"),
        ("either", {}),
        ("either", None),
    ],
)
def test_a_value_that_fits_gets_no_complaint(name: str, value: object) -> None:
    assert OPTIONS[name].complaint(value) is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("count", -1, "must be at least 0, not -1"),
        ("count", 10, "must be at most 9, not 10"),
        ("count", 1.0, "must be a whole number, not 1.0"),
        ("count", True, "must be a whole number, not True"),
        ("count", None, "must be a whole number, not None"),
        ("count", "8", "must be a whole number, not '8'; write 8, without quotes"),
        ("count", "x", "must be a whole number, not 'x'"),
        ("seconds", float("nan"), "must be a number, not nan"),
        ("seconds", False, "must be a number, not False"),
        ("quiet", "yes", "must be true or false, not 'yes'; write true, without quotes"),
        ("quiet", 1, "must be true or false, not 1"),
        ("word", "green", "must be one of red, blue, not 'green'"),
        ("text", 5, "must be a text, not 5"),
        ("headers", "A: b", "must be a list, not 'A: b'"),
        ("either", 5, "must be a text or a table, not 5"),
    ],
)
def test_a_value_that_does_not_fit_is_explained(name: str, value: object, words: str) -> None:
    assert OPTIONS[name].complaint(value) == words


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "8", 8),
        ("seconds", "8", 8.0),
        ("quiet", "TRUE", True),
        ("quiet", "0", False),
        ("word", "green", "green"),
        ("text", "8", "8"),
        ("headers", "A: b:c\n\nD:e\n", [("A", "b:c"), ("D", "e")]),
        ("mounts", "/a=b:c\n/d = e:f", {"/a": "b:c", "/d": "e:f"}),
        ("either", "a.json", "a.json"),
    ],
)
def test_text_is_read_as_the_kind_of_the_option(name: str, text: str, value: object) -> None:
    assert OPTIONS[name].parse(text) == value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("count", "x", "must be a whole number, not 'x'"),
        ("count", "1.5", "must be a whole number, not '1.5'"),
        ("quiet", "perhaps", "must be true or false, not 'perhaps'"),
        ("headers", "A", "'A' is not 'Name: value'"),
        ("mounts", "/a", "'/a' is not 'PREFIX=TARGET'"),
    ],
)
def test_text_that_cannot_be_read_is_explained(name: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match="not") as caught:
        OPTIONS[name].parse(text)
    assert str(caught.value) == words


def test_all_wrong_values_of_a_record_are_found() -> None:
    wrong = dict(wrong_values(Sample(count=10, quiet=None, text="x")))  # type: ignore[arg-type]
    assert wrong.keys() == {"count", "quiet"}


def test_a_word_of_another_server_is_replaced() -> None:
    sample = Sample(word="azure")  # type: ignore[arg-type]
    assert not list(wrong_values(sample))
    assert sample.word == "blue"


def test_the_nearest_name_is_offered() -> None:
    assert did_you_mean("wrker", ["workers", "port"]) == "; did you mean 'workers'?"
    assert did_you_mean("zzz", ["workers", "port"]) == ""


def test_options_are_described_once() -> None:
    assert options_of(Sample) is options_of(Sample)
    assert isinstance(OPTIONS["count"], Option)
