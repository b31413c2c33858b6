"""Which parts of a file a Range field asks for, and whether a condition holds."""

from __future__ import annotations

import pytest

from tidegate.files.ranges import (
    MAX_RANGES,
    Unsatisfiable,
    is_unchanged,
    is_wrong,
    matches_if_range,
    parse_ranges,
)

MODIFIED = 784111777.5
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
LATER = b"Sun, 06 Nov 1994 08:49:38 GMT"
EARLIER = b"Sun, 06 Nov 1994 08:49:36 GMT"


@pytest.mark.parametrize(
    ("field", "parts"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-", [(0, 10)]),
        ("bytes=5-100", [(5, 10)]),
        ("bytes=-3", [(7, 10)]),
        ("bytes=-100", [(0, 10)]),
        ("Bytes = 1-2", [(1, 3)]),
        ("bytes=8-9, 0-1", [(0, 2), (8, 10)]),
        ("bytes=0-3,2-5", [(0, 6)]),
        ("bytes=0-3,4-5", [(0, 6)]),
        ("bytes=0-9,2-3", [(0, 10)]),
        ("bytes=0-1,50-60", [(0, 2)]),
    ],
)
def test_parts_are_in_order_and_joined(field: str, parts: list[tuple[int, int]]) -> None:
    assert parse_ranges(field, 10) == parts


@pytest.mark.parametrize(
    "field",
    [
        *("", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "items=0-1", "bytes=1"),
        *("bytes=0-1,", "bytes=0--1", "bytes=+1-2", "bytes=0-1;2-3", "bytes=0x1-2"),
        "bytes=0-" + "9" * 19,
        "bytes=" + ",".join(["0-1"] * (MAX_RANGES + 1)),
    ],
)
def test_what_is_not_valid_or_too_much_means_all_of_it(field: str) -> None:
    assert parse_ranges(field, 10) == []


@pytest.mark.parametrize(
    ("field", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-0", 0), ("bytes=-5", 0)]
)
def test_what_is_outside_cannot_be_satisfied(field: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_ranges(field, size)


@pytest.mark.parametrize(
    ("fields", "unchanged"),
    [
        ({}, False),
        ({b"if-none-match": b'"a"'}, True),
        ({b"if-none-match": b'W/"a"'}, True),
        ({b"if-none-match": b'"b", "a"'}, True),
        ({b"if-none-match": b"*"}, True),
        ({b"if-none-match": b'"b"'}, False),
        ({b"if-none-match": b'"b"', b"if-modified-since": LATER}, False),
        ({b"if-modified-since": DATE}, True),
        ({b"if-modified-since": LATER}, True),
        ({b"if-modified-since": EARLIER}, False),
        ({b"if-modified-since": b"yesterday"}, False),
        ({b"if-modified-since": b""}, False),
        ({b"if-modified-since": b"Sun, 99 Nov 99999999999 08:49:37 GMT"}, False),
    ],
)
def test_a_client_may_have_it_already(fields: dict[bytes, bytes], unchanged: bool) -> None:
    assert is_unchanged(fields, '"a"', MODIFIED) is unchanged


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        *((None, True), (b'"a"', True), (b'"b"', False), (b'W/"a"', False)),
        *((DATE, True), (LATER, False), (EARLIER, False), (b"yesterday", False)),
    ],
)
def test_parts_are_given_of_the_same_file_only(condition: bytes | None, matches: bool) -> None:
    fields = {} if condition is None else {b"if-range": condition}
    assert matches_if_range(fields, '"a"', MODIFIED) is matches


def test_parts_of_weakly_equal_files_do_not_fit_together() -> None:
    assert not matches_if_range({b"if-range": b'W/"a"'}, 'W/"a"', MODIFIED)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, False),
        ({b"if-match": b'"a"'}, False),
        ({b"if-match": b'"b", "a"'}, False),
        ({b"if-match": b"*"}, False),
        ({b"if-match": b'"b"'}, True),
        ({b"if-match": b'W/"a"'}, True),
        ({b"if-unmodified-since": DATE}, False),
        ({b"if-unmodified-since": LATER}, False),
        ({b"if-unmodified-since": EARLIER}, True),
        ({b"if-unmodified-since": b"nonsense"}, False),
        # The tag decides, if there is one.
        ({b"if-match": b'"a"', b"if-unmodified-since": EARLIER}, False),
        ({b"if-match": b'"b"', b"if-unmodified-since": DATE}, True),
    ],
)
def test_a_file_that_is_another_by_now_is_not_meant(
    fields: dict[bytes, bytes], wrong: bool
) -> None:
    assert is_wrong(fields, '"a"', MODIFIED) is wrong


def test_a_weak_tag_matches_nothing() -> None:
    assert is_wrong({b"if-match": b'W/"a"'}, 'W/"a"', MODIFIED)
