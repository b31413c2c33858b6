"""What becomes of open sockets when the process is told to end, or their peer falls silent."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from launcher import Launcher, Server, eventually
from websocket_peers import PEERS, Closed, Connect
from websocket_wire import CLOSE, PING, PONG, TEXT, Wire, frame, handshake

APPLICATIONS = Path(__file__).parent / "applications"

every_client = pytest.mark.parametrize("connect", PEERS.values(), ids=PEERS)


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    path = tmp_path / "diary"
    path.touch()
    return path


def start(launch: Launcher, diary: Path, *options: str, **env: str) -> Server:
    return launch("websocket_plain:app", *options, env={"DIARY": str(diary), **env})


def lines(diary: Path) -> list[str]:
    return diary.read_text().splitlines()


@every_client
def test_clients_are_told_that_the_server_restarts(
    launch: Launcher, diary: Path, connect: Connect
) -> None:
    server = start(launch, diary)
    with connect(server, "/stay") as one, connect(server, "/stay") as other:
        one.ping()  # so the handshakes are over
        server.signal(signal.SIGTERM)
        for peer in (one, other):
            with pytest.raises(Closed) as closed:
                peer.receive()
            assert (closed.value.code, closed.value.reason) == (1012, "server restart")
        assert server.wait(within=20) == 0
    server.check_log()
    # The applications were told, and shutdown waited for them.
    told = ["websocket.disconnect 1012"] * 2
    assert lines(diary) == ["startup", *told, "shutdown"]


@every_client
@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [("/say-goodbye", 1012, "server restart"), ("/say-goodbye/and-close", 4000, "gone")],
)
def test_an_application_that_asked_for_it_says_goodbye(
    launch: Launcher, diary: Path, connect: Connect, path: str, code: int, reason: str
) -> None:
    # Whoever closes by itself need not wait for the end of the time.
    seconds = "0.3" if code == 1012 else "30"
    server = start(launch, diary, "--timeout-ws-drain", seconds)
    with connect(server, path) as peer:
        peer.ping()
        server.signal(signal.SIGTERM)
        assert peer.receive() == f"goodbye within {float(seconds)} s"
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert (closed.value.code, closed.value.reason) == (code, reason)
        assert server.wait(within=20) == 0
    server.check_log()
    expected = ["startup", "websocket.drain", f"websocket.disconnect {code}", "shutdown"]
    assert lines(diary) == expected


def test_a_client_can_still_talk_while_goodbye_is_said(launch: Launcher, diary: Path) -> None:
    server = start(launch, diary, "--timeout-ws-drain", "30")
    with Wire(server) as wire:
        wire.open("/say-goodbye")
        server.signal(signal.SIGTERM)
        assert wire.frame() == (TEXT, b"goodbye within 30.0 s")
        wire.send(frame(PING, b"still there?"))
        assert wire.frame() == (PONG, b"still there?")
        wire.send(frame(CLOSE, (1000).to_bytes(2, "big")))
        assert wire.close_frame()[0] == 1000
        assert server.wait(within=20) == 0
    server.check_log()


def test_a_socket_accepted_during_the_shutdown_is_closed_too(
    launch: Launcher, door: socket.socket, diary: Path
) -> None:
    server = start(launch, diary, DOOR=str(door.getsockname()[1]))
    with Wire(server) as wire:
        wire.send(handshake("/hesitate"))
        inside, _ = door.accept()
        with inside:
            server.signal(signal.SIGTERM)
            server.wait_for_log("Waiting up to")
            inside.sendall(b"go\n")
            assert wire.head().startswith("HTTP/1.1 101 ")
            assert wire.close_frame() == (1012, "server restart")
        wire.send(frame(CLOSE, (1012).to_bytes(2, "big")))
        assert server.wait(within=20) == 0
    server.check_log()
    assert lines(diary) == ["startup", "websocket.disconnect 1012", "shutdown"]


def test_a_client_that_does_not_answer_the_close_holds_nobody_up(
    launch: Launcher, diary: Path
) -> None:
    server = start(launch, diary, "--timeout-graceful-shutdown", "0.2")
    with Wire(server) as wire:
        wire.open("/stay")
        server.signal(signal.SIGTERM)
        assert wire.close_frame() == (1012, "server restart")
        assert server.wait(within=20) == 0
    server.check_log()
    assert lines(diary) == ["startup", "websocket.disconnect 1012", "shutdown"]


def test_a_client_that_does_not_read_holds_nobody_up(launch: Launcher, diary: Path) -> None:
    server = start(launch, diary, "--timeout-graceful-shutdown", "0.2")
    with Wire(server) as wire:
        wire.open("/flood/x")
        server.signal(signal.SIGTERM)
        assert server.wait(within=20) == 0
    server.check_log()


def test_a_client_that_does_not_answer_pings_is_left(launch: Launcher, diary: Path) -> None:
    server = start(launch, diary, "--ws-ping-interval", "1", "--ws-ping-timeout", "1")
    with Wire(server) as silent, Wire(server) as polite:
        silent.open("/stay")
        polite.open("/echo")
        opcode, payload = polite.frame()
        assert opcode == PING
        polite.send(frame(PONG, payload))
        assert silent.frame()[0] == PING
        assert silent.close_frame() == (1011, "no pong")
        assert silent.rest() == b""
        eventually(lambda: lines(diary) == ["startup", "websocket.disconnect 1011"])
        # The other one was asked again, at the latest now.
        opcode, payload = polite.frame()
        assert opcode == PING
        polite.send(frame(PONG, payload) + frame(TEXT, b"still here"))
        assert polite.frame() == (TEXT, b"still here")


def test_a_pong_to_something_else_does_not_count(launch: Launcher, diary: Path) -> None:
    server = start(launch, diary, "--ws-ping-interval", "1", "--ws-ping-timeout", "1")
    with Wire(server) as wire:
        wire.open("/stay")
        assert wire.frame()[0] == PING
        wire.send(frame(PONG, b"unasked for"))
        assert wire.close_frame() == (1011, "no pong")


def test_pings_can_be_switched_off(launch: Launcher, diary: Path) -> None:
    server = start(launch, diary, "--ws-ping-interval", "0", "--ws-ping-timeout", "1")
    asked = start(launch, diary, "--ws-ping-interval", "1", "--ws-ping-timeout", "0")
    with Wire(server) as wire, Wire(asked) as clock:
        wire.open("/echo")
        clock.open("/echo")
        # Nothing has to answer the pings of the second server: it has no time limit.
        assert clock.frame()[0] == PING
        wire.send(frame(TEXT, b"still here"))
        assert wire.frame() == (TEXT, b"still here")


def test_a_client_that_vanishes_is_a_1006(launch: Launcher, diary: Path) -> None:
    server = start(launch, diary)
    with Wire(server) as wire:
        wire.open("/stay")
    eventually(lambda: lines(diary) == ["startup", "websocket.disconnect 1006"])
