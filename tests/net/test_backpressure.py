"""Neither side may be made to hold more than it agreed to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from tidegate.asgi import Message, Receive, Scope, Send
from tidegate.errors import ClientDisconnected
from tidegate.exchange.service import Policy
from tidegate.testing.peer import Peer, turns

from .applications import GET, Held, Listening, begin, hello, post, read_body, respond

PIECE = 16 * 1024
READ_AHEAD = 64 * 1024
WRITE_BUFFER = 64 * 1024


async def send_while_read(peer: Peer, content: bytes) -> int:
    """Send content for as long as the server reads; return how much it took."""
    sent = 0
    while peer.transport.reading and sent < len(content):
        await peer.send(content[sent : sent + PIECE])
        sent += PIECE
    return min(sent, len(content))


class Reader:
    """Takes one event for each permit, and answers with all the content."""

    def __init__(self) -> None:
        self.permits = asyncio.Semaphore(0)
        self.body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            await self.permits.acquire()
            message = await receive()
            self.body += message["body"]
            more = message["more_body"]
        await respond(send, b"%d" % len(self.body))

    async def read_once(self) -> None:
        self.permits.release()
        await turns()


# The application does not keep up with the client.


async def test_an_application_that_does_not_read_stops_the_client_at_64_kib() -> None:
    peer = Peer(Held())
    await peer.send(post(1_000_000))
    taken = await send_while_read(peer, b"x" * 1_000_000)
    assert READ_AHEAD <= taken <= READ_AHEAD + PIECE


async def test_the_read_ahead_is_a_setting() -> None:
    peer = Peer(Held(), Policy(max_read_ahead=1000))
    await peer.send(post(1_000_000, b"x" * 1000))
    assert peer.transport.reading
    await peer.send(b"x")
    assert not peer.transport.reading


async def test_reading_resumes_as_soon_as_the_application_reads() -> None:
    application = Reader()
    peer = Peer(application)
    content = bytes(range(256)) * 1000
    await peer.send(post(len(content)))
    sent = 0
    rounds = 0
    while sent < len(content):
        sent += await send_while_read(peer, content[sent:])
        await application.read_once()
        rounds += 1
    assert application.body == content
    assert rounds >= len(content) // (READ_AHEAD + PIECE)
    assert peer.response().body == b"%d" % len(content)


async def test_a_body_whose_end_has_arrived_does_not_stop_the_next_request() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(post(100_000, b"x" * 100_000))
    assert peer.transport.reading
    application.release()
    await turns()
    assert (await peer.get("/next")).body == b"/next"


async def test_reading_resumes_when_the_response_came_without_a_look_at_the_body() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(post(120_000))
    await peer.send(b"x" * 100_000)
    assert not peer.transport.reading
    application.release()
    await turns()
    assert peer.transport.reading
    await peer.send(b"x" * 20_000)
    assert (await peer.get("/next")).body == b"/next"


async def test_an_application_that_reads_after_the_client_has_gone_does_no_harm() -> None:
    application = Held()
    bodies = []

    async def reads_later(scope: Scope, receive: Receive, send: Send) -> None:
        await application.released.wait()
        bodies.append((await receive())["body"])

    peer = Peer(reads_later)
    await peer.send(post(200_000))
    await peer.send(b"x" * 100_000)
    await peer.leave()
    application.release()
    await turns()
    assert bodies == [b"x" * 100_000]


# The client does not keep up with the application.


class Writer:
    """Sends pieces, and counts those that ``send`` has let through."""

    def __init__(self, size: int, count: int) -> None:
        self.piece = b"x" * size
        self.count = count
        self.sent = 0
        self.error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await begin(send)
            for _ in range(self.count):
                message = {"type": "http.response.body", "body": self.piece, "more_body": True}
                await send(message)
                self.sent += len(self.piece)
            await send({"type": "http.response.body"})
        except BaseException as error:
            self.error = error
            raise


@pytest.mark.parametrize(("size", "count"), [(10_000, 100), (100, 5_000), (1, 20_000)])
async def test_a_client_that_does_not_read_holds_send(size: int, count: int) -> None:
    application = Writer(size, count)
    peer = Peer(application)
    peer.transport.stall()
    await peer.send(GET)
    assert application.sent < size * count
    assert peer.transport.get_write_buffer_size() <= WRITE_BUFFER + size + 100
    peer.transport.flow()
    await turns()
    assert peer.response().body == b"x" * size * count


async def test_a_client_that_reads_now_and_then_gets_everything() -> None:
    application = Writer(10_000, 100)
    peer = Peer(application)
    peer.transport.stall()
    await peer.send(GET)
    for _ in range(200):
        peer.transport.flow(9_000)
        await turns()
        assert peer.transport.get_write_buffer_size() <= WRITE_BUFFER + 10_100
    assert peer.response().body == b"x" * 1_000_000


async def test_every_task_of_an_application_that_sends_is_held_and_released() -> None:
    done = []

    async def in_parallel(scope: Scope, receive: Receive, send: Send) -> None:
        async def one(number: int) -> None:
            message = {"type": "http.response.body", "body": b"x" * 1000, "more_body": True}
            await send(message)
            done.append(number)

        await begin(send, b"x" * 100_000)
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(one(number))
        await send({"type": "http.response.body"})

    peer = Peer(in_parallel)
    peer.transport.stall()
    await peer.send(GET)
    assert done == []
    peer.transport.flow()
    await turns()
    assert sorted(done) == list(range(10))
    assert len(peer.response().body) == 110_000


async def test_a_response_whose_end_was_sent_does_not_wait_for_the_client() -> None:
    ended = []

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x" * 1_000_000)
        ended.append(True)

    peer = Peer(large)
    peer.transport.stall()
    await peer.send(GET)
    assert ended == [True]


async def test_a_client_that_asks_for_much_but_reads_nothing_is_served_one_thing_at_a_time() -> (
    None
):
    size = 100_000

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x" * size)

    peer = Peer(large)
    peer.transport.stall()
    await peer.send(GET * 50)
    await turns(100)
    assert peer.transport.get_write_buffer_size() <= WRITE_BUFFER + 2 * size
    for _ in range(60):
        peer.transport.flow(size)
        await turns()
    peer.transport.flow()
    await turns(100)
    assert peer.transport.output.count(b"HTTP/1.1 200 OK") == 50
    assert peer.transport.output.count(b"x") == 50 * size


async def test_a_client_that_leaves_releases_send_with_an_error() -> None:
    application = Writer(10_000, 100)
    peer = Peer(application, Policy(on_disconnect="raise"))
    peer.transport.stall()
    await peer.send(GET)
    assert application.error is None
    await peer.leave()
    assert isinstance(application.error, ClientDisconnected)


async def test_a_client_that_leaves_releases_send_in_silence_if_disconnects_are_ignored() -> None:
    application = Writer(10_000, 20)
    peer = Peer(application, Policy(on_disconnect="ignore"))
    peer.transport.stall()
    await peer.send(GET)
    await peer.leave()
    await turns(50)
    assert application.error is None
    assert application.sent == 200_000


async def test_a_held_send_can_be_cancelled_and_the_response_goes_on() -> None:
    async def impatient(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send)
        message: Message = {"type": "http.response.body", "body": b"x" * 100_000, "more_body": True}
        held: Awaitable[None] = send(message)
        waiting = asyncio.ensure_future(held)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await send({"type": "http.response.body", "body": b"end"})

    peer = Peer(impatient)
    peer.transport.stall()
    await peer.send(GET)
    peer.transport.flow()
    assert peer.response().body == b"x" * 100_000 + b"end"


# Both at once.


async def test_an_echo_holds_the_client_that_sends_but_does_not_read() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send)
        while True:
            message = await receive()
            body, more = message["body"], message["more_body"]
            await send({"type": "http.response.body", "body": body, "more_body": more})
            if not more:
                return

    peer = Peer(echo)
    peer.transport.stall()
    content = bytes(range(256)) * 4000
    await peer.send(post(len(content)))
    taken = await send_while_read(peer, content)
    assert taken <= READ_AHEAD + WRITE_BUFFER + 3 * PIECE
    peer.transport.flow()
    await turns()
    await send_while_read(peer, content[taken:])
    assert peer.response().body == content


async def test_a_large_body_is_not_copied_into_one_buffer_with_the_head() -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x" * 65_537)

    peer = Peer(large)
    assert (await peer.get()).body == b"x" * 65_537
    assert peer.transport.writes == 2


async def test_an_empty_piece_of_a_response_writes_nothing() -> None:
    async def hesitant(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send, b"a")
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    peer = Peer(hesitant)
    assert (await peer.get()).body == b"ab"
    assert peer.transport.writes == 2


async def test_content_for_an_application_that_listens_arrives_as_it_comes() -> None:
    application = Listening()
    peer = Peer(application)
    await peer.send(post(6, b"ab"))
    await peer.send(b"cd")
    assert [message["body"] for message in application.messages] == [b"ab", b"cd"]
    assert all(message["more_body"] for message in application.messages)
    await peer.send(b"ef")
    assert application.messages[-1]["more_body"] is False


async def test_the_content_of_many_reads_is_one_event() -> None:
    application = Held()
    bodies = []

    async def reads_later(scope: Scope, receive: Receive, send: Send) -> None:
        await application.released.wait()
        bodies.append(await read_body(receive))
        await hello(scope, receive, send)

    peer = Peer(reads_later)
    await peer.send(post(3, b"a"))
    await peer.send(b"b")
    await peer.send(b"c")
    application.release()
    await turns()
    assert bodies == [b"abc"]
    assert peer.response().status == 200
