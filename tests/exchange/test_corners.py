"""Rare turns of events in an exchange, a lifespan and a service."""

from __future__ import annotations

import asyncio
import logging
import os

import pytest

from tidegate.exchange.access import AccessLog
from tidegate.exchange.lifespan import Lifespan, LifespanFailed
from tidegate.exchange.out import NOWHERE
from tidegate.testing.peer import Peer, turns

from .applications import body, hello, sends, start

GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_losing_a_client_twice_is_logged_once(caplog):
    caplog.set_level(logging.INFO)
    go_on = asyncio.Event()

    async def application(scope, receive, send):
        await go_on.wait()

    peer = Peer(application, access_log=AccessLog())
    await peer.send(GET)
    exchange = peer.connection.exchange
    exchange.peer_gone()
    exchange.peer_gone()
    go_on.set()
    await turns()
    assert [record.args[4] for record in caplog.records] == [499]


async def test_losing_a_client_after_the_response_is_not_logged_again(caplog):
    caplog.set_level(logging.INFO)
    seen = []

    async def application(scope, receive, send):
        seen.append(peer.connection.exchange)
        await hello(scope, receive, send)

    peer = Peer(application, access_log=AccessLog())
    await peer.send(GET)
    seen[0].peer_gone()
    assert [record.args[4] for record in caplog.records] == [200]


async def test_content_that_arrives_as_receive_is_cancelled_is_kept():
    heard = []
    ready = asyncio.Event()
    again = asyncio.Event()
    calls = []

    async def application(scope, receive, send):
        calls.append(asyncio.ensure_future(receive()))
        ready.set()
        await again.wait()
        heard.append((await receive())["body"])
        await hello(scope, receive, send)

    peer = Peer(application)
    await peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    await ready.wait()

    def both_in_one_turn():
        calls[0].cancel()
        peer.connection.data_received(b"abc")

    asyncio.get_running_loop().call_soon(both_in_one_turn)
    await turns()
    again.set()
    await turns()
    assert heard == [b"abc"]
    assert calls[0].cancelled()


@pytest.mark.parametrize("name", [b"date", b"server"])
async def test_the_applications_own_date_or_server_replaces_ours(name):
    peer = Peer(sends(start(200, (name, b"its own")), body()))
    peer.clock.advance(0)
    response = await peer.get()
    assert [value for key, value in response.headers if key == name.decode()] == ["its own"]


@pytest.mark.parametrize(
    ("value", "closes"), [(b"close", True), (b"x, CLOSE", True), (b"keep-alive", False)]
)
async def test_the_application_may_ask_to_close(value, closes):
    peer = Peer(sends(start(200, (b"connection", value)), body()))
    response = await peer.get()
    assert (response.header("connection") == "close") is closes
    assert peer.transport.eof_written is closes


async def test_a_lifespan_that_never_started_may_be_abandoned_and_shut_down():
    lifespan = Lifespan(hello)
    lifespan.abandon()
    await lifespan.shutdown()


async def test_raising_after_startup_failed_adds_nothing(caplog):
    async def application(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "told"})
        raise RuntimeError("raised as well")

    with pytest.raises(LifespanFailed, match="told"):
        await Lifespan(application).startup()
    await turns()
    assert caplog.text == ""


async def test_who_waits_for_the_end_is_told_when_the_last_call_is_over():
    gates = {"/1": asyncio.Event(), "/2": asyncio.Event()}
    told = []

    async def application(scope, receive, send):
        await hello(scope, receive, send)
        await gates[scope["path"]].wait()

    peer = Peer(application)
    peer.service.on_change = lambda: told.append(len(peer.service.running))
    await peer.get("/1")
    await peer.get("/2")
    gates["/1"].set()
    await turns()
    assert told == []
    gates["/2"].set()
    await turns()
    assert told == [0]


async def test_what_is_sent_nowhere_is_let_go(tmp_path):
    path = tmp_path / "a"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    NOWHERE.file(descriptor, 0, 1, True)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)
    NOWHERE.informational(103, [])
    NOWHERE.trailers([])
