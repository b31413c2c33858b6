"""The ways in which a connection ends, and who hears of it."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.errors import ClientDisconnected
from tidegate.exchange.service import Policy
from tidegate.net.connection import Connection
from tidegate.testing.peer import Peer, turns
from tidegate.testing.transport import FakeTransport

from .applications import GET, Held, Listening, begin, chunked_post, hello, is_left, post, respond


def get(version: str = "1.1", headers: str = "") -> str:
    return f"GET / HTTP/{version}\r\nHost: test\r\n{headers}\r\n"


class Streaming:
    """Sends pieces when told, until told to end; keeps what ``send`` raised."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()  # an empty one is the last
        self.error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send, b"begun")
        piece = b"more"
        try:
            while piece:
                piece = await self.pieces.get()
                message = {"type": "http.response.body", "body": piece, "more_body": bool(piece)}
                await send(message)
        except BaseException as error:
            self.error = error
            raise

    async def send(self, piece: bytes) -> None:
        self.pieces.put_nowait(piece)
        await turns()


# The client ends.


async def test_a_client_that_closes_its_sending_half_still_gets_the_answer() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(GET)
    await peer.half_close()
    assert not peer.transport.closed
    application.release()
    await turns()
    assert peer.response().body == b"/"
    assert peer.response().header("connection") == "close"
    assert peer.transport.closed


async def test_a_client_that_closes_its_sending_half_gets_the_rest_of_a_stream() -> None:
    application = Streaming()
    peer = Peer(application)
    await peer.send(GET)
    await peer.half_close()
    await application.send(b"more")
    await application.send(b"")
    assert peer.response().body == b"begunmore"
    assert peer.transport.closed
    assert application.error is None


async def test_an_application_that_listens_hears_that_the_client_sends_no_more() -> None:
    application = Listening()
    peer = Peer(application)
    await peer.send(GET)
    assert not application.told_of_disconnect
    await peer.half_close()
    assert application.told_of_disconnect


async def test_an_idle_client_that_closes_its_sending_half_is_closed() -> None:
    peer = Peer(hello)
    await peer.get()
    await peer.half_close()
    assert peer.transport.closed
    assert peer.response().rest == b""


async def test_a_client_that_never_sent_anything_is_closed() -> None:
    peer = Peer(hello)
    await peer.half_close()
    assert peer.transport.closed
    assert peer.transport.output == b""


async def test_an_end_inside_a_head_is_a_bad_request() -> None:
    peer = Peer(hello)
    await peer.send(GET[:10])
    await peer.half_close()
    assert peer.response().status == 400
    await peer.wait(2)
    assert peer.transport.closed


@pytest.mark.parametrize("request_", [post(10, b"abc"), chunked_post(b"5\r\nabc")])
async def test_an_end_inside_a_body_is_a_bad_request_and_a_disconnect(request_: bytes) -> None:
    application = Listening()
    peer = Peer(application)
    await peer.send(request_)
    await peer.half_close()
    assert application.body == b"abc"
    assert application.told_of_disconnect
    assert peer.response().status == 400


async def test_an_end_inside_a_body_cuts_a_response_that_has_begun() -> None:
    application = Listening(early=True)
    peer = Peer(application)
    await peer.send(post(10, b"abc"))
    await peer.half_close()
    assert application.told_of_disconnect
    assert peer.transport.aborted
    assert peer.transport.output.count(b"HTTP/1.1") == 1


# The connection is lost.


async def test_an_application_that_listens_hears_that_the_connection_was_lost() -> None:
    application = Listening()
    peer = Peer(application)
    await peer.send(post(10, b"abc"))
    await peer.leave()
    assert [message["type"] for message in application.messages] == [
        "http.request",
        "http.disconnect",
    ]


async def test_an_application_that_sends_after_the_connection_was_lost_gets_an_error() -> None:
    application = Streaming()
    peer = Peer(application, Policy(on_disconnect="raise"))
    await peer.send(GET)
    await peer.leave()
    await application.send(b"more")
    assert isinstance(application.error, ClientDisconnected)


async def test_a_connection_that_was_lost_is_forgotten() -> None:
    changes = []
    peer = Peer(hello)
    peer.service.on_change = lambda: changes.append(len(peer.worker.connections))
    assert peer.worker.connections == {peer.connection}
    assert peer.clock.watched == {peer.connection}
    await peer.get()
    await peer.leave()
    assert peer.worker.connections == set()
    assert peer.clock.watched == set()
    assert changes == [0]
    await peer.wait(60)


async def test_the_loss_of_one_connection_does_not_touch_another() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(GET)
    first = peer.transport
    peer.connect()
    await peer.send(GET)
    await peer.leave()
    application.release()
    await turns()
    assert b"200 OK" in first.output
    assert peer.transport.output == b""


async def test_bytes_that_arrive_after_the_last_answer_are_dropped() -> None:
    application = Held()
    application.release()
    peer = Peer(application)
    await peer.send(b"nonsense\r\n\r\n")
    await peer.send(GET)
    assert application.paths == []
    assert peer.transport.output.count(b"HTTP/1.1") == 1


async def test_a_client_that_ends_after_its_last_answer_is_closed() -> None:
    peer = Peer(hello)
    await peer.send(b"nonsense\r\n\r\n")
    await peer.half_close()
    assert peer.transport.closed
    assert not peer.transport.aborted


