"""Fields of requests and responses, as bytes."""

from __future__ import annotations

from tidegate.web.middleware.fields import at_start, value_of

from .driver import scope_of


def test_repeated_fields_are_joined():
    scope = scope_of("http", "/", [("a", "1"), ("b", "2"), ("a", "3")])
    assert value_of(scope, b"a") == b"1, 3"
    assert value_of(scope, b"c") is None


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
