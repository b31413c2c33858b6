"""Several requests on their way at once: one after the other, and not too many."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.testing.peer import Peer, turns

from .applications import GET, Held, hello, is_left, post, reading, respond
from .listener import serving

# What one read of an event loop brings at most.
READ = 64 * 1024
HELD = 64 * 1024


async def echo_path(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, scope["path"].encode() + b";")


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


def bodies(peer: Peer) -> list[bytes]:
    """Return the content of every response received."""
    found = []
    rest = peer.transport.output
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        found.append(rest[:length])
        rest = rest[length:]
    return found


async def test_requests_that_come_together_are_answered_in_order() -> None:
    peer = Peer(echo_path)
    await peer.send(get("/a") + get("/b") + get("/c"))
    assert bodies(peer) == [b"/a;", b"/b;", b"/c;"]


async def test_a_request_waits_until_the_response_before_it_is_complete() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(get("/a") + get("/b"))
    await peer.send(get("/c"))
    assert application.paths == ["/a"]
    application.release()
    await turns()
    assert application.paths == ["/a", "/b", "/c"]
    assert bodies(peer) == [b"/a", b"/b", b"/c"]


async def test_requests_with_bodies_come_together_and_byte_by_byte() -> None:
    peer = Peer(reading)
    stream = post(2, b"ab") + get("/") + post(3, b"cde")
    await peer.send(stream)
    assert bodies(peer) == [b"ab", b"", b"cde"]
    for byte in stream:
        await peer.send(bytes([byte]))
    assert bodies(peer) == [b"ab", b"", b"cde"] * 2


async def test_thousands_of_requests_at_once_are_answered_one_after_the_other() -> None:
    peer = Peer(echo_path)
    await peer.send(b"".join(get(f"/{number}") for number in range(2000)))
    await turns(2100)
    assert bodies(peer) == [b"/%d;" % number for number in range(2000)]


async def test_a_client_that_sends_too_far_ahead_is_not_read_any_more() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(get("/first"))
    sent = 0
    while peer.transport.reading:
        await peer.send(get("/next") * 10)
        sent += 1
    assert HELD < peer.connection.core.buffered < HELD + READ
    application.release()
    await turns(20 * sent)
    assert peer.transport.reading
    assert bodies(peer) == [b"/first"] + [b"/next"] * 10 * sent


async def test_requests_held_do_not_grow_while_they_are_answered() -> None:
    peer = Peer(hello)
    ahead = GET * (READ // len(GET))
    most = 0
    for _ in range(200):
        if peer.transport.reading:
            peer.connection.data_received(ahead)
        await asyncio.sleep(0)
        most = max(most, peer.connection.core.buffered)
    assert most <= HELD + READ


async def test_what_one_request_leaves_in_its_context_no_other_request_sees() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        variable.set(scope["path"])
        await asyncio.sleep(0)
        await respond(send)
        variable.set("after the response")

    peer = Peer(application)
    await peer.send(get("/a") + get("/b") + get("/c"))
    assert seen == ["unset"] * 3


@pytest.mark.parametrize("waits", [False, True])
async def test_the_next_call_begins_when_the_one_before_has_let_go_of_the_loop(waits: bool) -> None:
    inside = 0
    most = 0
    tasks = set()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        tasks.add(asyncio.current_task())
        if waits:
            await asyncio.sleep(0)
        await respond(send)
        inside -= 1

    peer = Peer(application)
    await peer.send(get("/a") + get("/b") + get("/c"))
    assert most == 1
    assert len(tasks) == 3
    assert None not in tasks


async def test_a_broken_request_after_a_good_one_is_refused_after_its_response() -> None:
    peer = Peer(echo_path)
    await peer.send(get("/good") + b"nonsense\r\n\r\n" + get("/lost"))
    first = peer.response()
    assert (first.status, first.body) == (200, b"/good;")
    assert first.header("connection") is None
    assert first.rest.startswith(b"HTTP/1.1 400 ")
    assert first.rest.count(b"HTTP/1.1 ") == 1
    assert peer.transport.eof_written


async def test_a_broken_request_does_not_disturb_the_response_before_it() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(get("/good"))
    await peer.send(b"nonsense\r\n\r\n")
    assert peer.transport.output == b""
    application.release()
    await turns()
    first = peer.response()
    assert (first.status, first.body) == (200, b"/good")
    assert first.rest.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("together", [True, False])
async def test_half_a_request_after_a_good_one_has_the_time_of_a_head(together: bool) -> None:
    application = Held()
    application.release()
    peer = Peer(application)
    if together:
        await peer.send(get("/good") + b"GET / HT")
    else:
        await peer.send(get("/good"))
        await peer.send(b"GET / HT")
    await peer.wait(9)
    assert not peer.transport.closed
    await peer.wait(1)
    assert peer.response().rest.startswith(b"HTTP/1.1 408 ")


async def test_half_a_request_that_waited_for_its_turn_has_the_time_of_a_head() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(get("/good") + b"GET / HT")
    await peer.wait(100)
    application.release()
    await turns()
    await peer.wait(9)
    assert not peer.transport.closed
    await peer.wait(1)
    assert peer.response().rest.startswith(b"HTTP/1.1 408 ")


async def test_nothing_after_the_request_that_closes_is_answered() -> None:
    peer = Peer(echo_path)
    closing = get("/last").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    await peer.send(get("/first") + closing + get("/lost"))
    assert bodies(peer) == [b"/first;", b"/last;"]
    assert is_left(peer)


async def test_a_request_whose_turn_comes_after_the_connection_was_lost_is_not_started() -> None:
    application = Held()
    application.release()
    peer = Peer(application)
    loop = asyncio.get_running_loop()
    loop.call_soon(peer.connection.data_received, get("/a") + get("/b"))
    loop.call_soon(peer.connection.connection_lost, None)
    await turns()
    assert application.paths == ["/a"]


@pytest.mark.parametrize("count", [1, 2, 3, 10])
async def test_requests_that_came_before_the_end_are_all_answered(count: int) -> None:
    peer = Peer(echo_path)
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not peer.connection.eof_received():
            peer.transport.close()

    loop.call_soon(peer.connection.data_received, get("/a") * count)
    loop.call_soon(end)
    await turns(30)
    assert bodies(peer) == [b"/a;"] * count
    assert peer.transport.closed


async def test_half_a_request_before_the_end_is_a_bad_request() -> None:
    peer = Peer(echo_path)
    loop = asyncio.get_running_loop()
    loop.call_soon(peer.connection.data_received, get("/a") + get("/b")[:10])
    loop.call_soon(peer.connection.eof_received)
    await turns()
    first = peer.response()
    assert first.body == b"/a;"
    assert first.rest.startswith(b"HTTP/1.1 400 ")
    assert is_left(peer)


async def test_a_waiting_application_hears_of_the_end_that_came_before_its_turn() -> None:
    seen = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/b":
            await receive()
            seen.append((await receive())["type"])
        await asyncio.sleep(0)
        await respond(send, scope["path"].encode() + b";")

    peer = Peer(application)
    loop = asyncio.get_running_loop()
    loop.call_soon(peer.connection.data_received, get("/a") + get("/b"))
    await peer.half_close()
    await turns()
    assert seen == ["http.disconnect"]
    assert bodies(peer) == [b"/a;", b"/b;"]
    assert peer.transport.closed


async def test_requests_sent_at_once_with_the_end_are_all_answered_over_tcp() -> None:
    async with serving(echo_path) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(get("/a") * 5)
        writer.write_eof()
        answers = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answers.count(b"/a;") == 5
