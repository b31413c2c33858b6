"""From the wish to stop to the end: what is in progress may end, but not for ever."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Any

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.testing.peer import turns

from .running import Client, Diary, Running, running


async def begun(server: Running, diary: Diary, path: str = "/slow") -> Client:
    """Return a client whose request the application has begun to serve."""
    client = await server.connect()
    client.ask(path)
    while not any(scope["path"] == path for scope in diary.scopes):
        await asyncio.sleep(0)
    return client


def insist(times: int) -> None:
    """Press Ctrl+C."""
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)


class Lifespan:
    """The lifespan of an application whose requests are the test's business."""

    def __init__(self) -> None:
        self.shut_down = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.serve(receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.shut_down = True
        await send({"type": "lifespan.shutdown.complete"})

    async def serve(self, receive: Receive, send: Send) -> None:
        raise NotImplementedError


class Heeding(Lifespan):
    """Streams until it hears that the client has gone."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = False

    async def serve(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.heard = True


class Deaf(Lifespan):
    """Goes on whatever it is told, until the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = 0
        self.let_go = asyncio.Event()

    async def serve(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                self.cancelled += 1


async def test_idle_connections_are_closed_at_once() -> None:
    async with running(Diary(), drain_linger=0) as server:
        client, silent = await server.connect(), await server.connect()
        client.ask()
        await client.answer()
        await server.stop()
        assert await client.rest() == b""
        assert await silent.rest() == b""


async def test_nobody_can_connect_any_more() -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary) as server:
        client = await begun(server, diary)
        server.server.should_exit = True
        await turns(100)
        with pytest.raises(ConnectionRefusedError):
            await server.connect()
        diary.may_answer.set()
        await client.close()


async def test_a_request_in_progress_is_answered_and_the_connection_closed() -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary) as server:
        client = await begun(server, diary)
        server.server.should_exit = True
        await turns(100)
        diary.may_answer.set()
        answer = await client.answer()
        assert answer.body == b"/slow"
        assert answer.header("connection") == "close"
        assert await client.rest() == b""
        await client.close()
        await server.task


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_server_gracefully(signum: signal.Signals) -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary) as server:
        client = await begun(server, diary)
        os.kill(os.getpid(), signum)
        await turns(100)
        assert not server.task.done()
        diary.may_answer.set()
        assert (await client.answer()).body == b"/slow"
        await client.close()
        await server.task
    assert diary.entries[-1] == "shutdown"


async def test_what_is_waited_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate")
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary) as server:
        clients = [await begun(server, diary, path) for path in ("/1", "/2")]
        server.server.should_exit = True
        await turns(100)
        assert "Waiting up to 30 s for 2 requests to end" in caplog.text
        diary.may_answer.set()
        for client in clients:
            await client.answer()
            await client.close()
        await server.task
    assert "Stopped" in caplog.text


# The graceful time is over.


async def test_an_application_that_heeds_the_disconnect_ends_by_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    application = Heeding()
    async with running(application, timeout_graceful_shutdown=0) as server:
        client = await server.connect()
        client.ask()
        await client.reader.readuntil(b"begun")
        await server.stop()
    assert application.heard
    assert application.shut_down
    assert "After 0 s: cancelling 1 request" in caplog.text


async def test_an_application_that_does_not_heed_the_disconnect_is_cancelled() -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary, timeout_graceful_shutdown=0) as server:
        await begun(server, diary)
        await server.stop()
    assert diary.entries == ["startup", "begin /slow", "cancel /slow", "shutdown"]


async def test_an_application_that_ignores_its_cancellation_does_not_hold_the_shutdown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    application = Deaf()
    async with running(application, timeout_graceful_shutdown=0) as server:
        client = await server.connect()
        client.ask()
        await client.reader.readuntil(b"begun")
        insist(3)
        await server.task
        assert application.cancelled
        assert application.shut_down
        assert "Leaving 1 request, deaf to the cancellation" in caplog.text
        application.let_go.set()
        await turns()


async def test_who_asks_again_does_not_wait(caplog: pytest.LogCaptureFixture) -> None:
    application = Heeding()
    async with running(application) as server:
        client = await server.connect()
        client.ask()
        await client.reader.readuntil(b"begun")
        insist(1)
        await turns(100)
        assert not application.heard
        insist(1)
        await server.task
    assert application.heard
    assert application.shut_down
    assert "Asked again: cancelling 1 request" in caplog.text


async def test_sigterm_again_does_not_cut_the_graceful_time() -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary) as server:
        client = await begun(server, diary)
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            await turns(50)
        diary.may_answer.set()
        assert (await client.answer()).body == b"/slow"
        await client.close()
        await server.task


# The end of the lifespan.


async def test_a_lifespan_that_takes_too_long_to_shut_down_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    diary = Diary()
    diary.may_stop.clear()
    async with running(diary, timeout_lifespan_shutdown=0.01) as server:
        await server.stop()
    assert diary.entries == ["startup"]
    assert "Lifespan shutdown took longer than 0.01 s" in caplog.text


async def test_who_asks_again_does_not_wait_for_the_lifespan(
    caplog: pytest.LogCaptureFixture,
) -> None:
    diary = Diary()
    diary.may_stop.clear()
    async with running(diary) as server:
        server.server.should_exit = True
        await turns(100)
        assert not server.task.done()
        insist(1)
        await server.task
        await turns()
    assert diary.entries == ["startup"]
    assert "Asked again: not waiting for the lifespan shutdown" in caplog.text


async def test_a_server_that_is_cancelled_still_shuts_the_application_down() -> None:
    diary = Diary()
    async with running(diary) as server:
        server.task.cancel()
        await asyncio.wait([server.task])
        assert server.task.cancelled()
    assert diary.entries == ["startup", "shutdown"]


async def test_the_signal_handlers_of_the_program_are_put_back() -> None:
    before: list[Any] = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    async with running(Diary()) as server:
        during = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
        assert during != before
        await server.stop()
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
