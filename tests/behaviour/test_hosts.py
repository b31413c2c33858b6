"""What the server carries besides raw applications: WSGI, and the framework."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.behaviour.conftest import Serve

from tidegate import App
from tidegate.bridge.wsgi import Wsgi

MEGABYTE = bytes(range(256)) * 4096

StartResponse = Callable[..., Any]


# WSGI.


def plain(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer with what was sent, and with a little of the environment."""
    content = environ["wsgi.input"].read()
    start_response(
        "200 OK",
        [
            ("X-Path", environ["PATH_INFO"]),
            ("X-Query", environ["QUERY_STRING"]),
            ("X-Protocol", environ["SERVER_PROTOCOL"]),
            ("X-Scheme", environ["wsgi.url_scheme"]),
            ("X-Host", environ["HTTP_HOST"]),
            ("X-Cookie", environ.get("HTTP_COOKIE", "")),
        ],
    )
    return [content or b"hello"]


async def test_a_wsgi_application_is_served(serve: Serve) -> None:
    async with serve(Wsgi(plain)) as client:
        answer = await client.get("/a%20b?c=d", (b"cookie", b"a=b"), (b"cookie", b"c=d"))
    assert (answer.status, answer.body, answer.lost) == (200, b"hello", False)
    assert (answer.one(b"x-path"), answer.one(b"x-query")) == (b"/a b", b"c=d")
    assert answer.one(b"x-protocol") == b"HTTP/" + client.http_version.encode()
    assert (answer.one(b"x-scheme"), answer.one(b"x-host")) == (client.scheme.encode(), b"test")
    assert answer.one(b"x-cookie") == b"a=b; c=d"


async def test_a_wsgi_application_reads_and_sends_a_megabyte(serve: Serve) -> None:
    async with serve(Wsgi(plain)) as client:
        answer = await client.post(MEGABYTE)
    assert answer.body == MEGABYTE


async def test_a_wsgi_application_reads_content_of_unknown_length(serve: Serve) -> None:
    async with serve(Wsgi(plain)) as client:
        call = await client.begin("POST", "/")
        for _ in range(3):
            await call.send(b"piece ")
        await call.send(b"", True)
        assert (await call.result()).body == b"piece piece piece "


async def test_each_block_of_a_wsgi_application_comes_when_it_is_made(serve: Serve) -> None:
    may_go_on = threading.Event()
    closed = threading.Event()

    class Blocks:
        def __iter__(self) -> Any:
            yield b"one"
            may_go_on.wait(20)
            yield b"two"

        def close(self) -> None:
            closed.set()

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Blocks()

    async with serve(Wsgi(application)) as client:
        call = await client.begin("GET", "/", ended=True)
        await call.until(b"one")
        may_go_on.set()
        answer = await call.result()
    assert (answer.body, answer.lost) == (b"onetwo", False)
    assert closed.is_set()


async def test_a_wsgi_application_that_fails_is_a_500(serve: Serve) -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        raise ValueError("as asked")

    async with serve(Wsgi(application)) as client:
        assert (await client.get()).status == 500


async def test_a_wsgi_application_that_fails_in_the_middle_is_cut_off(serve: Serve) -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"early"
        raise ValueError("as asked")

    async with serve(Wsgi(application)) as client:
        assert (await client.get()).lost


# The framework.


@dataclass
class Item:
    name: str
    price: float


def shop() -> tuple[App, asyncio.Event, asyncio.Event]:
    """Return an application, what lets its events go on, and what tells that they have ended."""
    app = App()
    may_go_on, ended = asyncio.Event(), asyncio.Event()

    @app.post("/items/{number}")
    async def create(number: int, item: Item) -> dict[str, Any]:
        return {"number": number, "name": item.name, "price": item.price}

    @app.sse("/events")
    async def events() -> AsyncIterator[str]:
        try:
            yield "one"
            await may_go_on.wait()
            yield "two"
        finally:
            ended.set()

    return app, may_go_on, ended


JSON = (b"content-type", b"application/json")


async def test_a_route_takes_and_gives_json(serve: Serve) -> None:
    app, _, _ = shop()
    async with serve(app, lifespan="on") as client:
        answer = await client.post(b'{"name":"tea","price":3.5}', "/items/3", JSON)
        wrong = await client.post(b'{"name":"tea"}', "/items/3", JSON)
    assert (answer.status, answer.one(b"content-type")) == (200, b"application/json")
    assert answer.body == b'{"number":3,"name":"tea","price":3.5}'
    assert wrong.status == 422


async def test_events_come_when_they_are_made(serve: Serve) -> None:
    app, may_go_on, ended = shop()
    async with serve(app, lifespan="on") as client:
        call = await client.begin("GET", "/events", ended=True)
        kind = (await call.head()).one(b"content-type")
        assert kind == b"text/event-stream; charset=utf-8"
        await call.until(b"data: one\n\n")
        may_go_on.set()
        answer = await call.result()
        await ended.wait()
    assert (answer.body.endswith(b"data: two\n\n"), answer.lost) == (True, False)


async def test_events_end_when_their_client_leaves(serve: Serve) -> None:
    app, _, ended = shop()
    async with serve(app, lifespan="on") as client:
        call = await client.begin("GET", "/events", ended=True)
        await call.until(b"data: one\n\n")
        call.leave()
        await ended.wait()
