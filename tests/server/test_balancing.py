"""Connections are spread over the workers of a socket; those that cannot come are not missed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.server.config import Config
from tidegate.server.seats import Seats
from tidegate.server.server import Server

from .process import SECONDS, Process, connect, launched
from .running import UNTOUCHED, Client

APPLICATION = """
import os
import sys

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print(f"worker {os.getpid()} serves", file=sys.stderr, flush=True)
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/block":
        # Until somebody writes there.
        with open("gate") as gate:
            gate.read()
    pid = b"%d " % os.getpid()
    headers = [(b"content-length", b"%d" % len(pid))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": pid})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "balanced.py").write_text(APPLICATION)
    return tmp_path


def ask(client: socket.socket, path: str = "/") -> None:
    client.sendall(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % path.encode())


def pid_of(client: socket.socket) -> int:
    """Return which worker answers; the connection stays open."""
    received = b""
    while not received.endswith(b" "):
        piece = client.recv(65536)
        assert piece, received
        received += piece
    return int(received.split()[-1])


@contextmanager
def connections(process: Process, path: Path | None = None) -> Iterator[list[int]]:
    """Hold 64 connections; yield which worker has each."""
    with ExitStack() as stack:
        owners = []
        for _ in range(64):
            if path is None:
                client = connect(process.port())
            else:
                client = socket.socket(socket.AF_UNIX)
                client.settimeout(SECONDS)
                client.connect(str(path))
            stack.enter_context(client)
            ask(client)
            owners.append(pid_of(client))
        yield owners


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_no_worker_has_much_more_than_its_share(folder: Path, loop: str) -> None:
    options = ("balanced:app", "--workers", "4", "--loop", loop)
    with launched(folder, *options) as process:
        process.says("Workers ready: 4")
        with connections(process) as owners:
            shares = Counter(owners)
            assert max(shares.values()) <= 24, shares
        assert process.stop() == 0


def test_a_unix_socket_is_shared_alike(folder: Path) -> None:
    with launched(folder, "balanced:app", "--workers", "4", "--uds", "here") as process:
        process.says("Workers ready: 4")
        with connections(process, folder / "here") as owners:
            shares = Counter(owners)
            assert max(shares.values()) <= 24, shares
        assert process.stop() == 0


def test_the_successor_of_a_dead_worker_takes_its_share(folder: Path) -> None:
    with launched(folder, "balanced:app", "--workers", "2") as process:
        process.says("Workers ready: 2")
        with connections(process) as owners:
            os.kill(owners[0], signal.SIGKILL)
            process.says(f"Worker {owners[0]} died")
            process.says(r"worker \d+ serves", 3)
            last = int(re.findall(r"worker (\d+) serves", process.log)[-1])
            with connections(process) as later:
                # The other one has too many already.
                assert Counter(later)[last] >= 32
        assert process.stop() == 0


def test_nobody_waits_for_a_worker_that_is_blocked(folder: Path) -> None:
    os.mkfifo(folder / "gate")
    with launched(folder, "balanced:app", "--workers", "2") as process:
        process.says("Workers ready: 2")
        with connect(process.port()) as blocked:
            ask(blocked, "/block")
            # It opens the other end: the worker is there.
            gate = os.open(folder / "gate", os.O_WRONLY)
            with connections(process) as owners:
                assert len(set(owners)) == 1
                os.close(gate)
                assert pid_of(blocked) not in owners
        assert process.stop() == 0


class Slow:
    """Answers when it may."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.set()
        await self.may_answer.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


async def test_a_seat_tells_of_open_connections_until_no_more_are_taken() -> None:
    cells = [0] * 1000
    seat = Seats(cells).take()
    assert seat is not None

    async def held(cell: int) -> None:
        while cells[1] != cell:
            await asyncio.sleep(0)

    async def client() -> Client:
        return Client(*await asyncio.open_connection(*listener.getsockname()))

    application = Slow()
    config = Config(application, lifespan="off", limit_connections=2)
    config.drain_linger, config.log_config = 0.0, UNTOUCHED
    server = Server(config)
    server.turns = seat
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.timeout(SECONDS):
            serving = asyncio.ensure_future(server.serve([listener.dup()]))
            await server.started.wait()
            assert cells[1] == 1
            first, second = await client(), await client()
            await held(3)
            # One too many for the limit counts for nothing.
            refused = await client()
            assert await refused.rest() == b""
            await held(3)
            await second.close()
            await held(2)
            first.ask()
            await application.begun.wait()
            server.should_exit = True
            # At once, though a request is in progress.
            await held(0)
            application.may_answer.set()
            assert (await first.answer()).body == b"ok"
            await serving
            await first.close()
            await refused.close()
