"""What a response object becomes on the wire, in a handler and as an application by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from starlette.responses import PlainTextResponse
from tests.web.driver import Reply, Server, ask, scope_for

from tidegate import (
    App,
    ClientDisconnected,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Request,
    Response,
    StreamResponse,
    TextResponse,
    TidegateError,
    UsageError,
)


class Item(msgspec.Struct):
    name: str


async def sent(response: Any, method: str = "GET", **more: Any) -> Reply:
    server = Server(b"")
    await response({**scope_for(method, "/"), **more}, server.receive, server.send)
    return server.reply


@pytest.mark.parametrize(
    ("response", "kind", "body"),
    [
        (Response(b"\0\1"), "application/octet-stream", b"\0\1"),
        (Response(bytearray(b"x")), "application/octet-stream", b"x"),
        (Response(memoryview(b"x")), "application/octet-stream", b"x"),
        (Response("é"), "text/plain; charset=utf-8", "é".encode()),
        (Response(Item("x")), "application/json", b'{"name":"x"}'),
        (Response([1], media_type="application/x"), "application/x", b"[1]"),
        (Response("x", headers={"Content-Type": "a/b"}), "a/b", b"x"),
        (Response(None), None, b""),
        (TextResponse("x"), "text/plain; charset=utf-8", b"x"),
        (HTMLResponse("<p>"), "text/html; charset=utf-8", b"<p>"),
        (JSONResponse("x"), "application/json", b'"x"'),
        (JSONResponse(None), "application/json", b"null"),
        (JSONResponse(b"raw"), "application/json", b"raw"),
    ],
)
async def test_content_is_sent_as_what_it_is(
    response: Response[Any], kind: str | None, body: bytes
) -> None:
    for _ in range(2):  # a response may be a constant
        reply = await sent(response)
        assert (reply.status, reply.header("content-type"), reply.body) == (200, kind, body)
        assert reply.header("content-length") == str(len(body))


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_content_has_none(status: int) -> None:
    reply = await sent(Response(b"what?", status))
    assert (reply.status, reply.body, reply.header("content-length")) == (status, b"", None)


async def test_head_has_the_fields_of_get_and_no_content() -> None:
    app = App()

    @app.get("/")
    async def handler() -> Response[str]:
        return Response("abc")

    reply = await ask(app, "HEAD")
    assert (reply.body, reply.header("content-length")) == (b"", "3")
    assert (await ask(app, "HEAD", "/nothing")).body == b""


async def test_the_status_is_that_of_the_response_before_that_of_the_route() -> None:
    app = App()

    @app.post("/", status=201)
    async def handler(given: int = 0) -> Response[Item]:
        return Response(Item("x"), given or None)

    assert (await ask(app, "POST")).status == 201
    assert (await ask(app, "POST", "/?given=202")).status == 202
    response = Response()
    response.status = 418
    assert response.status == 418


async def test_fields_may_be_changed_until_the_response_is_sent() -> None:
    response = Response("x", headers=[("X-A", "1"), ("x-a", "2")])
    response.headers["x-b"] = "3"
    response.content = "longer"
    reply = await sent(response)
    assert reply.header("x-a") == "1, 2"
    assert (reply.header("x-b"), reply.header("content-length")) == ("3", "6")
    response.content = "short"
    assert (await sent(response)).header("content-length") == "5"


@pytest.mark.parametrize(
    "headers", [{"x": "a\r\nset-cookie: b"}, {"x\r\ny": "a"}, {"x": "a\0"}, {"x y": "a"}, {"": "a"}]
)
def test_a_field_cannot_smuggle_in_another(headers: dict[str, str]) -> None:
    with pytest.raises(TidegateError):
        Response("x", headers=headers)
    with pytest.raises(TidegateError):
        Response("x").headers.update(headers)


@pytest.mark.parametrize("headers", [{"x": 1}, {"x": "€"}, {1: "x"}])
def test_a_field_is_text_of_latin_1(headers: Any) -> None:
    with pytest.raises(UsageError, match="a header is a pair of latin-1 str"):
        Response("x", headers=headers)


def test_a_cookie_is_careful_until_said_otherwise() -> None:
    response = Response()
    response.set_cookie("a", "b")
    response.set_cookie(
        *("c", 'd; "e"'),
        max_age=5,
        expires=0,
        path=None,
        domain="a.example",
        secure=False,
        http_only=False,
        same_site=None,
    )
    first, second = response.headers.all("set-cookie")
    assert first == "a=b; Path=/; Secure; HttpOnly; SameSite=Lax"
    assert second == (
        'c="d\\073 \\"e\\""; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Domain=a.example'
    )


async def test_what_a_cookie_holds_comes_back() -> None:
    response = Response()
    response.set_cookie("a", 'é; "=\\\r\n,')
    value = response.headers["set-cookie"].partition("; Path")[0]
    app = App()

    @app.get("/")
    async def handler(request: Request) -> str:
        return request.cookies["a"]

    assert (await ask(app, headers={"cookie": value})).text == 'é; "=\\\r\n,'


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "é", "a\r\nb"])
def test_a_cookie_has_a_name_that_needs_no_quoting(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a cookie"):
        Response().set_cookie(name, "x")


@pytest.mark.parametrize("more", [{"path": "/; Domain=b.example"}, {"domain": "a\r\nb"}])
def test_attributes_of_a_cookie_cannot_smuggle_in_others(more: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="of a cookie cannot be"):
        Response().set_cookie("a", "x", **more)  # type: ignore[arg-type]


def test_a_cookie_is_deleted_as_it_was_set() -> None:
    response = Response()
    response.delete_cookie("a", path="/x", domain="a.example", secure=False, same_site=None)
    assert response.headers["set-cookie"] == (
        "a=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/x; Domain=a.example; HttpOnly"
    )


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/a?b=c#d", "/a?b=c#d"),
        ("https://a.example/é", "https://a.example/%C3%A9"),
        ("/a\r\nset-cookie: x", "/a%0D%0Aset-cookie:%20x"),
        ("/%41", "/%41"),
        ("\\\\evil.example", "%5C%5Cevil.example"),
    ],
)
async def test_a_redirect_quotes_where_it_leads(url: str, location: str) -> None:
    reply = await sent(RedirectResponse(url, 303, {"x-a": "1"}))
    assert (reply.status, reply.header("location"), reply.body) == (303, location, b"")
    assert reply.header("x-a") == "1"


async def test_a_redirect_for_a_slash_keeps_what_was_encoded() -> None:
    app = App()

    @app.get("/items/{name}")
    async def handler(name: str) -> str:
        return name

    server = Server(b"")
    scope = {**scope_for("GET", "/"), "path": "/items/100% ?#/", "query_string": b"a=%20"}
    await app(scope, server.receive, server.send)
    assert server.reply.status == 308
    assert server.reply.header("location") == "/items/100%25%20%3F%23?a=%20"


# Streams.


async def test_a_stream_sends_each_item_as_it_comes() -> None:
    async def items() -> AsyncIterator[Any]:
        for item in (b"a", "b", bytearray(b"c"), memoryview(b"d"), {"e": 1}, Item("f")):
            yield item

    reply = await sent(StreamResponse(items(), 202, {"x-a": "1"}, media_type="text/x"))
    assert (reply.status, reply.header("content-type")) == (202, "text/x")
    assert reply.pieces == [b"a", b"b", b"c", b"d", b'{"e":1}\n', b'{"name":"f"}\n', b""]
    assert reply.messages[-1] == {"type": "http.response.body", "body": b""}


async def test_a_plain_iterator_runs_in_a_thread_and_is_closed() -> None:
    threads = []

    def items() -> Iterator[str]:
        try:
            threads.append(threading.current_thread())
            yield "a"
            yield "b"
        finally:
            threads.append(threading.current_thread())

    assert (await sent(StreamResponse(items()))).body == b"ab"
    assert threading.main_thread() not in threads
    assert len(threads) == 2
    assert (await sent(StreamResponse(["a", "b"]))).body == b"ab"


class Closable:
    """An iterator such as an open file."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Closable:
        return self

    def __next__(self) -> bytes:
        return b"x"

    def close(self) -> None:
        self.closed = True


