"""Middleware that takes a request and gives a response, and plain ASGI middleware."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.responses import StreamingResponse as StarletteStream
from starlette.routing import Route
from tests.web.driver import Server, ask, scope_for

from tidegate import (
    App,
    ClientDisconnected,
    ConfigError,
    Depends,
    FileResponse,
    Problem,
    Request,
    Response,
    Router,
    StreamResponse,
    UsageError,
)
from tidegate.web.layers import relayed

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def named(name: str, log: list[str]) -> Any:
    async def layer(request: Request, call_next: Any) -> Any:
        log.append(f"{name} in")
        response = await call_next(request)
        log.append(f"{name} out")
        return response

    return layer


async def passing(request: Request, call_next: Any) -> Any:
    return await call_next(request)


async def test_layers_are_in_the_order_they_were_written_the_application_first() -> None:
    log: list[str] = []
    app = App(middleware=[named("a", log), named("b", log)])
    router = Router(middleware=[named("router", log)])

    @router.get("/", middleware=[named("route", log)])
    async def handler() -> str:
        log.append("handler")
        return "x"

    app.include(router)
    app.add_middleware(named("first", log))
    assert (await ask(app)).text == "x"
    way_in = ["first", "a", "b", "router", "route"]
    assert log == [
        *(f"{name} in" for name in way_in),
        "handler",
        *(f"{name} out" for name in reversed(way_in)),
    ]


async def test_a_layer_may_replace_request_and_response() -> None:
    async def layer(request: Request, call_next: Any) -> Any:
        scope = {**request.scope, "path": "/real"}
        response = await call_next(Request(scope, request.receive, request.send))
        response.headers["x-a"] = "1"
        response.status = 203
        response.content = response.content.decode() + " and more"
        return response

    app = App(middleware=[layer])

    @app.get("/real")
    async def handler() -> str:
        return "x"

    reply = await ask(app, target="/asked")
    assert (reply.status, reply.text, reply.header("x-a")) == (203, "x and more", "1")
    assert reply.header("content-length") == "10"


async def test_a_layer_may_answer_by_itself() -> None:
    async def layer(request: Request, call_next: Any) -> Any:
        return Response("mine", 403)

    app = App(middleware=[layer])
    assert ((await ask(app)).status, (await ask(app)).text) == (403, "mine")


async def test_a_layer_may_try_again_and_the_content_is_there_again() -> None:
    calls = []

    async def layer(request: Request, call_next: Any) -> Any:
        await request.body()
        response = await call_next(request)
        return response if response.status < 500 else await call_next(request)

    app = App(middleware=[layer])

    @app.post("/")
    async def handler(request: Request) -> bytes:
        calls.append(await request.body())
        if len(calls) == 1:
            raise Problem(503)
        return calls[-1]

    assert (await ask(app, "POST", "/", {}, b"content")).body == b"content"
    assert calls == [b"content"] * 2


async def test_a_stream_is_not_held_back() -> None:
    sending = asyncio.Queue[str]()

    @(app := App(middleware=[passing, passing])).get("/")
    async def handler() -> AsyncIterator[str]:
        while item := await sending.get():
            yield item

    server = Server(b"")
    call = asyncio.create_task(app(scope_for("GET", "/"), server.receive, server.send))
    for item in ("a", "b"):
        sending.put_nowait(item)
        async with asyncio.timeout(30):
            while not server.reply.body.endswith(item.encode()):
                await asyncio.sleep(0)
    sending.put_nowait("")
    await call
    assert server.reply.pieces[:2] == [b"a", b"b"]


async def test_a_cancellation_goes_through_and_everything_is_closed() -> None:
    log: list[str] = []
    inside = asyncio.Event()

    async def resource() -> AsyncIterator[int]:
        try:
            yield 1
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            log.append("cancelled")
            raise

    app = App(middleware=[passing, passing])

    @app.post("/")
    async def handler(one: Annotated[int, Depends(resource)]) -> str:
        inside.set()
        await asyncio.Event().wait()
        return ""

    call = asyncio.create_task(app(scope_for("POST", "/"), Server(b"").receive, Server().send))
    await inside.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert log == ["cancelled"]


async def test_errors_of_the_inside_are_responses_and_are_raised_at_the_end() -> None:
    seen = []

    async def layer(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        seen.append(response.status)
        return response

    app = App(middleware=[layer, layer])

    @app.get("/{kind}")
    async def handler(kind: str) -> str:
        raise {"problem": Problem(409), "error": ValueError("a fault")}[kind]

    reply = await ask(app, target="/problem")
    assert (reply.status, reply.error, seen) == (409, None, [409, 409])
    reply = await ask(app, target="/error")
    assert (reply.status, seen[2:]) == (500, [500, 500])
    assert isinstance(reply.error, ValueError)


async def test_errors_of_a_layer_are_responses_to_the_layers_around_it() -> None:
    seen = []

    async def outer(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        seen.append(response.status)
        return response

    async def inner(request: Request, call_next: Any) -> Any:
        raise Problem(418)

    assert (await ask(App(middleware=[outer, inner]))).status == 418
    assert seen == [418]

    async def nothing(request: Request, call_next: Any) -> Any:
        return "not a response"

    reply = await ask(App(middleware=[outer, nothing]))
    assert reply.status == 500
    assert "must return a response" in str(reply.error)


async def test_a_response_that_is_not_wanted_is_closed_with_all_it_waits_for() -> None:
    log = []

    async def resource() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            log.append("resource")

    async def layer(request: Request, call_next: Any) -> Any:
        await call_next(request)
        return Response("other")

    app = App(middleware=[layer])

    @app.get("/")
    async def handler(one: Annotated[int, Depends(resource)]) -> AsyncIterator[str]:
        try:
            while True:
                yield "for ever"
        finally:
            await asyncio.sleep(0)
            log.append("stream")

    async with asyncio.timeout(30):
        reply = await ask(app)
    assert (reply.text, reply.error) == ("other", None)
    assert log == ["stream", "resource"]


async def test_a_layer_that_fails_after_the_inside_answered_closes_it() -> None:
    log = []

    async def layer(request: Request, call_next: Any) -> Any:
        await call_next(request)
        raise Problem(409)

    app = App(middleware=[layer])

    @app.get("/")
    async def handler() -> AsyncIterator[str]:
        try:
            yield "x"
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    assert (await ask(app)).status == 409
    assert log == ["closed"]


async def test_a_client_that_leaves_is_no_error_of_the_application() -> None:
    app = App(middleware=[passing, passing])
    app.execution.watch.seconds = 0.0
    inside = asyncio.Event()

    @app.get("/")
    async def handler() -> str:
        inside.set()
        await asyncio.Event().wait()
        return ""

    server = Server(b"")
    call = asyncio.create_task(app(scope_for("GET", "/"), server.receive, server.send))
    await inside.wait()
    server.leave()
    await asyncio.wait_for(call, 30)
    assert server.reply.status == 0


async def test_a_client_that_leaves_while_it_is_sent_to_closes_the_inside() -> None:
    closed = asyncio.Event()
    app = App(middleware=[passing])

    @app.get("/")
    async def handler() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
        finally:
            closed.set()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise ClientDisconnected

    await app(scope_for("GET", "/"), Server(b"").receive, send)
    assert closed.is_set()


async def test_a_client_that_leaves_before_its_content_came_is_told_to_nobody() -> None:
    app = App(middleware=[passing])

    @app.post("/")
    async def handler(request: Request) -> bytes:
        return await request.body()

    server = Server(b"part", leaves=True)
    await app(scope_for("POST", "/"), server.receive, server.send)
    assert server.reply.status == 0


async def test_sockets_and_lifespans_pass_a_layer() -> None:
    seen = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    app = App(middleware=[passing])
    app.mount("/", inner)
    await app({**scope_for("GET", "/"), "type": "websocket"}, Server().receive, Server().send)
    assert seen == ["lifespan", "websocket"]


async def test_context_variables_go_both_ways() -> None:
    async def layer(request: Request, call_next: Any) -> Any:
        variable.set("from the layer")
        response = await call_next(request)
        response.headers["x-variable"] = variable.get()
        return response

    app = App(middleware=[layer])

    @app.get("/")
    async def handler() -> str:
        seen = variable.get()
        variable.set("from the handler")
        return seen

    reply = await ask(app)
    assert (reply.text, reply.header("x-variable")) == ("from the layer", "from the handler")


async def test_early_hints_pass_and_what_does_not_fit_is_not_offered(tmp_path: Any) -> None:
    (tmp_path / "a").write_text("file")
    app = App(middleware=[passing])

    @app.get("/hints")
    async def hints(request: Request) -> str:
        await request.early_hints("</a.css>")
        return "x"

    @app.get("/file")
    async def file() -> FileResponse:
        return FileResponse(tmp_path / "a")

    @app.get("/trailers")
    async def trailers() -> StreamResponse:
        return StreamResponse(["a", "b"], trailers=lambda: {"x": "y"})

    names = ("early_hint", "pathsend", "trailers")
    extensions: dict[str, Any] = {f"http.response.{name}": {} for name in names}
    for target, text in (("/hints", b"x"), ("/file", b"file"), ("/trailers", b"ab")):
        server = Server(b"")
        scope = {**scope_for("GET", target), "extensions": extensions}
        await app(scope, server.receive, server.send)
        assert server.reply.body == text
        first = server.reply.messages[0]["type"]
        hint = "http.response.early_hint"
        assert first == (hint if target == "/hints" else "http.response.start")


async def test_a_response_may_be_awaited_in_another_task() -> None:
    async def layer(request: Request, call_next: Any) -> Any:
        return await asyncio.create_task(call_next(request))

    app = App(middleware=[layer])

    @app.get("/")
    async def handler() -> AsyncIterator[str]:
        for item in ("a", "b", "c"):
            await asyncio.sleep(0)
            yield item

    assert (await ask(app)).text == "abc"


async def test_an_inside_that_does_not_answer_is_an_error() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None: ...

    async def begins(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    for inner in (silent, begins):
        app = App(middleware=[passing])
        app.mount("/", inner)
        reply = await ask(app)
        assert reply.status == 500
        assert "returned without" in str(reply.error)


async def test_only_who_is_relayed_may_send_from_any_task() -> None:
    errors = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.create_task(send({"type": "http.response.start", "status": 200}))
        except UsageError as error:
            errors.append(str(error))
            raise

    class Layer:
        """Passes for one of ours, which are not relayed."""

        def __call__(self, app: Any) -> Any:
            return inner

    Layer.__module__ = "tidegate.of_a_test"
    assert (await ask(App(middleware=[passing, Layer()]))).status == 500
    assert "wrap it in relayed()" in errors[0]


async def test_what_is_no_middleware_is_an_error_at_start() -> None:
    async def three(request: Request, call_next: Any, more: Any) -> None: ...

    with pytest.raises(ConfigError, match="middleware takes"):
        App(middleware=[three]).prepare()
    with pytest.raises(ConfigError, match="cannot be called"):
        App(middleware=["x"]).prepare()  # type: ignore[list-item]


async def test_a_layer_may_be_an_object_a_partial_or_a_method() -> None:
    class Layer:
        async def __call__(self, request: Request, call_next: Any) -> Any:
            return await self.method(request, call_next)

        async def method(self, request: Request, call_next: Any) -> Any:
            response = await call_next(request)
            response.headers.add("x-a", "1")
            return response

    async def with_more(request: Request, call_next: Any, *, name: str) -> Any:
        response = await call_next(request)
        response.headers.add("x-a", name)
        return response

    layers = [Layer(), Layer().method, functools.partial(with_more, name="2")]
    app = App(middleware=layers)

    @app.get("/")
    async def handler() -> str:
        return ""

    assert (await ask(app)).header("x-a") == "2, 1, 1"


# Applications and middleware of others, which send from tasks of their own.


async def chunks() -> AsyncIterator[bytes]:
    for item in (b"a", b"b", b"c"):
        await asyncio.sleep(0)
        yield item


async def starlette_stream(request: Any) -> StarletteStream:
    return StarletteStream(chunks())


def starlette() -> Starlette:
    return Starlette(routes=[Route("/stream", starlette_stream)])


def fastapi() -> FastAPI:
    app = FastAPI()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks())

    return app


@pytest.mark.parametrize("make", [starlette, fastapi])
@pytest.mark.parametrize("place", ["mount", "fallback", "host"])
async def test_applications_of_others_stream_through_layers(make: Any, place: str) -> None:
    app = App(middleware=[passing, passing])
    target = "/stream"
    if place == "mount":
        app.mount("/inner", make())
        target = "/inner/stream"
    elif place == "fallback":
        app.fallback(make())
    else:
        app.host("a.example", make())
    server = Server(b"")
    # Below 2.4 they send from a task of their own, to hear of a disconnect.
    scope = {**scope_for("GET", target, {"host": "a.example"}), "asgi": {"spec_version": "2.3"}}
    async with app.opened():
        await app(scope, server.receive, server.send)
    assert (server.reply.status, server.reply.body) == (200, b"abc")


async def test_middleware_of_starlette_stands_between_ours() -> None:
    async def dispatch(request: Any, call_next: Any) -> Any:
        if request.url.path == "/refused":
            return PlainTextResponse("refused", 403)
        response = await call_next(request)
        response.headers["x-starlette"] = "1"
        return response

    app = App(middleware=[passing])
    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    app.add_middleware(GZipMiddleware)
    app.add_middleware(passing)

    @app.get("/stream")
    async def handler() -> AsyncIterator[bytes]:
        async for chunk in chunks():
            yield chunk

    for _ in range(3):
        reply = await ask(app, target="/stream")
        assert (reply.body, reply.header("x-starlette")) == (b"abc", "1")
    assert (await ask(app, target="/refused")).status == 403
    assert (await ask(app, target="/none")).status == 404


async def test_an_application_of_others_is_closed_when_it_is_not_wanted() -> None:
    ended = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        except OSError:
            ended.set()
            raise

    async def layer(request: Request, call_next: Any) -> Any:
        await call_next(request)
        return Response("other")

    app = App(middleware=[layer])
    app.mount("/", endless)
    before = asyncio.all_tasks()
    reply = await ask(app)
    assert (reply.text, reply.error, ended.is_set()) == ("other", None, True)
    assert asyncio.all_tasks() == before


async def test_a_relayed_application_ends_with_the_request_that_is_cancelled() -> None:
    inside = asyncio.Event()
    log = []

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        inside.set()
        try:
            await asyncio.Event().wait()
        finally:
            log.append("closed")

    app = App(middleware=[passing])
    app.mount("/", waits)
    call = asyncio.create_task(ask(app))
    await inside.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert log == ["closed"]


async def test_who_sends_after_the_end_is_told_that_nobody_listens() -> None:
    later: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        later.append(send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def layer(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app = App(middleware=[layer])
    app.fallback(relayed(inner))
    assert (await ask(app)).text == "x"
    with pytest.raises(ClientDisconnected):
        await later[-1]({"type": "http.response.body"})
