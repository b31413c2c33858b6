"""What the client of the row broadcast counts, and what it takes for a fault."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import bench
import pytest
from bench import crowd
from bench.crowd import Crowd, Listener
from bench.errors import ServerError
from bench.sockets import BINARY, PONG, frame
from launcher import Launcher, Server

pytestmark = pytest.mark.timeout(120)

APPS = Path(bench.__file__).parent / "apps"
PING = bytes((0x89, 2)) + b"hi"
CLOSE = bytes((0x88, 2)) + b"\x03\xe8"


def message(number: int) -> bytes:
    return bytes((BINARY, crowd.SIZE)) + crowd.payload(number)


def messages(count: int) -> bytes:
    return b"".join(map(message, range(count)))


@pytest.fixture
def pair() -> Iterator[tuple[Listener, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        yield Listener(near), far


Pair = tuple[Listener, socket.socket]


def counted(listener: Listener) -> tuple[int, int, bool]:
    return listener.arrived, listener.wrong, listener.ended


@pytest.mark.parametrize("size", [1, 65, 66, 67, 700])
def test_messages_count_however_they_are_cut(pair: Pair, size: int) -> None:
    listener, far = pair
    data = messages(10)
    told = 0
    for begin in range(0, len(data), size):
        far.sendall(data[begin : begin + size])
        told += listener.read()
    assert told == 10
    assert counted(listener) == (10, 0, False)


@pytest.mark.parametrize("size", [1, 3, 66, 700])
def test_pings_between_messages_are_answered_and_are_no_messages(pair: Pair, size: int) -> None:
    listener, far = pair
    data = PING + message(0) + PING + message(1) + message(2) + PING
    for begin in range(0, len(data), size):
        far.sendall(data[begin : begin + size])
        listener.read()
    assert counted(listener) == (3, 0, False)
    assert far.recv(1000) == frame(PONG, b"hi") * 3


def test_a_message_that_is_left_out_does_not_hide_those_behind_it(pair: Pair) -> None:
    listener, far = pair
    far.sendall(message(0) + message(2) + message(3))
    assert listener.read() == 3
    assert counted(listener) == (3, 0, False)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(message(0) + message(0), id="twice"),
        pytest.param(message(0) + message(2) + message(1) + message(3), id="order"),
        pytest.param(message(0) + message(1).replace(b".", b","), id="content"),
        pytest.param(message(0) + bytes((0x81,)) + message(1)[1:], id="text"),
        pytest.param(message(0) + bytes((BINARY, 3)) + b"abc", id="short"),
        pytest.param(message(0) + bytes((BINARY, 126, 0, 200)), id="long"),
    ],
)
def test_anything_else_is_wrong(pair: Pair, data: bytes) -> None:
    listener, far = pair
    far.sendall(data)
    listener.read()
    assert listener.wrong == 1


def test_the_end_is_seen_in_a_close_frame_and_in_a_closed_connection(pair: Pair) -> None:
    listener, far = pair
    assert listener.read() == 0
    assert not listener.ended
    far.sendall(CLOSE)
    listener.read()
    assert listener.ended
    listener.ended = False
    far.close()
    listener.read()
    assert listener.ended


# A server.


@pytest.fixture
def launch() -> Iterator[Launcher]:
    with Launcher(APPS).opened() as launcher:
        yield launcher


@pytest.fixture
def server(launch: Launcher) -> Server:
    return launch("raw_broadcast:app")


def test_every_message_reaches_every_socket(server: Server) -> None:
    with Crowd(server.port) as everyone:
        assert everyone.open(120) == 120
        made = everyone.broadcast(7)
    assert (made.messages, made.delivered, made.lost, made.wrong) == (7, 7 * 120, 0, 0)


def test_the_time_for_opening_and_for_sending_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Crowd(server.port) as everyone:
        everyone.open(3)
        monkeypatch.setattr(crowd, "OPEN_TIMEOUT", 0.0)
        assert everyone.open(5) == 3
        monkeypatch.setattr(crowd, "BROADCAST_TIMEOUT", 0.0)
        made = everyone.broadcast(5)
        assert (made.messages, made.lost) == (0, 0)


FORGETFUL = """
waiting = []

async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    leads = scope["path"] == "/lead"
    if not leads:
        waiting.append(send)
    while (message := await receive())["type"] == "websocket.receive":
        content = {"type": "websocket.send", "bytes": message["bytes"]}
        for each in waiting[1:] if message["bytes"].startswith(b"0001") else waiting:
            await each(content)
        if message["bytes"].startswith(b"0002"):
            await waiting[0]({"type": "websocket.close"})
        await send(content)
"""


def test_a_message_that_misses_a_socket_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "SILENCE", 0.3)
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    with Launcher(tmp_path).opened() as launch, Crowd(launch("forgetful:app").port) as everyone:
        everyone.open(4)
        made = everyone.broadcast(2)
        assert (made.delivered, made.lost, made.wrong) == (7, 1, 0)


def test_a_socket_that_the_server_closes_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    with Launcher(tmp_path).opened() as launch, Crowd(launch("forgetful:app").port) as everyone:
        everyone.open(4)
        with pytest.raises(ServerError, match="closed 1 of 4 waiting WebSockets"):
            everyone.broadcast(3)


def test_a_server_without_websockets_is_a_fault(launch: Launcher) -> None:
    with pytest.raises(ServerError, match="answered a WebSocket handshake with"):
        Crowd(launch("raw_broadcast:app", "--ws", "none").port)
