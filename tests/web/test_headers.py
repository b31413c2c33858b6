"""Fields of a response that several have a say in."""

from __future__ import annotations

import pytest

from tidegate.web.headers import MutableHeaders, Pairs, vary


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [(b"vary", b"Origin")]),
        ([(b"vary", b"Cookie")], [(b"vary", b"Cookie, Origin")]),
        ([(b"Vary", b"Cookie")], [(b"vary", b"Cookie, Origin")]),
        ([(b"vary", b"Cookie, origin")], [(b"vary", b"Cookie, origin")]),
        ([(b"vary", b"X-Origin")], [(b"vary", b"X-Origin, Origin")]),
        ([(b"vary", b"*")], [(b"vary", b"*")]),
        ([(b"vary", b"a"), (b"vary", b"b,Origin")], [(b"vary", b"a"), (b"vary", b"b,Origin")]),
        (
            [(b"vary", b"a"), (b"b", b"c"), (b"vary", b"d")],
            [(b"b", b"c"), (b"vary", b"a, d, Origin")],
        ),
    ],
)
def test_vary_names_a_field_once(before: Pairs, after: Pairs) -> None:
    assert vary(list(before), b"Origin") == after
    pairs = list(before)
    MutableHeaders(pairs).vary("Origin")
    assert pairs == after
