"""The lifespan starts before the first connection is accepted and ends after the last."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.errors import ConfigError
from tidegate.net import sockets
from tidegate.server.config import Config
from tidegate.server.server import Server, StartupFailed
from tidegate.testing.peer import turns

from .running import UNTOUCHED, Client, Diary, running


def make(application: Any, **settings: Any) -> Server:
    return Server(Config(application, **{"port": 0, "log_config": UNTOUCHED, **settings}))


async def test_no_request_is_served_before_the_startup_is_complete() -> None:
    diary = Diary()
    diary.may_start.clear()
    listener = sockets.tcp("127.0.0.1", 0, 10)
    address = listener.getsockname()
    server = make(diary)
    serving = asyncio.ensure_future(server.serve([listener]))
    client = Client(*await asyncio.open_connection(*address))
    client.ask("/early")
    await turns(100)
    assert diary.entries == []
    diary.may_start.set()
    assert (await client.answer()).body == b"/early"
    assert diary.entries == ["startup", "begin /early", "end /early"]
    await client.close()
    server.should_exit = True
    await serving
    assert diary.entries[-1] == "shutdown"


async def test_the_shutdown_comes_after_the_last_response() -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary) as server:
        client = await server.connect()
        client.ask("/slow")
        while not diary.scopes:
            await asyncio.sleep(0)
        server.server.should_exit = True
        await turns(100)
        assert diary.entries == ["startup", "begin /slow"]
        diary.may_answer.set()
        assert (await client.answer()).body == b"/slow"
        await client.close()
        await server.task
    assert diary.entries == ["startup", "begin /slow", "end /slow", "shutdown"]


async def test_what_the_lifespan_puts_into_the_state_every_request_gets_as_a_copy() -> None:
    states = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["shared"] = "from the lifespan"
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        states.append(dict(scope["state"]))
        scope["state"]["own"] = True
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async with running(application) as server:
        await server.get()
        await server.get()
    assert states == [{"shared": "from the lifespan"}] * 2


# Startup that fails.


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def raising(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise ValueError("what is a lifespan?")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"without"})


async def returning(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await raising(scope, receive, send)


@pytest.mark.parametrize("mode", ["auto", "on"])
async def test_an_application_that_refuses_to_start_is_not_served(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StartupFailed, match="no database"):
        await make(failing, lifespan=mode).serve()
    assert "The application did not start: no database" in caplog.text


async def test_an_application_that_takes_too_long_to_start_is_not_served() -> None:
    diary = Diary()
    diary.may_start.clear()
    with pytest.raises(StartupFailed, match=r"lifespan startup took longer than 0\.01 s"):
        await make(diary, timeout_lifespan_startup=0.01).serve()
    assert diary.entries == []


@pytest.mark.parametrize("application", [raising, returning])
async def test_an_application_without_a_lifespan_is_served(application: Any) -> None:
    async with running(application) as server:
        assert (await server.get()).body == b"without"


async def test_an_application_without_a_lifespan_is_not_served_if_it_must_have_one() -> None:
    with pytest.raises(StartupFailed, match="what is a lifespan"):
        await make(raising, lifespan="on").serve()


async def test_an_application_is_not_asked_for_its_lifespan_if_that_is_off() -> None:
    diary = Diary()
    async with running(diary, lifespan="off") as server:
        await server.get()
    assert diary.entries == ["begin /", "end /"]


async def test_a_port_in_use_does_not_cost_a_start_of_the_application() -> None:
    diary = Diary()
    with sockets.tcp("127.0.0.1", 0, 10) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
            await make(diary, port=port).serve()
    assert diary.entries == []


async def test_a_socket_that_cannot_be_served_does_not_leave_the_lifespan_running() -> None:
    diary = Diary()
    listener = sockets.tcp("127.0.0.1", 0, 10)
    listener.close()
    with pytest.raises((OSError, ValueError)):
        await make(diary).serve([listener])
    assert diary.entries == [] or diary.entries == ["startup", "shutdown"]


# An application that cannot be loaded.


async def test_a_target_that_is_not_there_is_the_operators_to_correct() -> None:
    with pytest.raises(ConfigError, match="there is no module 'no_such_module'"):
        await make("no_such_module:app").serve()


async def test_an_application_that_fails_to_load_is_logged_without_our_own_frames(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "fails_to_load.py").write_text("def inner():\n    1 / 0\ninner()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StartupFailed, match="'fails_to_load:app' cannot be loaded: ZeroDivision"):
        await make("fails_to_load:app").serve()
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    text = caplog.handler.format(record)
    assert text.count('  File "') == 2
    assert "in inner" in text
    assert text.endswith("ZeroDivisionError: division by zero")


async def test_a_factory_that_fails_is_a_startup_that_failed() -> None:
    def factory() -> Any:
        raise ZeroDivisionError

    with pytest.raises(StartupFailed, match="ZeroDivisionError"):
        await make(factory, factory=True).serve()


# Being asked to stop early.


async def test_a_server_that_was_asked_to_stop_before_it_served_does_not_serve() -> None:
    diary = Diary()
    server = make(diary)
    server.should_exit = True
    async with asyncio.timeout(5):
        await server.serve()
    assert server.should_exit
    assert diary.scopes == []


async def test_a_startup_that_takes_its_time_can_be_stopped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tidegate")
    diary = Diary()
    diary.may_start.clear()
    server = make(diary)
    serving = asyncio.ensure_future(server.serve())
    await turns()
    server.should_exit = True
    async with asyncio.timeout(5):
        await serving
    await turns()
    assert diary.entries == []
    assert "Stopped before the application had started" in caplog.text


async def test_another_thread_may_stop_the_server() -> None:
    async with running(Diary()) as server:
        thread = threading.Thread(target=setattr, args=(server.server, "should_exit", True))
        thread.start()
        await server.task
        thread.join()


async def test_taking_the_wish_to_stop_back_has_no_effect() -> None:
    async with running(Diary()) as server:
        server.server.should_exit = False
        assert (await server.get()).status == 200
