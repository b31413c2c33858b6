"""Files on real sockets: by ``sendfile`` where that works, in pieces where it does not."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.authority import authority
from tests.server.running import running

from tidegate.asgi import Application, Receive, Scope, Send
from tidegate.testing.peer import Peer, turns

from .listener import serving

CONTENT = os.urandom(1000) * 6000

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


class Sendfile:
    """Counts what goes through ``os.sendfile``; ``refuses`` makes it fail from then on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = self.sent = 0
        self.refuses: int | None = None
        self._genuine = os.sendfile
        monkeypatch.setattr("os.sendfile", self)

    def __call__(self, out: int, source: int, offset: int, count: int) -> int:
        self.calls += 1
        if self.refuses is not None:
            raise OSError(self.refuses, os.strerror(self.refuses))
        size = self._genuine(out, source, offset, count)
        self.sent += size
        return size


@pytest.fixture
def sendfile(monkeypatch: pytest.MonkeyPatch) -> Sendfile:
    return Sendfile(monkeypatch)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(CONTENT)
    return path


def sending(path: Path, before: bytes = b"") -> Application:
    """Return an application that sends a file, after other content if there is any."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        length = b"%d" % (path.stat().st_size + len(before))
        headers = [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if before:
            await send({"type": "http.response.body", "body": before, "more_body": True})
        with path.open("rb") as file:
            await send({"type": "http.response.zerocopysend", "file": file})

    return application


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def until(wanted: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not wanted():
            await asyncio.sleep(0)


async def content_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(size)


async def test_a_file_goes_out_by_sendfile_and_the_connection_lives_on(
    large: Path, sendfile: Sendfile
) -> None:
    async with serving(sending(large)) as (_, address):
        before = descriptors()
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(3):
            writer.write(GET)
            assert await content_of(reader) == CONTENT
        assert sendfile.sent == 3 * len(CONTENT)
        writer.close()
        await writer.wait_closed()
        await until(lambda: descriptors() == before)


async def test_pipelined_requests_get_their_files_in_order(large: Path, sendfile: Sendfile) -> None:
    async with serving(sending(large)) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET + GET + LAST)
        for _ in range(3):
            assert await content_of(reader) == CONTENT
        assert await reader.read() == b""
        writer.close()


async def test_what_was_written_before_goes_out_first(large: Path, sendfile: Sendfile) -> None:
    before = b"b" * 3_000_000  # more than the socket takes at once
    async with serving(sending(large, before)) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        assert await content_of(reader) == before + CONTENT
        assert sendfile.sent == len(CONTENT)
        writer.close()


async def test_a_client_that_reads_nothing_holds_the_file_back(
    large: Path, sendfile: Sendfile
) -> None:
    large.write_bytes(CONTENT * 4)
    async with serving(sending(large)) as (peer, address):
        reader, writer = await asyncio.open_connection(*address, limit=1024)
        writer.write(GET)
        await until(lambda: sendfile.calls > 1)
        await turns(100)
        assert peer.service.running
        assert sendfile.sent < 4 * len(CONTENT)
        assert await content_of(reader) == CONTENT * 4
        await until(lambda: not peer.service.running)
        writer.close()


async def test_a_client_that_takes_no_byte_for_too_long_is_cut_off(
    large: Path, sendfile: Sendfile
) -> None:
    large.write_bytes(CONTENT * 4)
    async with serving(sending(large)) as (peer, address):
        _, writer = await asyncio.open_connection(*address, limit=1024)
        before = descriptors()
        writer.write(GET)
        await until(lambda: sendfile.calls > 1)
        await turns(100)
        peer.clock.advance(1)
        peer.clock.advance(peer.worker.timeouts.write_stall - 2)
        await turns()
        assert peer.service.running
        peer.clock.advance(3)
        await until(lambda: not peer.service.running)
        await until(lambda: descriptors() < before)
        writer.close()


async def test_a_client_that_leaves_ends_it(large: Path, sendfile: Sendfile, caplog: Any) -> None:
    large.write_bytes(CONTENT * 4)
    async with serving(sending(large)) as (peer, address):
        before = descriptors()
        _, writer = await asyncio.open_connection(*address, limit=1024)
        writer.write(GET)
        await until(lambda: sendfile.calls > 1)
        writer.transport.abort()
        await until(lambda: not peer.service.running)
        await until(lambda: descriptors() == before)
        assert caplog.text == ""


@pytest.mark.parametrize("after", [0, 2])
async def test_where_sendfile_cannot_do_it_the_file_is_read(
    large: Path, sendfile: Sendfile, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(sending(large)) as (_, address):
        reader, writer = await asyncio.open_connection(*address, limit=1024)
        if not after:
            sendfile.refuses = errno.EINVAL
        writer.write(GET)
        if after:
            await until(lambda: sendfile.calls >= after)
            sendfile.refuses = errno.EINVAL
        assert await content_of(reader) == CONTENT
        assert sendfile.sent < len(CONTENT)
        # The next may be on another file system.
        sendfile.refuses = None
        writer.write(GET)
        assert await content_of(reader) == CONTENT
        writer.close()


async def test_an_error_of_the_socket_ends_the_connection(
    large: Path, sendfile: Sendfile, caplog: Any
) -> None:
    sendfile.refuses = errno.EIO
    async with serving(sending(large)) as (peer, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        received = await reader.read()
        assert received.endswith(b"\r\n\r\n")
        await until(lambda: not peer.service.running)
        assert "A file could not be sent to its end" in caplog.text
        writer.close()


@pytest.mark.parametrize("by_sendfile", [True, False])
async def test_a_file_that_becomes_shorter_is_not_taken_for_whole(
    large: Path, sendfile: Sendfile, by_sendfile: bool, caplog: Any
) -> None:
    large.write_bytes(CONTENT * 4)
    if not by_sendfile:
        sendfile.refuses = errno.EINVAL
    async with serving(sending(large)) as (peer, address):
        reader, writer = await asyncio.open_connection(*address, limit=1024)
        writer.write(GET)
        await until(lambda: sendfile.calls > 1 or peer.service.running)
        await turns(100)
        os.truncate(large, 1000)
        received = await reader.read()
        assert len(received) < 4 * len(CONTENT)
        await until(lambda: not peer.service.running)
        assert "it became shorter" in caplog.text
        writer.close()


async def test_a_file_that_cannot_be_read_ends_the_connection(
    large: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def broken(*arguments: object) -> bytes:
        raise OSError(errno.EIO, "broken disk")

    peer = Peer(sending(large))
    monkeypatch.setattr("os.pread", broken)
    await peer.send(GET)
    await until(lambda: not peer.service.running)
    assert peer.transport.aborted
    assert "broken disk" in caplog.text


async def test_a_file_for_a_connection_that_is_closing_is_let_go(large: Path) -> None:
    before = descriptors()
    go_on = asyncio.Event()
    send_file = sending(large)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await send_file(scope, receive, send)

    peer = Peer(application)
    await peer.send(GET)
    peer.transport.closed = True
    go_on.set()
    await turns()
    peer.transport.lose()
    await until(lambda: not peer.service.running)
    assert descriptors() == before


async def test_over_tls_the_file_is_read(large: Path, sendfile: Sendfile, tmp_path: Path) -> None:
    files = authority().issue(tmp_path)
    async with running(sending(large), **files.settings) as server:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            server.port,
            ssl=authority().context(checks_host=False),
            server_hostname="localhost",
        )
        for _ in range(2):
            writer.write(GET)
            assert await content_of(reader) == CONTENT
        assert sendfile.calls == 0
        writer.close()
        await writer.wait_closed()


async def test_a_file_over_a_unix_socket(large: Path, tmp_path: Path, sendfile: Sendfile) -> None:
    async with serving(sending(large), tmp_path / "s") as (_, address):
        reader, writer = await asyncio.open_unix_connection(address)
        writer.write(GET)
        assert await content_of(reader) == CONTENT
        assert sendfile.sent == len(CONTENT)
        writer.close()
