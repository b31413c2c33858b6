"""The client of aiohttp, which reads while it still writes."""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import aiohttp
import pytest
from launcher import Server

Result = TypeVar("Result")
LARGE = bytes(range(256)) * 4096 * 3


def with_session(
    server: Server,
    talk: Callable[[aiohttp.ClientSession], Awaitable[Result]],
    connections: int = 10,
) -> Result:
    """Run ``talk`` in a loop of its own, with a session of at most so many connections."""

    async def run() -> Result:
        timeout = aiohttp.ClientTimeout(total=10)
        connector = aiohttp.TCPConnector(limit=connections)
        async with aiohttp.ClientSession(
            server.base_url, timeout=timeout, connector=connector
        ) as session:
            return await talk(session)

    return asyncio.run(run())


def test_one_connection_is_used_for_many_requests(server: Server) -> None:
    async def talk(session: aiohttp.ClientSession) -> set[int]:
        async def port() -> int:
            async with session.get("/scope") as answer:
                return (await answer.json())["client"][1]

        return set(await asyncio.gather(*(port() for _ in range(20))))

    assert len(with_session(server, talk, connections=1)) == 1


def test_each_piece_comes_back_before_the_next_is_sent(server: Server) -> None:
    async def talk(session: aiohttp.ClientSession) -> None:
        came_back: asyncio.Queue[None] = asyncio.Queue()

        async def pieces() -> AsyncIterator[bytes]:
            for number in range(5):
                yield b"piece %d\n" % number
                await came_back.get()

        async with session.post("/echo", data=pieces()) as answer:
            for number in range(5):
                assert await answer.content.readline() == b"piece %d\n" % number
                came_back.put_nowait(None)
            assert await answer.content.read() == b""

    with_session(server, talk)


def test_a_large_upload_waits_for_100_continue(server: Server) -> None:
    async def talk(session: aiohttp.ClientSession) -> None:
        async with session.put("/digest", data=io.BytesIO(LARGE), expect100=True) as answer:
            digest = await answer.json()
        assert (digest["size"], digest["crc32"]) == (len(LARGE), zlib.crc32(LARGE))

    with_session(server, talk)


def test_an_upload_refused_instead_of_100_continue_is_answered(server: Server) -> None:
    async def talk(session: aiohttp.ClientSession) -> None:
        for _ in range(2):
            async with session.put("/refuse", data=io.BytesIO(LARGE), expect100=True) as answer:
                assert (answer.status, await answer.text()) == (413, "not wanted\n")

    with_session(server, talk)


def test_a_multipart_form_arrives_whole(server: Server) -> None:
    async def talk(session: aiohttp.ClientSession) -> None:
        form = aiohttp.FormData({"field": "größer"})
        form.add_field("file", io.BytesIO(LARGE), filename="ü.bin")
        async with session.post("/digest", data=form) as answer:
            assert (await answer.json())["size"] > len(LARGE)

    with_session(server, talk)


def test_head_leaves_the_connection_usable(server: Server) -> None:
    async def talk(session: aiohttp.ClientSession) -> None:
        for _ in range(3):
            async with session.head("/") as answer:
                assert answer.headers["content-length"] == "6"
                assert await answer.read() == b""
            async with session.get("/") as answer:
                assert await answer.text() == "hello\n"

    with_session(server, talk, connections=1)


def test_a_stream_is_read_line_by_line(server: Server) -> None:
    async def talk(session: aiohttp.ClientSession) -> list[bytes]:
        async with session.get("/lines/5000") as answer:
            return [line async for line in answer.content]

    assert with_session(server, talk) == [b"line %d\n" % number for number in range(5000)]


def test_a_client_that_gives_up_is_noticed(server: Server, key: str) -> None:
    async def talk(session: aiohttp.ClientSession) -> None:
        with pytest.raises(TimeoutError):
            await session.get(f"/hold/{key}", timeout=aiohttp.ClientTimeout(total=0.1))
        notes: list[str] = []
        while notes != ["here", "http.disconnect"]:
            async with session.get(f"/notes/{key}") as answer:
                notes = await answer.json()

    with_session(server, lambda session: asyncio.wait_for(talk(session), 5))
