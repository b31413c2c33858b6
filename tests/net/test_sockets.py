"""Where to listen, and what is said when that is not possible."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.net import sockets

BACKLOG = 10


def ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """A place for a Unix socket, which must be short (108 bytes on Linux)."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield "server.sock"
    os.chdir(before)


def connects(family: int, address: object) -> bool:
    with socket.socket(family) as client:
        try:
            client.connect(address)
        except OSError:
            return False
    return True


# TCP.


def test_a_tcp_socket_listens_on_a_free_port() -> None:
    with sockets.tcp("127.0.0.1", 0, BACKLOG) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        assert port > 0
        assert connects(socket.AF_INET, (host, port))
        assert sockets.address_of(listener) == f"http://127.0.0.1:{port}"


def test_a_tcp_socket_does_not_block() -> None:
    with sockets.tcp("127.0.0.1", 0, BACKLOG) as listener:
        assert listener.getblocking() is False


def test_a_name_is_resolved() -> None:
    with sockets.tcp("localhost", 0, BACKLOG) as listener:
        assert listener.getsockname()[0] in ("127.0.0.1", "::1")


@pytest.mark.skipif(not ipv6_works(), reason="no IPv6 here")
def test_an_ipv6_address_is_written_in_brackets() -> None:
    with sockets.tcp("::1", 0, BACKLOG) as listener:
        port = listener.getsockname()[1]
        assert connects(socket.AF_INET6, ("::1", port))
        assert sockets.address_of(listener) == f"http://[::1]:{port}"


def test_a_port_in_use_is_refused_by_name() -> None:
    with sockets.tcp("127.0.0.1", 0, BACKLOG) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: the address is already in use"):
            sockets.tcp("127.0.0.1", port, BACKLOG)


def test_an_address_of_another_machine_is_refused() -> None:
    # RFC 5737: nobody has it.
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:0: this machine does not have that"):
        sockets.tcp("192.0.2.1", 0, BACKLOG)


def test_a_host_that_does_not_exist_is_refused() -> None:
    # RFC 6761: "invalid" never resolves.
    with pytest.raises(ConfigError, match=r"host 'tidegate\.invalid' cannot be resolved"):
        sockets.tcp("tidegate.invalid", 0, BACKLOG)


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=f"host '{host}'"):
        sockets.tcp(host, 0, BACKLOG)


# Unix sockets.


def test_a_unix_socket_listens_for_everybody(path: str) -> None:
    with sockets.unix(path, BACKLOG) as listener:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
        assert connects(socket.AF_UNIX, path)
        assert listener.getblocking() is False
        assert sockets.address_of(listener) == f"unix:{path}"


def test_a_unix_socket_that_a_dead_server_left_is_replaced(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    assert Path(path).exists()
    with sockets.unix(path, BACKLOG):
        assert connects(socket.AF_UNIX, path)


def test_a_unix_socket_that_answers_is_left_alone(path: str) -> None:
    with sockets.unix(path, BACKLOG):
        with pytest.raises(ConfigError, match=f"uds: another server listens on '{path}'"):
            sockets.unix(path, BACKLOG)
        assert connects(socket.AF_UNIX, path)


def test_a_file_that_is_no_socket_is_left_alone(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(ConfigError, match=f"uds: '{path}' exists and is not a socket"):
        sockets.unix(path, BACKLOG)
    assert Path(path).read_text() == "precious"


def test_a_unix_socket_in_a_folder_that_does_not_exist_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"missing/a\.sock: No such file or directory"):
        sockets.unix("missing/a.sock", BACKLOG)


def test_a_unix_socket_whose_path_is_too_long_is_refused_with_the_reason(path: str) -> None:
    with pytest.raises(ConfigError, match="too long"):
        sockets.unix("a" * 200, BACKLOG)


# Descriptors somebody opened for us.


def test_a_descriptor_is_listened_on_and_stays_open() -> None:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        address = opened.getsockname()
        with sockets.inherited(opened.fileno(), BACKLOG) as listener:
            assert listener.getsockname() == address
            assert listener.getblocking() is False
            assert connects(socket.AF_INET, address)
        os.fstat(opened.fileno())


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(ConfigError, match=f"fd {writer} is not a socket one can listen on: "):
        sockets.inherited(writer, BACKLOG)


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        before = open_descriptors()
        with pytest.raises(ConfigError, match=f"fd {file.fileno()} is not a socket"):
            sockets.inherited(file.fileno(), BACKLOG)
        assert open_descriptors() == before


def test_a_socket_one_cannot_listen_on_is_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        before = open_descriptors()
        with pytest.raises(ConfigError, match=f"fd {datagrams.fileno()} is not a socket one can"):
            sockets.inherited(datagrams.fileno(), BACKLOG)
        assert open_descriptors() == before


# What the system says, in our words.


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may listen anywhere")
def test_a_port_that_needs_a_privilege_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="ports below 1024 need a privilege"):
        sockets.tcp("127.0.0.1", 1, BACKLOG)
