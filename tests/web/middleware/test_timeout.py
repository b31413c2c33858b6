"""Requests that take too long.

The applications wait for what never comes, so nothing here depends on how long
the limit is: it is short, and nothing else can end the test.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from tidegate.testing.peer import Peer
from tidegate.web.middleware import Timeout

from .driver import Recorder, ask, page, shake

SOON = 0.01


def stuck(*messages):
    """Sends these, and then waits until it is cancelled; ``ended`` says by what."""

    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            app.ended.append(type(error))
            raise

    app.ended = []
    return app


START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"a", "more_body": True}


async def test_a_response_in_time_is_sent():
    app = Recorder(page(b"a", b"b"))
    assert (await ask(Timeout(60)(app))).chunks == [b"a", b"b"]


async def test_an_application_that_does_not_respond_is_cancelled_and_504_sent():
    app = stuck()
    answer = await ask(Timeout(SOON, retry_after=7)(app))
    assert app.ended == [asyncio.CancelledError]
    assert (answer.status, answer["retry-after"]) == (504, "7")
    assert answer["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["detail"] == "no response within 0.01 s"


async def test_nothing_is_said_of_when_to_come_back_unless_told():
    assert (await ask(Timeout(SOON)(stuck())))["retry-after"] is None
    assert (await ask(Timeout(SOON, retry_after=0)(stuck())))["retry-after"] == "0"


async def test_a_response_that_does_not_end_is_broken_off():
    app = stuck(START, PART)
    with pytest.raises(TimeoutError, match=r"GET /a took more than 0\.01 s"):
        await ask(Timeout(SOON)(app), "/a")
    assert app.ended == [asyncio.CancelledError]


async def test_over_a_connection_nobody_takes_it_for_whole(caplog, monkeypatch):
    peer = Peer(Timeout(SOON)(stuck(START, PART)))
    closed = asyncio.Event()
    lost = type(peer.connection).connection_lost

    def connection_lost(connection, error):
        lost(connection, error)
        closed.set()

    monkeypatch.setattr(type(peer.connection), "connection_lost", connection_lost)
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.wait_for(closed.wait(), 30)
    assert peer.transport.output.endswith(b"1\r\na\r\n")
    assert "TimeoutError" in caplog.text


async def test_the_application_may_time_out_by_itself():
    async def app(scope, receive, send):
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await ask(Timeout(60)(app))


async def test_a_timeout_within_the_application_is_its_own_business():
    async def app(scope, receive, send):
        try:
            async with asyncio.timeout(SOON):
                await asyncio.Event().wait()
        except TimeoutError:
            await page(b"late")(scope, receive, send)

    assert (await ask(Timeout(60)(app))).body == b"late"


async def test_a_cancelled_request_is_cancelled():
    app = stuck()
    task = asyncio.ensure_future(ask(Timeout(60)(app)))
    while not task.cancelled():
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert app.ended in ([], [asyncio.CancelledError])


async def test_a_stream_that_has_begun_may_last():
    moments = []

    async def app(scope, receive, send):
        await send(START)
        try:
            # The limit would strike here.
            async with asyncio.timeout(SOON * 5):
                await asyncio.Event().wait()
        except TimeoutError:
            moments.append("later")
        await send({"type": "http.response.body", "body": b"end"})

    answer = await ask(Timeout(SOON, until="start")(app))
    assert (answer.body, moments) == (b"end", ["later"])


async def test_a_stream_that_does_not_begin_gets_504():
    assert (await ask(Timeout(SOON, until="start")(stuck()))).status == 504


async def test_an_application_that_answers_while_it_is_cancelled_has_answered():
    async def app(scope, receive, send):
        try:
            await asyncio.Event().wait()
        finally:
            await page(b"late")(scope, receive, send)

    with pytest.raises(TimeoutError):
        await ask(Timeout(SOON, until="start")(app))


async def test_sockets_are_not_limited():
    async def app(scope, receive, send):
        try:
            async with asyncio.timeout(SOON * 5):
                await asyncio.Event().wait()
        except TimeoutError:
            await page()(scope, receive, send)

    assert await shake(Timeout(SOON)(app)) == [{"type": "websocket.accept"}]
