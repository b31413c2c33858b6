"""Who has left is cancelled, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.web.driver import Server, ask, scope_for

from tidegate import App, Request
from tidegate.web.watch import Watch


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


def quick(**options: Any) -> App:
    app = App(**options)
    app.execution.watch.seconds = 0.0
    return app


def begin(app: App, server: Server, method: str = "GET", **headers: str) -> asyncio.Task[None]:
    scope = scope_for(method, "/", {k.replace("_", "-"): v for k, v in headers.items()})
    return asyncio.create_task(app(scope, server.receive, server.send))


async def test_only_the_request_whose_client_left_is_cancelled() -> None:
    app = quick()
    go_on = asyncio.Event()

    @app.get("/")
    async def handler() -> str:
        await go_on.wait()
        return "done"

    stays, leaves = Server(b""), Server(b"")
    calls = [begin(app, stays), begin(app, leaves)]
    await until(lambda: len(app.execution.watch._old) == 2)
    leaves.leave()
    await calls[1]
    go_on.set()
    await calls[0]
    assert (stays.reply.text, leaves.reply.status) == ("done", 0)


async def test_nothing_is_left_behind() -> None:
    app = quick()

    @app.get("/")
    async def handler(steps: int) -> str:
        for _ in range(steps):
            await asyncio.sleep(0)
        return ""

    before = asyncio.all_tasks()
    for steps in (0, 1, 5, 50):
        await ask(app, target=f"/?steps={steps}")
    watch = app.execution.watch
    await until(lambda: watch._timer is None)
    await until(lambda: asyncio.all_tasks() == before)
    assert not [*watch._young, *watch._old, *watch._left]


async def test_a_quick_request_is_not_asked_about() -> None:
    app = App()
    server = Server(b"")

    @app.get("/")
    async def handler() -> str:
        return ""

    await begin(app, server)
    assert server.received == 0


async def test_no_content_is_taken_from_a_handler_that_reads() -> None:
    app = quick()

    @app.post("/", cancel_on_disconnect=True)
    async def handler(request: Request) -> list[bytes]:
        return [piece async for piece in request.stream()]

    server = Server()
    call = begin(app, server, "POST", content_length="2")
    for more in (True, False):
        for _ in range(20):
            await asyncio.sleep(0)
        server.incoming.put_nowait({"type": "http.request", "body": b"x", "more_body": more})
    await call
    assert server.reply.json == ["x", "x"] or server.reply.status == 200


async def test_a_handler_that_has_read_is_cancelled_if_its_route_says_so() -> None:
    app = quick()
    log = []

    @app.post("/", cancel_on_disconnect=True)
    async def handler(request: Request) -> str:
        for _ in range(20):
            await asyncio.sleep(0)
        await request.body()
        try:
            await asyncio.Event().wait()
        finally:
            log.append("closed")
        return ""

    server = Server(b"x")
    call = begin(app, server, "POST", content_length="1")
    for _ in range(20):
        await asyncio.sleep(0)
    server.leave()
    await asyncio.wait_for(call, 30)
    assert (log, server.reply.status) == (["closed"], 0)


async def test_a_handler_may_ask_for_itself() -> None:
    app = quick()
    seen = []

    @app.get("/")
    async def handler(request: Request) -> str:
        for _ in range(20):
            await asyncio.sleep(0)
        seen.append(await request.is_disconnected())
        return ""

    await begin(app, Server(b""))
    assert seen == [False]


async def test_a_stream_ends_when_its_client_leaves() -> None:
    app = quick()
    inside = asyncio.Event()
    log = []

    @app.get("/")
    async def handler() -> AsyncIterator[str]:
        try:
            for _ in range(20):
                await asyncio.sleep(0)
            yield "a"
            inside.set()
            await asyncio.Event().wait()
        finally:
            log.append("closed")

    server = Server(b"")
    call = begin(app, server)
    await inside.wait()
    server.leave()
    await asyncio.wait_for(call, 30)
    assert log == ["closed"]


async def test_a_cancellation_by_the_server_is_one() -> None:
    app = quick()
    inside = asyncio.Event()

    @app.get("/")
    async def handler() -> str:
        inside.set()
        await asyncio.Event().wait()
        return ""

    call = begin(app, Server(b""))
    await inside.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def test_outside_of_a_task_there_is_nobody_to_cancel() -> None:
    async def nobody() -> None: ...

    watch = Watch()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        ran = loop.create_future()

        def outside() -> None:
            watch.add(Request(scope_for("GET", "/"), nobody, nobody))  # type: ignore[arg-type]
            ran.set_result(None)

        loop.call_soon(outside)
        await ran

    asyncio.run(run())
    assert not watch._young
