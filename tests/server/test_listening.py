"""Where a server listens, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.net import sockets
from tidegate.server.config import Config
from tidegate.server.listening import listen
from tidegate.server.server import Server
from tidegate.testing.peer import Response

from .running import UNTOUCHED, Client, Diary, running

LAST = b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place for a Unix socket, which must be short."""
    monkeypatch.chdir(tmp_path)
    return "server.sock"


async def ask(path: str) -> Response:
    client = Client(*await asyncio.open_unix_connection(path))
    client.writer.write(LAST)
    answer = Response(await client.rest())
    await client.close()
    return answer


async def test_a_server_listens_on_a_unix_socket_and_removes_it(path: str) -> None:
    diary = Diary()
    async with running(diary, uds=path) as server:
        assert server.server.addresses == [f"unix:{path}"]
        assert (await ask(path)).body == b"/hello"
    assert not Path(path).exists()
    assert diary.scopes[0]["client"] is None
    assert diary.scopes[0]["server"] == (path, None)


async def test_the_peer_of_a_unix_socket_is_trusted_if_it_is_listed(path: str) -> None:
    diary = Diary()
    async with running(diary, uds=path, forwarded_allow_ips="unix"):
        client = Client(*await asyncio.open_unix_connection(path))
        client.writer.write(LAST.replace(b"Host", b"X-Forwarded-For: 192.0.2.7\r\nHost"))
        await client.rest()
        await client.close()
    assert diary.scopes[0]["client"] == ("192.0.2.7", 0)


async def test_a_unix_socket_that_is_gone_already_is_no_failure(path: str) -> None:
    async with running(Diary(), uds=path) as server:
        os.unlink(path)
        await server.stop()


async def test_a_unix_socket_is_removed_when_the_application_does_not_start(path: str) -> None:
    diary = Diary()
    diary.may_start.clear()
    with pytest.raises(Exception, match="lifespan startup took longer"):
        async with running(diary, uds=path, timeout_lifespan_startup=0.01):
            pytest.fail("it started")
    assert not Path(path).exists()


async def test_a_server_listens_on_an_inherited_descriptor_and_leaves_it_open() -> None:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port = opened.getsockname()[1]
        async with running(Diary(), fd=opened.fileno()) as server:
            assert server.port == port
            assert (await server.get("/hello")).body == b"/hello"
        os.fstat(opened.fileno())


async def test_a_server_listens_on_several_sockets_it_is_given() -> None:
    listeners = [sockets.tcp("127.0.0.1", 0, 10) for _ in range(2)]
    config = Config(Diary(), log_config=UNTOUCHED)
    server = Server(config)
    serving = asyncio.ensure_future(server.serve(listeners))
    await server.started.wait()
    assert len(server.addresses) == 2
    for address in [listener.getsockname() for listener in listeners]:
        client = Client(*await asyncio.open_connection(*address))
        client.writer.write(LAST)
        assert Response(await client.rest()).body == b"/hello"
        await client.close()
    server.should_exit = True
    await serving


async def test_sockets_that_were_given_are_not_announced(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tidegate")
    server = Server(Config(Diary(), log_config=UNTOUCHED))
    serving = asyncio.ensure_future(server.serve([sockets.tcp("127.0.0.1", 0, 10)]))
    await server.started.wait()
    server.should_exit = True
    await serving
    assert "running on" not in caplog.text


async def test_a_descriptor_that_is_no_socket_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(ConfigError, match="is not a socket"):
        await Server(Config(Diary(), fd=file.fileno(), log_config=UNTOUCHED)).serve()


def test_one_place_to_listen_on_is_opened(path: str) -> None:
    (listener,) = listen(Config("a:b", port=0))
    with listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    (listener,) = listen(Config("a:b", uds=path))
    with listener:
        assert listener.getsockname() == path
