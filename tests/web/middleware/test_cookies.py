"""How a cookie of ours is set."""

from __future__ import annotations

import pytest

from tidegate.web.middleware.cookies import Cookie

from .driver import scope_of


def attributes(cookie, value="v", max_age=None):
    name, text = cookie.field(value, max_age)
    assert name == b"set-cookie"
    first, *rest = text.decode().split("; ")
    return first, {word.lower() for word in rest}


def test_the_defaults_are_careful():
    assert attributes(Cookie("a", "n")) == (
        "n=v",
        {"path=/", "samesite=lax", "secure", "httponly"},
    )


def test_everything_can_be_said():
    cookie = Cookie(
        "a",
        "n",
        path="/p",
        domain="us.example",
        secure=False,
        http_only=False,
        same_site="strict",
    )
    assert attributes(cookie, max_age=60) == (
        "n=v",
        {"path=/p", "domain=us.example", "max-age=60", "samesite=strict"},
    )


def test_a_cookie_is_removed_with_an_age_of_nothing():
    _, words = attributes(Cookie("a", "n"), "", 0)
    assert {"max-age=0", "expires=thu, 01 jan 1970 00:00:00 gmt"} <= words


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ([], None),
        ([("cookie", "m=1")], None),
        ([("cookie", "m=1; n=2")], "2"),
        ([("cookie", "n=2;m=1; n=3")], "2"),
        ([("cookie", "xn=1; n=2=3")], "2=3"),
    ],
)
def test_the_first_of_its_name_is_read(fields, value):
    assert Cookie("a", "n").read(scope_of("http", "/", fields)) == value
