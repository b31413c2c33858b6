"""The same connection over real sockets: what a transport in memory cannot show."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.testing.peer import Response, turns

from .applications import GET, Held, begin, hello, post, reading, respond
from .listener import serving


async def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """Send everything, then read until the server closes."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def test_a_request_is_answered() -> None:
    async with serving(hello) as (_, address):
        assert Response(await exchange(address, LAST)).body == b"hello"


async def test_the_scope_names_both_ends() -> None:
    scopes: list[Scope] = []

    async def keeps(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await respond(send)

    async with serving(keeps) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        client = writer.get_extra_info("sockname")
        writer.write(LAST)
        await reader.read()
        writer.close()
        await writer.wait_closed()
    assert scopes[0]["server"] == address
    assert scopes[0]["client"] == client


async def test_a_unix_socket_has_a_path_for_a_server_and_no_client(tmp_path: Path) -> None:
    scopes: list[Scope] = []

    async def keeps(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await respond(send)

    path = tmp_path / "s"
    async with serving(keeps, path) as (_, _address):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(LAST)
        assert Response(await reader.read()).body == b"hello"
        writer.close()
        await writer.wait_closed()
    assert scopes[0]["server"] == (str(path), None)
    assert scopes[0]["client"] is None


async def test_a_client_that_sends_a_large_body_reads_the_early_answer() -> None:
    async with serving(hello) as (_, address):
        answer = Response(await exchange(address, post(2_000_000, b"x" * 2_000_000)))
    assert answer.status == 200
    assert answer.header("connection") == "close"


async def test_a_client_that_sends_nonsense_at_length_reads_why_it_was_refused() -> None:
    async with serving(hello) as (_, address):
        answer = Response(await exchange(address, b"nonsense\r\n\r\n" + b"x" * 1_000_000))
    assert answer.status == 400


async def test_a_client_that_sends_ahead_reads_the_last_answer() -> None:
    async def closing(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, headers=[(b"connection", b"close")])

    async with serving(closing) as (_, address):
        answer = Response(await exchange(address, GET * 40_000))
    assert answer.body == b"hello"


async def test_a_client_that_closes_its_sending_half_gets_the_answer() -> None:
    application = Held()
    async with serving(application) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        writer.write_eof()
        while not application.paths:
            await asyncio.sleep(0)
        application.release()
        assert Response(await reader.read()).body == b"/"
        writer.close()
        await writer.wait_closed()


async def test_a_large_body_arrives_although_the_application_takes_its_time() -> None:
    async with serving(reading) as (_, address):
        content = bytes(range(256)) * 4000
        answer = await exchange(address, post(len(content), content, "Connection: close\r\n"))
    assert Response(answer).body == content


@pytest.mark.parametrize("size", [1_000, 100_000])
async def test_a_client_that_does_not_read_holds_the_application(size: int) -> None:
    total = 20_000_000
    sent = 0

    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await begin(send)
        while sent < total:
            message = {"type": "http.response.body", "body": b"x" * size, "more_body": True}
            await send(message)
            sent += size
        await send({"type": "http.response.body"})

    async with serving(streams) as (peer, address):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.connect(address)
            client.setblocking(False)
            client.sendall(LAST)
            while not any(one.congested for one in peer.worker.connections):
                await asyncio.sleep(0)
            held = sent
            await turns(100)
            assert sent - held <= 1_000_000
            assert sent < total
            loop = asyncio.get_running_loop()
            received = b""
            while piece := await loop.sock_recv(client, 1 << 20):
                received += piece
    assert len(Response(received).body) == total
