"""From HTTP to HTTPS: the listener in clear, and what browsers are told."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.authority import Files, authority

from tidegate.errors import ConfigError
from tidegate.server.config import Config
from tidegate.testing.peer import Response

from .running import Client, Diary, Running, running


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return authority().issue(tmp_path)


def clear_port(at: Running) -> int:
    return int(at.server.servers[-1].sockets[0].getsockname()[1])  # type: ignore[attr-defined]


async def in_clear(at: Running) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", clear_port(at)))
    at.clients.append(client)
    return client


async def answer(at: Running, request: str) -> Response:
    client = await in_clear(at)
    client.writer.write(request.encode())
    return await client.answer()


def settings(files: Files, **more: Any) -> dict[str, Any]:
    return {"http_redirect": "127.0.0.1:0", "access_log": False, **files.settings, **more}


async def test_a_request_in_clear_is_sent_to_https(files: Files) -> None:
    diary = Diary()
    async with running(diary, **settings(files)) as at:
        told = await answer(at, "GET /a%20b?c=d HTTP/1.1\r\nHost: shop.example:80\r\n\r\n")
        assert told.status == 308
        assert told.header("location") == f"https://shop.example:{at.port}/a%20b?c=d"
        assert told.header("date")
        assert told.header("strict-transport-security") is None
    assert diary.scopes == []


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "https://a/"),
        ("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "https://a/x"),
        ("GET //evil.example HTTP/1.1\r\nHost: a\r\n\r\n", "https://a//evil.example"),
        ("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "https://b/x"),
        ("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "https://[::1]/"),
        (
            "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            "https://a/ws",
        ),
        ("GET / HTTP/1.0\r\n\r\n", None),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", None),
    ],
)
async def test_where_to(files: Files, request_: str, place: str | None) -> None:
    more = {"http_redirect_to": 443, "date_header": False, "root_path": "/mounted"}
    async with running(Diary(), **settings(files, **more)) as at:
        told = await answer(at, request_)
        assert (told.status, told.header("location")) == (308 if place else 400, place)
        assert told.header("date") is None


async def test_connections_in_clear_are_kept_and_drained_as_others(files: Files) -> None:
    async with running(Diary(), **settings(files)) as at:
        client = await in_clear(at)
        for _ in range(2):
            client.ask()
            assert (await client.answer()).status == 308
        assert at.server.worker is not None
        assert len(at.server.worker.connections) == 1
        await at.stop()
        assert await client.rest() == b""


async def test_a_proxy_header_comes_first_there_too(files: Files) -> None:
    async with running(Diary(), **settings(files, proxy_protocol=True)) as at:
        told = await answer(at, "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert told.status == 308


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"hsts": 300}, "max-age=300"),
        ({"hsts": 0}, "max-age=0"),
        ({"hsts": 31536000, "hsts_subdomains": True}, "max-age=31536000; includeSubDomains"),
        ({}, None),
    ],
)
async def test_browsers_are_told_to_stay(
    files: Files, given: dict[str, Any], value: str | None
) -> None:
    async with running(Diary(), access_log=False, **files.settings, **given) as at:
        client = Client(
            *await asyncio.open_connection(
                "127.0.0.1", at.port, ssl=authority().context(), server_hostname="localhost"
            )
        )
        at.clients.append(client)
        client.ask()
        assert (await client.answer()).header("strict-transport-security") == value


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"http_redirect": "80"}, "needs ssl_certfile"),
        ({"hsts": 1}, "needs ssl_certfile"),
        ({"http_redirect": "host", "ssl_certfile": "c"}, "PORT or HOST:PORT, not 'host'"),
        ({"http_redirect": "a:70000", "ssl_certfile": "c"}, "PORT or HOST:PORT"),
        ({"http_redirect_to": 443, "ssl_certfile": "c"}, "needs http_redirect"),
        ({"hsts_subdomains": True, "ssl_certfile": "c"}, "needs hsts"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config("m:a", **given)


def test_the_host_of_the_redirect_is_ours_unless_it_is_said() -> None:
    for text, place in (("80", ("me", 80)), ("[::1]:81", ("::1", 81)), (":0", ("me", 0))):
        config = Config("m:a", ssl_certfile="c", http_redirect=text)
        assert config.redirect_address("me") == place


async def test_a_taken_port_in_clear_leaves_the_other_free(files: Files) -> None:
    async with running(Diary(), **settings(files)) as at:
        taken = f"127.0.0.1:{clear_port(at)}"
        with pytest.raises(ConfigError, match="in use"):
            async with running(Diary(), **settings(files, http_redirect=taken)):
                pass


# SIGHUP.


async def test_sighup_reads_the_certificates_again(files: Files, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGHUP)
    async with running(Diary(), access_log=False, **files.settings) as at:
        assert at.server.certificates is not None
        old = at.server.certificates.context
        other = authority().issue(tmp_path, name="other")
        os.replace(other.certfile, files.certfile)
        os.replace(other.keyfile, files.keyfile)
        os.kill(os.getpid(), signal.SIGHUP)
        while at.server.certificates.context is old:
            await asyncio.sleep(0)
    assert signal.getsignal(signal.SIGHUP) is before


async def test_a_program_that_uses_sighup_keeps_it(files: Files) -> None:
    def own(*_: object) -> None: ...

    before = signal.signal(signal.SIGHUP, own)
    try:
        async with running(Diary(), **files.settings):
            assert signal.getsignal(signal.SIGHUP) is own
    finally:
        signal.signal(signal.SIGHUP, before)
