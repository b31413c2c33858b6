"""Floods over real sockets: they end in ENHANCE_YOUR_CALM, and a good client is served meanwhile.

Nothing here is a matter of speed.  Each bound on memory is far above what the
server takes and far below what it would take without its limits.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from launcher import Launcher, PeakMemory, Server, eventually
from tests.wire.http2.client import GET, POST

from tidegate.wire.http2 import frames
from tidegate.wire.http2.frames import Code
from tidegate.wire.http2.hpack import Encoder

MEGABYTE = 1024 * 1024
FLAT = 40 * MEGABYTE
# Connections that each flood begins, one after the other.
ATTEMPTS = 3

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def shared(shared_launcher: Launcher) -> Iterator[Launcher]:
    with Launcher(shared_launcher.app_dir).opened() as launch:
        yield launch


@pytest.fixture
def victim(shared: Launcher) -> Iterator[Server]:
    """One for all tests here: it has to survive them."""
    if not shared.servers:
        shared("plain:app", "--no-access-log")
    yield shared.servers[0]
    shared.servers[0].check()


@pytest.fixture
def other(victim: Server) -> Iterator[None]:
    """A client that does nothing wrong, all the while."""
    stop = threading.Event()
    served: list[int] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            with httpx.Client(http1=False, http2=True, trust_env=False, timeout=40) as client:
                while not stop.is_set():
                    served.append(client.get(victim.base_url + "/").status_code)
        except httpx.HTTPError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: served or errors, within=20)
    before = len(served)
    yield
    eventually(lambda: len(served) > before or errors, within=40)
    stop.set()
    thread.join(40)
    assert not errors
    assert set(served) == {200}


class Attacker:
    """One raw connection; the encoder never uses its table."""

    def __init__(self, server: Server) -> None:
        where = urlsplit(server.base_url)
        self.socket = socket.create_connection((where.hostname or "", where.port or 0), 20)
        self.socket.sendall(frames.PREFACE + frames.settings([]))
        encoder = Encoder()
        encoder.resize(0)
        encoder.encode([])
        self.get = encoder.encode(GET)
        self.post = encoder.encode(POST)

    def attack(self, piece: Callable[[Attacker, int], bytes]) -> None:
        """Send until the server has enough."""
        try:
            for number in range(0, 5_000_000, 50):
                data = b"".join([piece(self, one) for one in range(number, number + 50)])
                self.socket.sendall(data)
        except OSError:
            return
        pytest.fail("the server took five million of them")

    def farewell(self) -> Code | None:
        """Return the code of GOAWAY; None if a reset of the connection overtook it."""
        data = b""
        try:
            while piece := self.socket.recv(65536):
                data += piece
        except OSError:
            pass
        finally:
            self.socket.close()
        code = None
        while len(data) >= 9:
            upper, lower, kind, _, _ = frames.FRAME_HEAD.unpack_from(data)
            size = upper << 8 | lower
            if kind == frames.GOAWAY:
                code = Code(int.from_bytes(data[13:17], "big"))
            data = data[9 + size :]
        return code


def rapid_reset(attacker: Attacker, number: int) -> bytes:
    stream = 2 * number + 1
    return frames.headers(stream, attacker.get, True) + frames.reset(stream, Code.CANCEL)


def made_you_reset(attacker: Attacker, number: int) -> bytes:
    stream = 2 * number + 1
    return frames.headers(stream, attacker.post, False) + frames.window_update(stream, 0)


def settings(attacker: Attacker, number: int) -> bytes:
    return frames.settings([(4, number)])


def pings(attacker: Attacker, number: int) -> bytes:
    return frames.build_frame(frames.PING, 0, 0, bytes(8))


def priorities(attacker: Attacker, number: int) -> bytes:
    return frames.build_frame(frames.PRIORITY, 0, 1, bytes(5))


def continuations(attacker: Attacker, number: int) -> bytes:
    if not number:
        return frames.build_frame(frames.HEADERS, 0, 1, b"")
    return frames.build_frame(frames.CONTINUATION, 0, 1, b"\x82" * 10)


def empty_data(attacker: Attacker, number: int) -> bytes:
    if not number:
        return frames.headers(1, attacker.post, False)
    return frames.build_frame(frames.DATA, 0, 1, b"")


def window_updates(attacker: Attacker, number: int) -> bytes:
    return frames.window_update(0, 1)


@pytest.mark.parametrize(
    "piece",
    [
        *(rapid_reset, made_you_reset, settings, pings, priorities, continuations, empty_data),
        window_updates,
    ],
)
def test_a_flood_is_ended(
    victim: Server, other: None, piece: Callable[[Attacker, int], bytes]
) -> None:
    memory = PeakMemory(victim.process.pid)
    codes = set()
    for _ in range(ATTEMPTS):
        attacker = Attacker(victim)
        attacker.attack(piece)
        codes.add(attacker.farewell())
    assert codes <= {Code.ENHANCE_YOUR_CALM, None}
    assert memory.growth() < FLAT


def test_one_that_opens_no_window_holds_little(victim: Server, other: None) -> None:
    memory = PeakMemory(victim.process.pid)
    attackers = []
    for _ in range(5):
        attacker = Attacker(victim)
        attackers.append(attacker)
        attacker.socket.sendall(frames.settings([(4, 0)]))
        encoder = Encoder()
        endless = encoder.encode([*GET[:2], (b":path", b"/flood"), GET[3]])
        again = encoder.encode([*GET[:2], (b":path", b"/flood"), GET[3]])
        attacker.socket.sendall(frames.headers(1, endless, True))
        for number in range(1, 100):
            attacker.socket.sendall(frames.headers(2 * number + 1, again, True))
    attackers[-1].socket.sendall(pings(attackers[-1], 0))
    assert attackers[-1].socket.recv(10)
    # 500 responses, each of them without an end.
    assert memory.growth() < 500 * 256 * 1024
    for attacker in attackers:
        attacker.socket.close()


def test_a_bomb_of_fields_is_no_bomb(victim: Server, other: None) -> None:
    memory = PeakMemory(victim.process.pid)
    for _ in range(ATTEMPTS):
        attacker = Attacker(victim)
        encoder = Encoder()
        first = encoder.encode([*GET, (b"x", b"v" * 400)])
        bomb = encoder.encode([*GET, *[(b"x", b"v" * 400)] * 15_000])
        attacker.socket.sendall(frames.headers(1, first, True) + frames.headers(3, bomb, True))
        attacker.socket.shutdown(socket.SHUT_WR)
        assert attacker.farewell() in (Code.NO_ERROR, None)
    assert memory.growth() < FLAT