async def test_a_response_that_fails_half_way_is_cut() -> None:
    async def short(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send, b"a")

    peer = Peer(short)
    await peer.send(GET)
    assert peer.transport.aborted
    assert peer.connection.closing


async def test_refusing_a_client_whose_transport_closes_already_closes() -> None:
    peer = Peer(hello)
    await peer.send(GET[:10])
    peer.transport.closed = True
    await peer.wait(10)
    assert peer.connection.closing
    assert not peer.transport.eof_written


async def test_a_client_that_reads_the_last_answer_and_closes_is_closed() -> None:
    peer = Peer(hello)
    await peer.get(headers="Connection: close\r\n")
    await peer.half_close()
    assert peer.transport.closed
    assert not peer.transport.aborted


# HTTP/1.0 and Connection.


async def test_a_client_of_http_1_0_gets_one_answer() -> None:
    peer = Peer(hello)
    await peer.send(get("1.0"))
    assert peer.response().header("connection") == "close"
    assert is_left(peer)


async def test_a_client_of_http_1_0_may_ask_to_be_kept() -> None:
    peer = Peer(hello)
    for _ in range(2):
        peer.transport.output = b""
        await peer.send(get("1.0", "Connection: keep-alive\r\n"))
        assert peer.response().body == b"hello"
        assert peer.response().header("connection") == "keep-alive"
    assert not peer.transport.closed


async def test_content_of_unknown_length_ends_with_the_connection_in_http_1_0() -> None:
    application = Streaming()
    peer = Peer(application)
    await peer.send(get("1.0", "Connection: keep-alive\r\n"))
    await application.send(b"")
    assert peer.response().header("transfer-encoding") is None
    assert peer.response().header("connection") == "close"
    assert peer.response().body == b"begun"
    assert is_left(peer)


async def test_a_client_that_asks_to_close_is_closed() -> None:
    peer = Peer(hello)
    response = await peer.get(headers="Connection: close\r\n")
    assert response.header("connection") == "close"
    assert is_left(peer)


async def test_an_application_that_asks_to_close_is_heard() -> None:
    async def closing(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, headers=[(b"connection", b"close")])

    peer = Peer(closing)
    response = await peer.get()
    assert [value for name, value in response.headers if name == "connection"] == ["close"]
    assert is_left(peer)


# Draining, before the server stops.


def drain(peer: Peer) -> None:
    peer.worker.draining = True
    for connection in list(peer.worker.connections):
        connection.drain()


@pytest.mark.parametrize("begun", [b"", GET, GET[:10], GET + GET[:10]])
async def test_draining_closes_a_connection_without_a_request_at_once(begun: bytes) -> None:
    peer = Peer(hello)
    await peer.send(begun)
    drain(peer)
    assert peer.transport.closed


async def test_draining_waits_for_the_response_in_progress_and_announces_the_end() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(GET)
    drain(peer)
    await turns()
    assert not peer.transport.closed
    application.release()
    await turns()
    assert peer.response().body == b"/"
    assert peer.response().header("connection") == "close"
    assert is_left(peer)


async def test_draining_lets_a_response_that_has_begun_end() -> None:
    application = Streaming()
    peer = Peer(application)
    await peer.send(GET)
    assert b"connection:" not in peer.transport.output
    drain(peer)
    await application.send(b"more")
    await application.send(b"")
    assert peer.response().body == b"begunmore"
    assert is_left(peer)


async def test_draining_does_not_begin_what_was_sent_ahead() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(GET + GET.replace(b"/", b"/next", 1))
    drain(peer)
    application.release()
    await turns()
    assert application.paths == ["/"]
    assert peer.transport.output.count(b"HTTP/1.1") == 1
    assert is_left(peer)


async def test_draining_leaves_a_connection_alone_that_is_being_left() -> None:
    peer = Peer(hello)
    await peer.send(b"nonsense\r\n\r\n")
    drain(peer)
    assert not peer.transport.closed
    await peer.wait(2)
    assert peer.transport.aborted


# What a connection knows of its peer.


@pytest.mark.parametrize(
    ("peername", "client"),
    [
        (("127.0.0.1", 50000), ("127.0.0.1", 50000)),
        (("::1", 50000, 0, 0), ("::1", 50000)),
        ("", None),
        (None, None),
        (b"\0abstract", ("\0abstract", None)),
        ("/run/client.sock", ("/run/client.sock", None)),
    ],
)
async def test_the_scope_names_the_client(peername: object, client: object) -> None:
    scopes = []

    async def keeps(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await respond(send)

    peer = Peer(keeps, transport=FakeTransport(peername=peername, sockname="/run/server.sock"))
    await peer.get()
    assert scopes[0]["client"] == client
    assert scopes[0]["server"] == ("/run/server.sock", None)


async def test_a_connection_of_any_protocol_may_have_nothing_to_watch() -> None:
    peer = Peer(hello)
    connection = Connection(peer.worker)
    peer.transport.connect(connection)
    connection.watch()
    await peer.wait(5)
    assert peer.transport.closed


async def test_an_application_that_sends_without_end_does_not_keep_a_lost_connection() -> None:
    errors: list[BaseException] = []

    async def flood(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        except OSError as error:
            errors.append(error)

    class Lost(FakeTransport):
        """Fails in a write, as a socket does whose peer has reset it."""

        def write(self, data: bytes | bytearray | memoryview) -> None:
            super().write(data)
            if self.writes == 10:
                self.lose(ConnectionResetError())

    peer = Peer(flood, transport=Lost())
    await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert len(errors) == 1
