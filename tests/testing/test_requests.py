"""What a test writes arrives at the application as a server would have passed it on."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
import pytest

from tidegate import UsageError
from tidegate.http import field
from tidegate.testing import client

from .applications import Mirror


def test_every_method_arrives() -> None:
    app = Mirror()
    with client(app) as c:
        sends = (c.get, c.post, c.put, c.patch, c.delete, c.head, c.options)
        assert [(send("/"), app.scope["method"])[1] for send in sends] == [
            *("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
        ]
        assert c.request("PURGE", "/").json()["method"] == "PURGE"


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"a": 1, "b": "x y"}, "a=1&b=x+y"),
        ({"a": [1, 2], "gone": None, "yes": True}, "a=1&a=2&yes=true"),
        ([("a", "1"), ("a", "ü")], "a=1&a=%C3%BC"),
    ],
)
def test_params_become_the_query(params: Any, query: str) -> None:
    with client(Mirror()) as c:
        assert c.get("/", params=params).json()["query"] == query
        assert c.get("/?z=0", params=params).json()["query"] == f"z=0&{query}"


def test_a_path_is_encoded_where_it_must_be_and_nowhere_else() -> None:
    app = Mirror()
    with client(app) as c:
        assert c.get("/ü x/%2F#part").json()["path"] == "/ü x//"
        assert app.scope["raw_path"] == b"/%C3%BC%20x/%2F"
        assert c.get("items").json()["path"] == "/items"
        assert c.get("").json()["path"] == "/"


def test_the_base_url_decides_scheme_host_and_prefix() -> None:
    app = Mirror()
    with client(app, base_url="https://shop.example:8443/api") as c:
        c.get("/items")
    assert app.scope["scheme"] == "https"
    assert app.scope["server"] == ("shop.example", 8443)
    assert app.scope["path"] == "/api/items"
    assert app.header("host") == "shop.example:8443"


def test_an_absolute_url_leads_elsewhere() -> None:
    app = Mirror()
    with client(app) as c:
        c.get("https://other.example/x?next=http://a/b")
    assert (app.header("host"), app.scope["scheme"]) == ("other.example", "https")
    assert app.scope["query_string"] == b"next=http://a/b"


class Item(msgspec.Struct):
    name: str


@dataclass
class Dot:
    x: int


class Model(pydantic.BaseModel):
    a: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Item("x"), '{"name":"x"}'),
        (Dot(1), '{"x":1}'),
        (Model(a=1), '{"a":1}'),
        (None, "null"),
        ("text", '"text"'),
    ],
)
def test_json_takes_whatever_a_handler_takes(value: Any, text: str) -> None:
    app = Mirror()
    with client(app) as c:
        assert c.post("/", json=value).json()["body"] == text
    assert app.header("content-type") == "application/json"
    assert app.header("content-length") == str(len(text))


def test_content_arrives_as_it_is() -> None:
    app = Mirror()
    with client(app) as c:
        c.put("/", content=b"\x00\xff")
        assert app.pieces == [b"\x00\xff"]
        assert app.header("content-type") is None
        c.put("/", content="ü")
        assert app.pieces == ["ü".encode()]
        assert app.header("content-type") == "text/plain; charset=utf-8"
        c.post("/")
        assert (app.pieces, app.header("content-length")) == ([b""], "0")
        c.get("/")
        assert app.header("content-length") is None


def test_forms_are_urlencoded() -> None:
    app = Mirror()
    with client(app) as c:
        assert c.post("/", data={"a": "1 2", "b": ["x", "y"]}).json()["body"] == "a=1+2&b=x&b=y"
    assert app.header("content-type") == "application/x-www-form-urlencoded"


def test_files_become_a_multipart_form() -> None:
    app = Mirror()
    named = io.BytesIO(b"from a file")
    named.name = "folder/notes.txt"
    files = [
        ("plain", b"bytes"),
        ("image", ('a"b.png', b"png")),
        ("typed", ("x.bin", "text", "text/x")),
        ("file", named),
        ("nameless", (None, b"n")),
    ]
    with client(app) as c:
        body = c.post("/", data={"field": "value"}, files=files).json()["body"]
    kind = app.header("content-type")
    assert kind is not None
    mark = "--" + kind.removeprefix("multipart/form-data; boundary=")
    form = "content-disposition: form-data; name="
    assert body.split(mark) == [
        "",
        f'\r\n{form}"field"\r\n\r\nvalue\r\n',
        f'\r\n{form}"plain"; filename="plain"\r\ncontent-type: application/octet-stream\r\n\r\n'
        "bytes\r\n",
        f'\r\n{form}"image"; filename="a%22b.png"\r\ncontent-type: image/png\r\n\r\npng\r\n',
        f'\r\n{form}"typed"; filename="x.bin"\r\ncontent-type: text/x\r\n\r\ntext\r\n',
        f'\r\n{form}"file"; filename="notes.txt"\r\ncontent-type: text/plain\r\n\r\n'
        "from a file\r\n",
        f'\r\n{form}"nameless"\r\n\r\nn\r\n',
        "--\r\n",
    ]


def test_headers_of_the_client_go_with_every_request_and_those_of_a_request_win() -> None:
    app = Mirror()
    with client(app, headers={"X-One": "1", "X-Two": "2", "User-Agent": "me"}) as c:
        c.get("/", headers={"x-two": "3"})
        assert (app.header("x-one"), app.header("x-two")) == ("1", "3")
        assert (app.header("user-agent"), app.header("accept")) == ("me", "*/*")
        c.post("/", json=1, headers=[("Content-Type", "application/x"), ("a", "1"), ("a", "2")])
        assert app.header("content-type") == "application/x"
        assert [value for name, value in app.scope["headers"] if name == b"a"] == [b"1", b"2"]


def test_an_iterable_arrives_piece_by_piece() -> None:
    def pieces() -> Iterator[bytes | str]:
        yield b"one"
        yield b""
        yield "two"

    app = Mirror()
    with client(app) as c:
        assert c.post("/", content=pieces()).json()["body"] == "onetwo"
    assert app.pieces == [b"one", b"two", b""]
    assert app.header("transfer-encoding") == "chunked"
    assert app.header("content-length") is None


async def test_an_asynchronous_iterable_arrives_piece_by_piece() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    app = Mirror()
    async with client(app) as c:
        await c.post("/", content=pieces())
    assert app.pieces == [b"one", b"two", b""]


def test_chunk_size_cuts_the_content() -> None:
    app = Mirror()
    with client(app) as c:
        c.post("/", content=b"abcdefg", chunk_size=3)
        assert app.pieces == [b"abc", b"def", b"g"]
        assert app.header("content-length") == "7"
        c.post("/", content=iter([b"abcd", b"e"]), chunk_size=3)
        assert app.pieces == [b"abc", b"d", b"e", b""]
        c.post("/", content=b"", chunk_size=3)
        assert app.pieces == [b""]


def test_an_iterable_is_asked_only_for_what_the_application_takes() -> None:
    asked = []

    def pieces() -> Iterator[bytes]:
        for number in range(100):
            asked.append(number)
            yield b"x"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await receive()
            await receive()
            await send({"type": "http.response.start", "status": 401})
            await send({"type": "http.response.body", "body": b"no"})

    with client(app) as c:
        assert c.post("/", content=pieces()).status == 401
    assert len(asked) <= 3


def test_what_an_iterable_raises_is_raised_in_the_test() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise KeyError("mine")

    with client(Mirror()) as c:
        with pytest.raises(KeyError, match="mine"):
            c.post("/", content=pieces())
        assert c.get("/").ok


def test_content_is_sent_when_the_application_asks_if_the_client_waits_for_that() -> None:
    app = Mirror()
    with client(app) as c:
        c.post("/", content=b"abc", headers={"expect": "100-continue"})
    assert app.pieces == [b"abc"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"json": 1, "content": b""}, "one content"),
        ({"json": 1, "files": {"a": b""}}, "one content"),
        ({"content": 5}, "see json="),
        ({"content": {"a": 1}}, "see json="),
        ({"headers": {"a": "b\r\nevil: 1"}}, "control character"),
        ({"headers": {"a b": "1"}}, "not a token"),
        ({"headers": {"a": "€"}}, "latin-1"),
        ({"headers": {"content-length": "x"}}, "not a number"),
        ({"headers": {"expect": "tea"}}, "answer 417"),
        ({"headers": {"host": "a b"}}, "answer 400"),
    ],
)
def test_a_request_that_no_server_would_take_is_an_error_of_the_test(
    arguments: dict[str, Any], words: str
) -> None:
    with client(Mirror()) as c, pytest.raises(UsageError, match=words):
        c.post("/", **arguments)


def test_a_method_that_is_none_is_an_error_of_the_test() -> None:
    with client(Mirror()) as c:
        for method in ("GET /x HTTP/1.1\r\nevil: 1\r\nx:", "", "get"):
            with pytest.raises(UsageError):
                c.request(method, "/")


@pytest.mark.parametrize("url", ["ftp://x/", "testserver", "http://", "http://a?b=1"])
def test_a_base_url_that_is_none_is_an_error(url: str) -> None:
    with pytest.raises(UsageError, match="base_url"), client(Mirror(), base_url=url):
        pass


def test_content_shorter_than_its_length_is_a_client_that_breaks_off() -> None:
    app = Mirror()
    seen = []

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "http":
            seen.append((await receive())["type"])
            if seen[-1] == "http.disconnect":
                return
        await app(scope, receive, send)

    with client(watching) as c:
        reply = c.post("/", content=b"abc", headers={"content-length": "5"})
    assert not reply.complete
    assert seen == ["http.request", "http.disconnect"]


def test_content_longer_than_its_length_is_an_error_of_the_test() -> None:
    with client(Mirror()) as c, pytest.raises(UsageError, match="longer than its content-length"):
        c.post("/", content=b"abcdef", headers={"content-length": "5"})


def test_an_iterable_of_known_length_is_not_chunked() -> None:
    app = Mirror()
    with client(app) as c:
        c.post("/", content=iter([b"ab", b"c"]), headers={"content-length": "3"})
    assert app.pieces == [b"ab", b"c"]
    assert app.header("transfer-encoding") is None


def test_a_websocket_url_leads_where_its_http_twin_does() -> None:
    app = Mirror()
    with client(app) as c:
        c.get("wss://other/x")
    assert (app.scope["scheme"], app.header("host")) == ("https", "other")
    with client(app) as c, pytest.raises(UsageError, match="not an http URL"):
        c.get("ftp://other/x")


def test_what_is_sent_before_the_head_and_after_the_content_is_in_the_reply() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            out = receive.__self__.out
            out.informational(103, [field(b"Link", b"</style.css>")])
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"x"})
            out.trailers([field(b"X-Sum", b"1")])

    with client(app) as c:
        reply = c.get("/")
    assert [(status, dict(got)) for status, got in reply.informational] == [
        (103, {"link": "</style.css>"})
    ]
    assert dict(reply.trailers) == {"x-sum": "1"}
