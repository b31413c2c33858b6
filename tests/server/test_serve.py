"""A server from its first connection on: what applications and clients see of it."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.server.config import Config
from tidegate.server.server import Server

from .running import Diary, running


async def test_a_request_is_answered() -> None:
    async with running(Diary()) as server:
        assert (await server.get("/hello")).body == b"/hello"


async def test_a_connection_carries_many_requests() -> None:
    async with running(Diary()) as server:
        client = await server.connect()
        for number in range(3):
            client.ask(f"/{number}")
            assert (await client.answer()).body == b"/%d" % number


async def test_many_clients_are_served_at_once() -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary) as server:
        clients = [await server.connect() for _ in range(20)]
        for number, client in enumerate(clients):
            client.ask(f"/{number}")
        while len(diary.scopes) < 20:
            await asyncio.sleep(0)
        diary.may_answer.set()
        for number, client in enumerate(clients):
            assert (await client.answer()).body == b"/%d" % number


async def test_responses_carry_date_and_server_and_the_operators_headers() -> None:
    async with running(Diary(), headers=[("X-Own", "1")]) as server:
        answer = await server.get()
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.header("date") or "")
    assert answer.header("server") == "tidegate"
    assert answer.header("x-own") == "1"


async def test_a_date_of_the_operator_is_the_only_one() -> None:
    async with running(Diary(), headers=[("Date", "today")]) as server:
        answer = await server.get()
    assert [value for name, value in answer.headers if name == "date"] == ["today"]


async def test_responses_carry_neither_date_nor_server_if_told_so() -> None:
    async with running(Diary(), date_header=False, server_header=False) as server:
        answer = await server.get()
    assert [name for name, _ in answer.headers] == ["content-length"]


async def test_the_target_may_be_named() -> None:
    async with running("tests.server.test_serve:named") as server:
        assert (await server.get()).body == b"named"


async def named(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"named"})


async def test_limits_of_the_configuration_hold() -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary, max_fields=5, limit_concurrency=1) as server:
        refused = await server.get(headers="X: y\r\n" * 10)
        assert refused.status == 431
        first = await server.connect()
        first.ask("/first")
        while not diary.scopes:
            await asyncio.sleep(0)
        busy = await server.get("/second")
        assert (busy.status, busy.header("retry-after")) == (503, "1")
        diary.may_answer.set()
        assert (await first.answer()).body == b"/first"


# Proxies and mount points.

FORWARDED = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"


@pytest.mark.parametrize("trusted", ["127.0.0.1,::1", "*", "127.0.0.0/8"])
async def test_a_proxy_that_is_trusted_says_who_the_client_is(trusted: str) -> None:
    diary = Diary()
    async with running(diary, forwarded_allow_ips=trusted) as server:
        await server.get(headers=FORWARDED)
    assert diary.scopes[0]["client"] == ("192.0.2.7", 0)
    assert diary.scopes[0]["scheme"] == "https"


@pytest.mark.parametrize(
    "settings", [{"forwarded_allow_ips": "10.0.0.1"}, {"proxy_headers": False}]
)
async def test_a_peer_that_is_not_trusted_cannot_say_who_the_client_is(
    settings: dict[str, Any],
) -> None:
    diary = Diary()
    async with running(diary, **settings) as server:
        await server.get(headers=FORWARDED)
    assert diary.scopes[0]["client"][0] == "127.0.0.1"
    assert diary.scopes[0]["scheme"] == "http"


@pytest.mark.parametrize(("mode", "asked"), [("strip", "/users"), ("keep", "/api/users")])
async def test_the_path_includes_the_mount_point_whatever_the_proxy_does(
    mode: str, asked: str
) -> None:
    diary = Diary()
    async with running(diary, root_path="/api", root_path_mode=mode) as server:
        await server.get(asked)
    (scope,) = diary.scopes
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/users")
    assert scope["raw_path"] == b"/api/users"


# The access log.


def access_lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "tidegate.access"]


async def test_a_request_is_one_line_in_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate")
    async with running(Diary()) as server:
        await server.get("/a%20b?c=d")
    (record,) = access_lines(caplog)
    assert re.fullmatch(
        r'127\.0\.0\.1:\d+ - "GET /a%20b\?c=d HTTP/1\.1" 200 \d+\.\dms 4B', record.getMessage()
    )


async def test_the_arguments_of_a_line_are_those_that_formatters_know(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tidegate")
    async with running(Diary()) as server:
        await server.get("/path?query")
    (record,) = access_lines(caplog)
    client, method, target, version, status, milliseconds, size = record.args  # type: ignore[misc]
    assert re.fullmatch(r"127\.0\.0\.1:\d+", str(client))
    assert (method, target, version, status) == ("GET", "/path?query", "1.1", 200)
    assert isinstance(milliseconds, float)
    assert size == 5


async def test_the_access_log_can_be_switched_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate")
    async with running(Diary(), access_log=False) as server:
        await server.get()
    assert access_lines(caplog) == []


# What a program that embeds a server sees.


async def test_a_server_says_where_it_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate")
    async with running(Diary()) as server:
        assert server.server.addresses == [f"http://127.0.0.1:{server.port}"]
        assert f"running on http://127.0.0.1:{server.port} (press Ctrl+C to stop)" in caplog.text


async def test_started_is_set_while_connections_are_accepted() -> None:
    async with running(Diary()) as server:
        assert server.server.started.is_set()
        await server.stop()
        assert not server.server.started.is_set()


async def test_two_servers_run_in_one_loop() -> None:
    async with running(Diary()) as first, running(Diary()) as second:
        assert first.port != second.port
        assert (await first.get("/1")).body == b"/1"
        assert (await second.get("/2")).body == b"/2"


# A number of requests, then the end.


async def test_a_server_stops_after_as_many_requests_as_it_was_told() -> None:
    diary = Diary()
    async with running(diary, limit_max_requests=3) as server:
        for number in range(3):
            assert not server.task.done()
            assert (await server.get(f"/{number}")).status == 200
        await server.task
    assert diary.entries[-1] == "shutdown"
    assert not server.server.started.is_set()


async def test_the_last_request_is_answered_and_told_that_it_is() -> None:
    async with running(Diary(), limit_max_requests=1) as server:
        client = await server.connect()
        client.ask()
        answer = await client.answer()
        assert answer.body == b"/"
        assert await client.rest() == b""
        await server.task


async def test_requests_that_wait_do_not_outlive_the_last_one() -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary, limit_max_requests=2) as server:
        first, second = await server.connect(), await server.connect()
        first.ask("/first")
        second.ask("/second")
        while server.server.started.is_set():
            await asyncio.sleep(0)
        diary.may_answer.set()
        assert (await first.answer()).body == b"/first"
        assert (await second.answer()).body == b"/second"
        await first.close()
        await second.close()
        await server.task


def test_the_number_of_requests_is_drawn_at_random_within_the_jitter() -> None:
    config = Config("a:b", limit_max_requests=10, limit_max_requests_jitter=3)
    drawn = {Server(config)._max_requests for _ in range(200)}
    assert drawn == {10, 11, 12, 13}
    assert Server(Config("a:b"))._max_requests is None