class AsyncClosable(Closable):
    def __aiter__(self) -> AsyncClosable:
        return self

    async def __anext__(self) -> bytes:
        return b"x"

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("kind", [Closable, AsyncClosable])
async def test_a_stream_is_closed_also_if_it_never_began(kind: type[Closable]) -> None:
    items = kind()
    reply = await sent(StreamResponse(items), "HEAD")  # type: ignore[arg-type]
    assert (reply.body, items.closed) == (b"", True)


@pytest.mark.parametrize("kind", [Closable, AsyncClosable])
@pytest.mark.parametrize("at", ["http.response.start", "http.response.body"])
async def test_a_stream_is_closed_when_the_client_has_left(kind: type[Closable], at: str) -> None:
    items = kind()

    async def send(message: Any) -> None:
        if message["type"] == at:
            raise ClientDisconnected

    response = StreamResponse(items)  # type: ignore[arg-type]
    await response(scope_for("GET", "/"), Server().receive, send)
    assert items.closed


async def test_an_error_in_a_stream_ends_it_and_is_raised() -> None:
    app = App()

    @app.get("/")
    async def handler() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("in the middle")

    reply = await ask(app)
    assert (reply.status, reply.body) == (200, b"a")
    assert isinstance(reply.error, ValueError)
    assert reply.messages[-1]["more_body"] is True


async def test_a_stream_given_up_while_a_thread_is_at_work_does_not_wait_for_it() -> None:
    began, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[str]:
        try:
            began.set()
            go_on.wait(30)
            yield "a"
        finally:
            closed.set()

    task = asyncio.create_task(sent(StreamResponse(items())))
    while not began.is_set():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    go_on.set()
    del task
    assert closed.wait(30)


async def test_trailers_are_sent_where_the_server_can() -> None:
    def response() -> StreamResponse:
        return StreamResponse([b"a"], trailers=lambda: {"X-Sum": "5"})

    reply = await sent(response(), extensions={"http.response.trailers": {}})
    assert reply.messages[0]["trailers"] is True
    assert reply.messages[-1] == {"type": "http.response.trailers", "headers": [(b"x-sum", b"5")]}
    reply = await sent(response())
    assert "trailers" not in reply.messages[0]
    assert reply.messages[-1]["type"] == "http.response.body"


async def test_early_hints_go_before_the_response_where_the_server_can() -> None:
    app = App()

    @app.get("/")
    async def handler(request: Request) -> str:
        await request.early_hints("</a.css>; rel=preload")
        return "x"

    server = Server(b"")
    extensions = {"http.response.early_hint": {}}
    await app({**scope_for("GET", "/"), "extensions": extensions}, server.receive, server.send)
    hint, start, _ = server.reply.messages
    assert hint == {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
    assert start["status"] == 200
    assert len((await ask(app)).messages) == 2


async def test_a_response_of_another_framework_may_be_returned() -> None:
    app = App()

    @app.get("/")
    async def handler() -> PlainTextResponse:
        return PlainTextResponse("x", 203, {"x-a": "1"})

    reply = await ask(app)
    assert (reply.status, reply.text, reply.header("x-a")) == (203, "x", "1")
