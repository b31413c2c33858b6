"""What the application answered is easy to ask."""

from __future__ import annotations

import msgspec
import pydantic
import pytest

from tidegate.testing import Reply, StatusError, client

from .applications import Mirror, answer


class Item(msgspec.Struct):
    name: str


class Model(pydantic.BaseModel):
    name: str


def reply(body: bytes = b"", status: int = 200, *headers: tuple[str, str]) -> Reply:
    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "http":
            pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers]
            await answer(send, body, status, pairs)

    with client(app) as c:
        return c.get("/path")


def test_headers_are_found_in_any_case_and_repeated_ones_kept_apart() -> None:
    got = reply(b"", 200, ("X-A", "1"), ("x-a", "2"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))
    assert got.headers["X-a"] == "1, 2"
    assert got.headers.all("SET-COOKIE") == ["a=1", "b=2"]
    assert got.cookies == {"a": "1", "b": "2"}


def test_json_is_read_as_the_type_one_asks_for() -> None:
    got = reply(b'{"name":"x"}')
    assert got.json() == {"name": "x"}
    assert got.json(Item) == Item("x")
    assert got.json(Model) == Model(name="x")
    assert reply(b'[{"name":"x"}]').json(list[Item]) == [Item("x")]
    with pytest.raises(msgspec.ValidationError, match="name"):
        reply(b"{}").json(Item)
    with pytest.raises(ValueError, match="malformed"):
        reply(b"<html>").json()


def test_text_follows_the_charset() -> None:
    assert reply("ü".encode()).text == "ü"
    assert reply(b"\xfc", 200, ("content-type", "text/plain; charset=latin-1")).text == "ü"
    assert reply(b"\xfc", 200, ("content-type", "text/plain; charset=nonsense")).text == "\ufffd"


def test_an_error_status_can_be_raised() -> None:
    got = reply(b"not here", 404)
    with pytest.raises(StatusError, match="/path answered 404 Not Found: not here") as raised:
        got.raise_for_status()
    assert raised.value.reply is got
    good = reply(b"", 204)
    assert good.raise_for_status() is good
    assert (got.ok, good.ok) == (False, True)


def test_a_reply_shows_what_was_answered() -> None:
    assert repr(reply(b"what is wrong", 422)) == "<Reply 422 'what is wrong'>"
    assert len(repr(reply(b"x" * 5000))) < 300


def test_the_rules_of_the_server_hold() -> None:
    assert reply(b"abc").headers["content-length"] == "3"
    no_content = reply(b"ignored", 204)
    assert (no_content.content, "content-length" in no_content.headers) == (b"", False)
    with client(Mirror()) as c:
        head = c.head("/")
        assert head.content == b""
        assert int(head.headers["content-length"]) > 0
    framed = reply(b"abc", 200, ("transfer-encoding", "chunked"), ("connection", "close"))
    assert "transfer-encoding" not in framed.headers
    assert "connection" not in framed.headers


def test_a_whole_reply_is_complete() -> None:
    got = reply(b"abc")
    assert got.complete
    assert (got.history, got.informational, len(got.trailers)) == ([], [], 0)
