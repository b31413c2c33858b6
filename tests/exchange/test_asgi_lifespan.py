"""Items 85 to 94 of the ASGI checklist: startup and shutdown."""

from __future__ import annotations

import asyncio
import logging
import signal

import pytest

from tidegate.errors import AppError
from tidegate.exchange.lifespan import Lifespan, LifespanFailed
from tidegate.server.config import Config
from tidegate.server.server import Server, StartupFailed
from tidegate.testing.peer import turns

from .applications import body, hello, start

STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


class Application:
    """Speaks lifespan as told, and keeps what happened in order."""

    def __init__(self, startup=STARTED, shutdown=STOPPED) -> None:
        self.startup = startup
        self.shutdown = shutdown
        self.log: list[str] = []
        self.scopes: list[dict] = []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            self.log.append("request")
            await hello(scope, receive, send)
            return
        self.scopes.append(scope)
        for reply in (self.startup, self.shutdown):
            self.log.append((await receive())["type"])
            if reply is None:
                await asyncio.Event().wait()
            await send(reply)


async def serving(server: Server) -> asyncio.Task[None]:
    task = asyncio.create_task(server.serve())
    await asyncio.wait(
        [task, asyncio.create_task(server.started.wait())], return_when="FIRST_COMPLETED"
    )
    return task


async def fetch(
    server: Server, request: bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
) -> bytes:
    host, port = server.addresses[0].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_85_lifespan_runs_once_for_a_server():
    application = Application()
    server = Server(Config(application, port=0))
    task = await serving(server)
    await fetch(server)
    await fetch(server)
    server.should_exit = True
    await task
    assert application.log == ["lifespan.startup", "request", "request", "lifespan.shutdown"]


