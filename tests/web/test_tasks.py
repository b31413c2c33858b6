"""Work that outlives a request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.web.driver import Server, ask, scope_for

from tidegate import App, Problem, Tasks


async def test_tasks_begin_when_the_response_has_been_sent() -> None:
    app = App()
    log: list[str] = []

    async def job() -> None:
        log.append("job")

    @app.get("/whole")
    async def whole(tasks: Tasks) -> str:
        tasks.add(job)
        assert len(tasks) == 1
        return ""

    @app.get("/stream")
    async def stream(tasks: Tasks) -> AsyncIterator[str]:
        tasks.add(job)
        await asyncio.sleep(0)
        yield "a"

    for target in ("/whole", "/stream"):
        server = Server(b"")

        async def send(message: Any, server: Server = server) -> None:
            await server.send(message)
            await asyncio.sleep(0)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                log.append("sent")

        await app(scope_for("GET", target), server.receive, send)
        await app.supervisor.drain(30)
    assert log == ["sent", "job"] * 2


async def test_tasks_do_not_begin_after_an_error() -> None:
    app = App()
    log: list[str] = []

    @app.get("/{kind}")
    async def handler(kind: str, tasks: Tasks) -> str:
        tasks.add(log.append, "job")
        raise {"problem": Problem(409), "error": ValueError("x")}[kind]

    await ask(app, target="/problem")
    await ask(app, target="/error")
    await app.supervisor.drain(30)
    assert log == []


async def test_functions_of_all_kinds_are_run() -> None:
    app = App()
    log: list[Any] = []

    async def coroutine(word: str, *, more: str) -> None:
        log.append(word + more)

    def plain() -> None:
        log.append(threading.current_thread() is threading.main_thread())

    @app.get("/")
    async def handler(tasks: Tasks) -> str:
        tasks.add(coroutine, "a", more="b")
        tasks.add(plain)
        tasks.add(lambda: coroutine("c", more="d"))
        return ""

    await ask(app)
    await app.supervisor.drain(30)
    assert sorted(log, key=str) == [False, "ab", "cd"]


async def test_a_task_may_add_another_and_both_are_waited_for() -> None:
    app = App()
    log: list[str] = []

    async def second() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        log.append("second")

    async def first(tasks: Tasks) -> None:
        await asyncio.sleep(0)
        tasks.add(second)
        log.append("first")

    @app.get("/")
    async def handler(tasks: Tasks) -> str:
        tasks.add(first, tasks)
        return ""

    async with app.opened():
        await ask(app)
    assert log == ["first", "second"]
    assert not app.supervisor.running


async def test_tasks_that_take_too_long_at_shutdown_are_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    app.drain_timeout = 0.0
    go_on = threading.Event()
    log: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("closed")

    @app.get("/")
    async def handler(tasks: Tasks) -> str:
        tasks.add(endless)
        tasks.add(go_on.wait, 50)
        return ""

    async with asyncio.timeout(30):
        async with app.opened():
            await ask(app)
            for _ in range(3):
                await asyncio.sleep(0)
    go_on.set()
    assert log == ["closed"]
    assert "endless was cancelled" in caplog.text
    assert not app.supervisor.running


async def test_no_task_ends_because_the_client_left() -> None:
    app = App()
    done = asyncio.Event()
    go_on = asyncio.Event()

    async def job() -> None:
        await go_on.wait()
        done.set()

    @app.get("/")
    async def handler(tasks: Tasks) -> str:
        tasks.add(job)
        return ""

    server = Server(b"")
    call = asyncio.create_task(app(scope_for("GET", "/"), server.receive, server.send))
    await call
    server.leave()
    go_on.set()
    await asyncio.wait_for(done.wait(), 30)
