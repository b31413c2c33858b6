"""HTTP/3 in the configuration and at start-up: what it needs, and where it listens."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from tests.authority import Files, authority

from tidegate.errors import ConfigError
from tidegate.net import sockets
from tidegate.server import checks
from tidegate.server.accounts import make_folder, relays_of
from tidegate.server.config import Config
from tidegate.server.listening import datagrams

from .running import Diary, running


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return authority().issue(tmp_path)


def complaint(**settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Config("a:b", http3=True, **settings)
    return str(caught.value)


def test_it_needs_a_certificate() -> None:
    assert "http3 is for TLS, which needs ssl_certfile" in complaint()


def test_it_cannot_ask_clients_for_certificates(files: Files) -> None:
    wanted = {"ssl_ca_certs": files.certfile, "ssl_cert_reqs": "optional"}
    assert "ssl_cert_reqs" in complaint(**files.settings, **wanted)


def test_it_has_no_proxy_header(files: Files) -> None:
    assert "proxy_protocol" in complaint(**files.settings, proxy_protocol=True)


def test_it_needs_a_package(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert "pip install 'tidegate[http3]'" in complaint(**files.settings)


def test_it_listens_where_tls_does(files: Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Config("a:b", http3=True, **files.settings)
        (opened,) = datagrams(config, [listener])
        with opened:
            assert opened.getsockname() == listener.getsockname()
            with pytest.raises(ConfigError, match=r"\(UDP\): the address is already in use"):
                datagrams(config, [listener])
        assert datagrams(Config("a:b", **files.settings), [listener]) == []


def test_workers_share_the_place(files: Files) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        sockets.udp(listener, shared=True) as one,
        sockets.udp(listener, shared=True) as two,
    ):
        assert one.getsockname() == two.getsockname()


def test_it_listens_on_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("there is no IPv6")
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as listener,
        sockets.udp(listener) as opened,
    ):
        assert opened.family == socket.AF_INET6
        assert opened.getsockname() == listener.getsockname()


def test_a_place_that_is_taken_opens_none(files: Files) -> None:
    config = Config("a:b", http3=True, **files.settings)
    with (
        socket.create_server(("127.0.0.1", 0)) as free,
        socket.create_server(("127.0.0.1", 0)) as taken,
        sockets.udp(taken),
    ):
        with pytest.raises(ConfigError):
            datagrams(config, [free, taken])
        sockets.udp(free).close()


def test_unix_sockets_are_no_place_for_it(files: Files, tmp_path: Path) -> None:
    with sockets.unix(str(tmp_path / "s"), 1) as listener:
        config = Config("a:b", http3=True, **files.settings)
        with pytest.raises(ConfigError, match="only Unix sockets"):
            datagrams(config, [listener])


def test_workers_have_a_folder_of_their_own(files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "supervisor"
    folder.mkdir()
    make_folder(Config("a:b", http3=True, **files.settings), folder)
    assert relays_of(folder).stat().st_mode & 0o777 == 0o700


def test_the_folder_is_the_users_who_serves(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Path, int, int]] = []
    monkeypatch.setattr("os.chown", lambda *arguments: given.append(arguments))
    make_folder(Config("a:b", http3=True, user="0", group="0", **files.settings), tmp_path)
    assert given == [(relays_of(tmp_path), 0, 0)]


async def test_clients_are_told_of_another_port(files: Files) -> None:
    settings = {"http3": True, "http3_port": 8443, **files.settings}
    async with running(Diary(), **settings) as server:
        assert server.server.worker is not None
        fields = server.server.worker.service.defaults.fields
        assert [one.value for one in fields if one.name == b"alt-svc"] == [b'h3=":8443"; ma=86400']
