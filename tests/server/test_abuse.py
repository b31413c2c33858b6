"""Clients that are slow in every way are closed on time, and a good one is served meanwhile."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator

import pytest

from tidegate.asgi import Receive, Scope, Send

from .running import Running, running

SECONDS = {
    "timeout_first_byte": 0.5,
    "timeout_head": 0.5,
    "timeout_body": 0.5,
    "timeout_write": 0.5,
    "timeout_keep_alive": 0.5,
}

# Of a target that takes 10,000 of them: both ends of each are open files of this process.
MOST_IDLE = 10_000
SPARE = 200

HEAD = b"GET / HTTP/1.1\r\nHost: test\r\n"
CHUNK = b"x" * 65_536


@pytest.fixture(autouse=True)
def files() -> Iterator[None]:
    """Let this process open what it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def flooding(scope: Scope, receive: Receive, send: Send) -> None:
    """Read all content, then answer; ``/flood`` with more than any buffer takes."""
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    if message["type"] == "http.disconnect":
        return
    pieces = 1000 if scope["path"] == "/flood" else 0
    headers = [(b"content-length", b"%d" % (len(CHUNK) * pieces))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(pieces):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body"})


async def connected(port: int) -> socket.socket:
    """Return a connection; cheaper than with streams."""
    client = socket.socket()
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return client


async def ended(server: Running) -> None:
    """Wait until nobody is connected, while a good client asks."""
    worker = server.server.worker
    assert worker is not None
    while len(worker.connections) > 1:
        assert (await server.get()).status == 200
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (HEAD, b"408"),
        (b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nab", b"408"),
        (HEAD + b"\r\n", b"200"),
    ],
    ids=["silent", "half a head", "half a body", "idle"],
)
async def test_who_sends_no_more_is_closed_on_time(sent: bytes, status: bytes) -> None:
    async with running(flooding, lifespan="off", **SECONDS) as server:
        client = await server.connect()
        client.writer.write(sent)
        assert (await server.get()).status == 200
        received = await client.rest()
        assert received[9:12] == status


async def test_who_does_not_read_is_cut_on_time() -> None:
    async with running(flooding, lifespan="off", **SECONDS) as server:
        client = await server.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.ask("/flood")
        await ended(server)
        client.writer.transport.abort()


async def test_who_closes_one_half_is_answered_and_closed() -> None:
    async with running(flooding, lifespan="off", **SECONDS) as server:
        asks, silent = await server.connect(), await server.connect()
        asks.ask()
        for client in (asks, silent):
            client.writer.write_eof()
        assert (await asks.rest())[9:12] == b"200"
        assert await silent.rest() == b""


async def test_many_idle_connections_are_held_and_then_closed_while_a_good_client_is_served() -> (
    None
):
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    count = min(MOST_IDLE, (files - SPARE) // 2)
    times = {**SECONDS, "timeout_first_byte": 1000, "timeout_keep_alive": 1000}
    async with running(flooding, within=120, lifespan="off", backlog=4096, **times) as server:
        worker = server.server.worker
        assert worker is not None
        idle: list[socket.socket] = []
        while len(idle) < count:
            group = [await connected(server.port) for _ in range(min(200, count - len(idle)))]
            idle += group
            assert (await server.get()).status == 200
        while len(worker.connections) < count:
            await asyncio.sleep(0)
        for connection in list(worker.connections):
            connection.deadline = 0.0  # type: ignore[attr-defined]
        worker.clock.advance(0.0)
        assert (await server.get()).status == 200
        loop = asyncio.get_running_loop()
        for client in idle:
            assert await loop.sock_recv(client, 1) == b""
            client.close()
