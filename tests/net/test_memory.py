"""What is over is freed at once, not when the garbage collector comes round."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tidegate.asgi import Application, Receive, Scope, Send
from tidegate.exchange.service import Policy
from tidegate.testing.peer import Peer, turns

from .applications import GET, Held, Listening, begin, chunked_post, flooding, hello, post, reading
from .listener import serving
from .memory import nothing_left


async def answered(peer: Peer) -> None:
    await peer.send(GET)


async def answered_twice(peer: Peer) -> None:
    await peer.send(GET + GET)


async def answered_in_pieces(peer: Peer) -> None:
    for byte in post(5, b"hello"):
        await peer.send(bytes([byte]))


async def refused(peer: Peer) -> None:
    await peer.send(b"nonsense\r\n\r\n")


async def refused_in_the_body(peer: Peer) -> None:
    await peer.send(chunked_post(b"5\r\nab"))
    await peer.send(b"cdeXX")


async def half_a_head(peer: Peer) -> None:
    await peer.send(GET[:10])


async def half_a_body(peer: Peer) -> None:
    await peer.send(post(10, b"a"))


async def timed_out(peer: Peer) -> None:
    await peer.send(GET[:10])
    await peer.wait(20)


async def closed_by_us(peer: Peer) -> None:
    await peer.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


async def stalled(peer: Peer) -> None:
    peer.transport.stall()
    await peer.send(GET)


async def keeps_for_itself(scope: Scope, receive: Receive, send: Send) -> None:
    """Refer to everything from everywhere, as frameworks do."""
    scope["own"] = (receive, send)
    await begin(send, b"a")
    await send({"type": "http.response.body", "body": b"b"})
    del scope["own"]


@pytest.mark.parametrize(
    ("make", "course"),
    [
        (lambda: hello, answered),
        (lambda: hello, answered_twice),
        (lambda: hello, refused),
        (lambda: hello, half_a_head),
        (lambda: hello, timed_out),
        (lambda: hello, closed_by_us),
        (lambda: hello, half_a_body),
        (lambda: reading, answered_in_pieces),
        (Listening, answered),
        (Listening, refused_in_the_body),
        (Listening, half_a_body),
        (lambda: flooding, stalled),
        (lambda: keeps_for_itself, answered),
    ],
)
async def test_a_connection_that_was_lost_leaves_nothing_behind(
    make: Callable[[], Application], course: Callable[[Peer], Awaitable[None]]
) -> None:
    application = make()
    with nothing_left():
        # With "cancel" a timer holds the exchange until the grace is over.
        peer = Peer(application, Policy(on_disconnect="raise"))
        await course(peer)
        await peer.leave()
        del peer
        await turns()


async def test_a_finished_exchange_is_freed_while_its_connection_lives() -> None:
    peer = Peer(hello)
    await peer.get()
    with nothing_left():
        for _ in range(3):
            await peer.get()
        await turns()


async def test_a_cancelled_application_leaves_nothing_behind() -> None:
    application = Held()
    with nothing_left():
        peer = Peer(application, Policy(on_disconnect="raise"))
        await peer.send(GET)
        for exchange in peer.service.running:
            assert exchange.task is not None
            exchange.task.cancel()
        del exchange
        await turns()
        assert peer.response().status == 500
        await peer.leave()
        del peer
        await turns()


async def test_connections_over_tcp_leave_nothing_behind() -> None:
    async with serving(hello) as (peer, address):
        with nothing_left():
            for _ in range(3):
                reader, writer = await asyncio.open_connection(*address)
                writer.write(GET)
                await reader.readuntil(b"hello")
                writer.close()
                await writer.wait_closed()
            while len(peer.worker.connections) > 1:
                await asyncio.sleep(0)
            await turns()
