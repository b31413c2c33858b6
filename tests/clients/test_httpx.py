"""httpx, in both of its colours."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from launcher import Server, eventually

PIECES = [bytes([number]) * 10_000 for number in range(20)]
WHOLE = b"".join(PIECES)


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, timeout=10, trust_env=False) as client:
        yield client


def async_client(server: Server, **options: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.base_url, timeout=10, trust_env=False, **options)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_reaches_the_application(client: httpx.Client, method: str) -> None:
    assert client.request(method, "/scope").json()["method"] == method


def test_one_connection_is_used_for_many_requests(client: httpx.Client) -> None:
    ports = {client.get("/scope").json()["client"][1] for _ in range(10)}
    assert len(ports) == 1


def test_a_body_is_streamed_in_both_directions(client: httpx.Client) -> None:
    with client.stream("POST", "/echo", content=iter(PIECES)) as answer:
        assert answer.request.headers["transfer-encoding"] == "chunked"
        assert answer.headers["transfer-encoding"] == "chunked"
        assert b"".join(answer.iter_bytes()) == WHOLE


def test_an_unwanted_body_does_not_spoil_the_answer(client: httpx.Client) -> None:
    for _ in range(3):
        answer = client.post("/refuse", content=WHOLE)
        assert (answer.status_code, answer.text) == (413, "not wanted\n")
    assert client.get("/").text == "hello\n"


def test_a_redirect_is_followed(client: httpx.Client) -> None:
    answer = client.post("/redirect", follow_redirects=True)
    assert (answer.text, len(answer.history)) == ("hello\n", 1)


def test_a_client_that_gives_up_is_noticed(client: httpx.Client, key: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.get(f"/hold/{key}", timeout=0.1)
    eventually(
        lambda: client.get(f"/notes/{key}").json() == ["here", "http.disconnect"],
        what="the application was told",
    )


def test_asynchronous_streams_go_in_both_directions(server: Server) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in PIECES:
            yield piece

    async def run() -> bytes:
        async with (
            async_client(server) as client,
            client.stream("POST", "/echo", content=pieces()) as answer,
        ):
            return b"".join([piece async for piece in answer.aiter_raw()])

    assert asyncio.run(run()) == WHOLE


def test_a_hundred_requests_share_ten_connections(server: Server) -> None:
    async def run() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=10)
        async with async_client(server, limits=limits) as client:
            posts = (client.post("/digest", content=PIECES[n % 20]) for n in range(100))
            return await asyncio.gather(*posts)

    for number, answer in enumerate(asyncio.run(run())):
        assert answer.json()["crc32"] == zlib.crc32(PIECES[number % 20])


def test_a_cancelled_asynchronous_request_is_noticed(server: Server, key: str) -> None:
    async def run() -> None:
        async with async_client(server) as client:
            held = asyncio.create_task(client.get(f"/hold/{key}"))
            while (await client.get(f"/notes/{key}")).json() != ["here"]:
                pass
            held.cancel()
            with pytest.raises(asyncio.CancelledError):
                await held

    asyncio.run(asyncio.wait_for(run(), 10))
    with httpx.Client(base_url=server.base_url, trust_env=False) as client:
        eventually(
            lambda: client.get(f"/notes/{key}").json() == ["here", "http.disconnect"],
            what="the application was told",
        )
