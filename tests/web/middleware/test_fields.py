"""Fields of requests and responses, as bytes."""

from __future__ import annotations

import pytest

from tidegate.web.middleware.fields import at_start, value_of, vary

from .driver import scope_of


def test_repeated_fields_are_joined():
    scope = scope_of("http", "/", [("a", "1"), ("b", "2"), ("a", "3")])
    assert value_of(scope, b"a") == b"1, 3"
    assert value_of(scope, b"c") is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [(b"vary", b"Origin")]),
        ([(b"vary", b"Cookie")], [(b"vary", b"Cookie, Origin")]),
        ([(b"Vary", b"Cookie")], [(b"Vary", b"Cookie, Origin")]),
        ([(b"vary", b"Cookie, origin")], [(b"vary", b"Cookie, origin")]),
        ([(b"vary", b"X-Origin")], [(b"vary", b"X-Origin, Origin")]),
        ([(b"vary", b"*")], [(b"vary", b"*")]),
    ],
)
def test_vary_names_a_field_once(before, after):
    assert vary(before, b"Origin") == after


async def test_only_messages_that_begin_a_response_are_edited():
    sent = []

    async def send(message):
        sent.append(message)

    edited = at_start(send, lambda headers: [*headers, (b"a", b"b")])
    for kind in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
        await edited({"type": kind, "status": 200})
        assert sent.pop() == {"type": kind, "status": 200, "headers": [(b"a", b"b")]}
    await edited({"type": "http.response.body"})
    assert sent.pop() == {"type": "http.response.body"}
