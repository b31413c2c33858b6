"""What becomes of requests, clients and files when the process is told to end."""

from __future__ import annotations

import http.client
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from launcher import Launcher, Server, eventually


class Guest:
    """A request that is in the application, and stays there until it is let out."""

    def __init__(self, server: Server, door: socket.socket, path: str = "/knock") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        self.connection.request("GET", path)
        self.inside, _ = door.accept()

    def let_out(self) -> None:
        self.inside.sendall(b"go\n")

    def answer(self) -> http.client.HTTPResponse:
        return self.connection.getresponse()

    def close(self) -> None:
        self.inside.close()
        self.connection.close()


@contextmanager
def guest(server: Server, door: socket.socket, path: str = "/knock") -> Iterator[Guest]:
    with closing(Guest(server, door, path)) as inside:
        yield inside


def env_of(door: socket.socket, diary: Path) -> dict[str, str]:
    return {"DOOR": str(door.getsockname()[1]), "DIARY": str(diary)}


def wait_until_closed(server: Server) -> None:
    """Return when the server accepts no more connections, so has understood the signal."""

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass  # it was in the queue when the listener closed
        return False

    eventually(refused, what="new connections are refused")


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    path = tmp_path / "diary"
    path.touch()
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_progress_is_answered_first(
    launch: Launcher, door: socket.socket, diary: Path, number: signal.Signals
) -> None:
    server = launch("plain:app", env=env_of(door, diary))
    with guest(server, door) as inside:
        server.signal(number)
        wait_until_closed(server)
        inside.let_out()
        answer = inside.answer()
        assert (answer.status, answer.read()) == (200, b"let out\n")
        assert answer.headers["connection"] == "close"
    assert server.wait() == 0
    assert diary.read_text().splitlines() == ["startup", "request answered", "shutdown"]
    server.check_log()


def test_a_response_in_progress_is_completed_first(
    launch: Launcher, door: socket.socket, diary: Path
) -> None:
    server = launch("plain:app", env=env_of(door, diary))
    with guest(server, door, "/knock-streaming") as inside:
        answer = inside.answer()
        assert answer.readline() == b"begun\n"
        server.signal(signal.SIGTERM)
        wait_until_closed(server)
        inside.let_out()
        assert answer.read() == b"ended\n"
    assert server.wait() == 0
    server.check_log()


def test_an_idle_connection_is_closed_at_once(launch: Launcher) -> None:
    server = launch("plain:app", "--timeout-keep-alive", "60")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(65536).endswith(b"hello\n")
        server.signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        assert server.wait(within=20) == 0


def test_a_second_interrupt_ends_what_hangs(
    launch: Launcher, door: socket.socket, diary: Path
) -> None:
    server = launch("plain:app", env=env_of(door, diary))
    with guest(server, door):
        server.signal(signal.SIGINT)
        wait_until_closed(server)
        server.signal(signal.SIGINT)
        server.wait(within=20)
    server.check_log()
    # The application was cancelled, not just left behind.
    assert diary.read_text().splitlines() == ["startup", "request cancelled", "shutdown"]


def test_the_graceful_time_is_finite(launch: Launcher, door: socket.socket, diary: Path) -> None:
    server = launch("plain:app", "--timeout-graceful-shutdown", "0.2", env=env_of(door, diary))
    with guest(server, door), guest(server, door, "/knock-streaming") as streaming:
        assert streaming.answer().readline() == b"begun\n"
        server.signal(signal.SIGTERM)
        assert server.wait(within=20) == 0
    server.check_log()
    cancelled = ["request cancelled"] * 2
    assert diary.read_text().splitlines() == ["startup", *cancelled, "shutdown"]


def test_a_client_that_does_not_read_holds_nobody_up(launch: Launcher, diary: Path) -> None:
    server = launch("plain:app", "--timeout-graceful-shutdown", "0.2", env={"DIARY": str(diary)})
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as stalled:
        stalled.sendall(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stalled.recv(1000)
        server.signal(signal.SIGTERM)
        assert server.wait(within=20) == 0
    server.check_log()
    expected = ["startup", "flood begun", "flood ended", "shutdown"]
    assert diary.read_text().splitlines() == expected


def test_an_upload_in_progress_is_read_to_its_end(launch: Launcher) -> None:
    server = launch("plain:app")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nbefore")
        answer = http.client.HTTPResponse(wire)
        answer.begin()
        assert answer.read(6) == b"before"
        server.signal(signal.SIGTERM)
        wait_until_closed(server)
        wire.sendall(b" after")
        assert answer.read() == b" after"
        answer.close()
    assert server.wait() == 0


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_an_interrupt_ends_a_lifespan_that_hangs(launch: Launcher, diary: Path, phase: str) -> None:
    env = {"DIARY": str(diary), "HANGS": phase}
    if phase == "startup":
        server = Server("plain:app", app_dir=launch.app_dir, env=env)
        launch.servers.append(server)
    else:
        server = launch("plain:app", env=env)
        server.signal(signal.SIGINT)
    eventually(lambda: phase in diary.read_text(), within=20, what=f"the {phase} is in progress")
    server.signal(signal.SIGINT)
    server.wait(within=20)
    server.check_log()


def test_a_unix_socket_is_removed(launch: Launcher, tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = launch("plain:app", "--uds", str(path))
    assert path.is_socket()
    assert server.stop() == 0
    assert not path.exists()


def test_an_inherited_socket_stays_open_for_its_owner(launch: Launcher) -> None:
    """A supervisor hands the same socket to the next process; nothing may be lost between."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        descriptor = listener.fileno()
        for _ in range(2):
            server = launch("plain:app", "--fd", str(descriptor), pass_fds=(descriptor,))
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                connection.request("GET", "/")
                assert connection.getresponse().read() == b"hello\n"
            assert server.stop() == 0
        # Held in the queue of the socket until somebody accepts it.
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
