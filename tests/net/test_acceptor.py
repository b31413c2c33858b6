"""Listeners that several processes share: who takes a connection, and who leaves it to others."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from tidegate.net.acceptor import Acceptor


class Turns:
    """Says what it is told to say, and notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.held: int | None = None
        self.answers: list[bool] = []  # the next ones; after them it is
        self.ours = True
        self.gave_up = asyncio.Event()

    def hold(self, connections: int) -> None:
        self.held = connections

    def is_ours(self) -> bool:
        return self.answers.pop(0) if self.answers else self.ours

    def leave_to_others(self) -> None:
        self.heard.append("to others")

    def nobody_came(self) -> None:
        self.heard.append("nobody came")
        self.ours = True
        self.gave_up.set()

    def leave(self) -> None:
        self.heard.append("leave")


class Greeter(asyncio.Protocol):
    """Says hello."""

    def __init__(self, made: list[asyncio.Transport]) -> None:
        self._made = made

    def connection_made(self, transport: Any) -> None:
        self._made.append(transport)
        transport.write(b"hello")


class Listener(socket.socket):
    """Has trouble as often as it is told."""

    troubles: ClassVar[list[OSError]] = []

    def accept(self) -> Any:
        if self.troubles:
            raise self.troubles.pop()
        return super().accept()


class Scene:
    """A listener, who takes its connections, and those."""

    def __init__(self) -> None:
        self.listener = Listener(proto=socket.IPPROTO_TCP)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.turns = Turns()
        self.made: list[asyncio.Transport] = []
        doors = [(self.listener, lambda: Greeter(self.made))]
        self.acceptor = Acceptor(doors, self.turns, self.made.__len__)
        self.clients: list[socket.socket] = []

    def connect(self) -> socket.socket:
        """Connect, without giving the server a turn."""
        client = socket.create_connection(self.listener.getsockname(), timeout=20)
        client.setblocking(False)
        self.clients.append(client)
        return client

    async def greeting(self, client: socket.socket) -> bytes:
        return await asyncio.get_running_loop().sock_recv(client, 100)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    try:
        async with asyncio.timeout(20):
            yield made
    finally:
        await made.acceptor.close()
        for transport in made.made:
            transport.abort()
        for client in made.clients:
            client.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        made.listener.close()


async def test_connections_that_are_ours_are_taken_and_counted() -> None:
    async with scene() as it:
        it.acceptor.start()
        assert it.turns.held == 0
        for _ in range(3):
            assert await it.greeting(it.connect()) == b"hello"
        while it.turns.held != 3:
            await asyncio.sleep(0)
        it.made.pop().abort()
        it.acceptor.count()
        while it.turns.held != 2:
            await asyncio.sleep(0)


async def test_the_transport_is_that_of_any_server() -> None:
    async with scene() as it:
        it.acceptor.start()
        client = it.connect()
        await it.greeting(client)
        (transport,) = it.made
        assert transport.get_extra_info("peername") == client.getsockname()
        assert transport.get_extra_info("sockname") == client.getpeername()
        own = transport.get_extra_info("socket")
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


async def test_what_is_not_ours_is_left_until_nobody_comes() -> None:
    async with scene() as it:
        it.acceptor.start()
        it.turns.ours = False
        client = it.connect()
        await it.turns.gave_up.wait()
        assert it.made == []
        assert await it.greeting(client) == b"hello"
        assert it.turns.heard == ["to others", "nobody came"]


async def test_what_another_process_takes_is_nobodys_fault() -> None:
    async with scene() as it:
        it.acceptor.start()
        it.turns.answers = [False]
        first = it.connect()
        while "to others" not in it.turns.heard:
            await asyncio.sleep(0)
        it.listener.accept()[0].close()
        assert await it.greeting(first) == b""
        assert await it.greeting(it.connect()) == b"hello"
        assert it.turns.heard == ["to others"]


async def test_what_becomes_ours_is_taken_without_giving_up_the_others() -> None:
    async with scene() as it:
        it.acceptor.start()
        it.turns.answers = [False, False, False]
        assert await it.greeting(it.connect()) == b"hello"
        assert it.turns.heard == ["to others"]


async def test_a_pause_is_over_as_soon_as_enough_connections_are() -> None:
    async with scene() as it:
        it.acceptor.pause_seconds = 3600.0
        it.acceptor.start()
        it.turns.ours = False
        client = it.connect()
        while "to others" not in it.turns.heard:
            await asyncio.sleep(0)
        it.acceptor.count()
        assert it.made == []
        it.turns.ours = True
        it.acceptor.count()
        assert await it.greeting(client) == b"hello"


async def test_a_crowd_is_taken_together_as_long_as_it_is_ours() -> None:
    async with scene() as it:
        it.acceptor.start()
        clients = [it.connect() for _ in range(20)]
        it.turns.answers = [True] * 10
        it.turns.ours = False
        await it.turns.gave_up.wait()
        assert len(it.made) == 10
        for client in clients:
            assert await it.greeting(client) == b"hello"


async def test_after_the_end_nothing_is_taken_and_what_was_becomes_a_connection() -> None:
    async with scene() as it:
        it.acceptor.start()
        taken = it.connect()
        while it.turns.held != 1:
            await asyncio.sleep(0)
        left = it.connect()
        await it.acceptor.close()
        assert len(it.made) == 1
        assert await it.greeting(taken) == b"hello"
        it.acceptor.count()
        assert it.turns.held == 1
        assert it.turns.heard == ["leave"]
        # It is another's to take.
        other, address = it.listener.accept()
        other.close()
        assert address == left.getsockname()


async def test_a_pause_ends_with_the_acceptor() -> None:
    async with scene() as it:
        it.acceptor.start()
        it.turns.ours = False
        it.connect()
        while "to others" not in it.turns.heard:
            await asyncio.sleep(0)
        await it.acceptor.close()
        await it.acceptor.close()
        assert it.turns.heard == ["to others", "leave"]


@pytest.fixture
def troubles() -> Iterator[list[OSError]]:
    yield Listener.troubles
    Listener.troubles.clear()


async def test_who_cannot_accept_leaves_for_a_while(
    troubles: list[OSError], caplog: pytest.LogCaptureFixture
) -> None:
    async with scene() as it:
        it.acceptor.shortage_seconds = 0.0
        troubles += [OSError(errno.EMFILE, "Too many open files")] * 2
        it.acceptor.start()
        with caplog.at_level(logging.ERROR, "tidegate.error"):
            assert await it.greeting(it.connect()) == b"hello"
        assert caplog.messages == ["Cannot accept connections for now: Too many open files"]
        assert it.turns.heard == ["leave", "leave"]


async def test_a_client_that_has_left_is_no_trouble(troubles: list[OSError]) -> None:
    async with scene() as it:
        troubles.append(ConnectionAbortedError())
        it.acceptor.start()
        assert await it.greeting(it.connect()) == b"hello"
        assert "leave" not in it.turns.heard