async def test_86_the_scope_of_lifespan():
    application = Application()
    lifespan = Lifespan(application)
    await lifespan.startup()
    await lifespan.shutdown()
    assert application.scopes == [
        {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    ]


async def test_87_an_application_without_lifespan_is_served(caplog):
    async def application(scope, receive, send):
        if scope["type"] != "http":
            raise TypeError("only http")
        await hello(scope, receive, send)

    caplog.set_level(logging.INFO)
    server = Server(Config(application, port=0))
    task = await serving(server)
    assert (await fetch(server)).endswith(b"hello")
    server.should_exit = True
    await task


async def test_87_an_application_that_returns_at_once_is_served():
    async def application(scope, receive, send):
        return

    lifespan = Lifespan(application)
    await lifespan.startup()
    await lifespan.shutdown()


async def test_87_in_mode_on_the_application_must_speak_lifespan(caplog):
    async def application(scope, receive, send):
        raise TypeError("only http")

    with pytest.raises(LifespanFailed, match="only http"):
        await Lifespan(application, "on").startup()
    assert "TypeError: only http" in caplog.text


async def test_87_in_mode_off_the_application_is_not_called():
    lifespan = Lifespan(Application(startup=None), "off")
    await lifespan.startup()
    await lifespan.shutdown()


async def test_88_no_connection_is_accepted_before_startup_is_complete():
    ready = asyncio.Event()

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await ready.wait()
            await send(STARTED)
            await receive()
            await send(STOPPED)
            return
        await hello(scope, receive, send)

    server = Server(Config(application, port=0))
    task = asyncio.create_task(server.serve())
    await turns(20)
    assert not server.started.is_set()
    ready.set()
    await server.started.wait()
    assert (await fetch(server)).endswith(b"hello")
    server.should_exit = True
    await task


async def test_89_a_failed_startup_is_logged_and_ends_the_server(caplog):
    application = Application({"type": "lifespan.startup.failed", "message": "no database"})
    with pytest.raises(StartupFailed, match="no database"):
        await Server(Config(application, port=0)).serve()


async def test_89_a_failed_startup_needs_no_reason():
    application = Application({"type": "lifespan.startup.failed"})
    with pytest.raises(LifespanFailed, match="gave no reason"):
        await Lifespan(application).startup()


async def test_90_shutdown_comes_after_the_last_request():
    go_on = asyncio.Event()
    log = []

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send(STARTED)
            await receive()
            log.append("shutdown")
            await send(STOPPED)
            return
        await send(start())
        await send(body(b"first", True))
        begun.set()
        await go_on.wait()
        await send(body(b"last"))
        log.append("request")

    begun = asyncio.Event()
    server = Server(Config(application, port=0))
    task = await serving(server)
    request = asyncio.create_task(fetch(server))
    await begun.wait()
    server.should_exit = True
    await turns(20)
    assert log == []
    go_on.set()
    assert b"last" in await request
    await task
    assert log == ["request", "shutdown"]


async def test_91_shutdown_is_waited_for():
    go_on = asyncio.Event()

    async def application(scope, receive, send):
        await receive()
        await send(STARTED)
        await receive()
        await go_on.wait()
        await send(STOPPED)

    lifespan = Lifespan(application)
    await lifespan.startup()
    stopping = asyncio.create_task(lifespan.shutdown())
    await turns()
    assert not stopping.done()
    go_on.set()
    await stopping


async def test_91_a_failed_shutdown_is_logged(caplog):
    lifespan = Lifespan(
        Application(shutdown={"type": "lifespan.shutdown.failed", "message": "still busy"})
    )
    await lifespan.startup()
    await lifespan.shutdown()
    assert "still busy" in caplog.text


@pytest.mark.parametrize("when", ["serving", "shutdown"])
async def test_91_an_exception_after_startup_is_logged_once(when, caplog):
    async def application(scope, receive, send):
        await receive()
        await send(STARTED)
        if when == "shutdown":
            await receive()
        raise ValueError("too late")

    lifespan = Lifespan(application)
    await lifespan.startup()
    await turns()
    await lifespan.shutdown()
    assert caplog.text.count("ValueError: too late") == 1


async def test_92_state_is_the_applications_own():
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["pool"] = "a pool"
            await send(STARTED)
            await receive()
            await send(STOPPED)
            return
        await send(start())
        await send(body(scope["state"]["pool"].encode()))
        scope["state"]["pool"] = "changed by a request"

    server = Server(Config(application, port=0))
    task = await serving(server)
    assert (await fetch(server)).endswith(b"a pool")
    assert (await fetch(server)).endswith(b"a pool")
    server.should_exit = True
    await task


async def test_93_startup_may_take_only_so_long():
    with pytest.raises(LifespanFailed, match=r"longer than 0\.01 s"):
        await Lifespan(Application(startup=None)).startup(0.01)


async def test_93_shutdown_may_take_only_so_long(caplog):
    lifespan = Lifespan(Application(shutdown=None))
    await lifespan.startup()
    await lifespan.shutdown(0.01)
    assert "longer than 0.01 s" in caplog.text


async def test_94_a_signal_ends_a_hanging_startup():
    application = Application(startup=None)
    task = asyncio.create_task(Server(Config(application, port=0)).serve())
    while not application.log:
        await asyncio.sleep(0)
    signal.raise_signal(signal.SIGINT)
    await task
    assert application.log == ["lifespan.startup"]


async def test_94_a_further_signal_ends_a_hanging_shutdown():
    application = Application(shutdown=None)
    server = Server(Config(application, port=0))
    task = await serving(server)
    signal.raise_signal(signal.SIGINT)
    while application.log[-1] != "lifespan.shutdown":
        await asyncio.sleep(0)
    await turns()
    assert not task.done()
    signal.raise_signal(signal.SIGINT)
    await task


@pytest.mark.parametrize(
    "message", [STOPPED, {"type": "lifespan.nonsense"}, {"type": "lifespan.shutdown.failed"}]
)
async def test_a_message_out_of_place_raises(message):
    raised = []

    async def application(scope, receive, send):
        await receive()
        await send(STARTED)
        try:
            await send(STARTED)
        except AppError as error:
            raised.append(error)
        if message["type"] == "lifespan.nonsense":
            try:
                await send(message)
            except AppError as error:
                raised.append(error)

    lifespan = Lifespan(application)
    await lifespan.startup()
    await turns()
    await lifespan.shutdown()
    assert raised
