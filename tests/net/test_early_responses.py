"""Responses that come before the content of their request, and clients that wait for our word."""

from __future__ import annotations

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.testing.peer import Peer, turns
from tidegate.testing.transport import FakeTransport

from .applications import (
    GET,
    Held,
    Listening,
    begin,
    chunked_post,
    hello,
    is_left,
    post,
    read_body,
    reading,
    respond,
)

EXPECT = "Expect: 100-continue\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

MIB = 1024 * 1024


def responses(peer: Peer) -> int:
    return peer.transport.output.count(b"HTTP/1.1 ")


# Content that nobody wants.


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        (post(60_000, b"x" * 10_000), b"x" * 50_000),
        (chunked_post(b"5\r\nab"), b"cde\r\n3\r\nfgh\r\n0\r\n\r\n"),
        (chunked_post(b"5\r\nab"), b"cde\r\n0\r\nX-Sum: 1\r\n\r\n"),
    ],
)
async def test_a_small_rest_is_dropped_and_the_connection_used_again(
    begun: bytes, rest: bytes
) -> None:
    peer = Peer(hello)
    await peer.send(begun)
    assert peer.response().header("connection") is None
    await peer.send(rest)
    assert responses(peer) == 1
    assert (await peer.get()).status == 200
    assert not peer.transport.closed


async def test_a_request_behind_a_rest_that_is_dropped_is_answered() -> None:
    peer = Peer(hello)
    await peer.send(post(10, b"x"))
    await peer.send(b"x" * 9 + GET)
    assert responses(peer) == 2


async def test_half_a_request_behind_a_rest_that_is_dropped_has_the_time_of_a_head() -> None:
    peer = Peer(hello)
    await peer.send(post(10, b"x"))
    await peer.send(b"x" * 9 + GET[:5])
    await peer.wait(9)
    assert not peer.transport.closed
    await peer.wait(1)
    assert peer.response().rest.startswith(b"HTTP/1.1 408 ")


async def test_a_broken_request_behind_a_rest_that_is_dropped_is_refused() -> None:
    peer = Peer(hello)
    await peer.send(post(10, b"x"))
    await peer.send(b"x" * 9 + b"nonsense\r\n\r\n")
    assert peer.response().rest.startswith(b"HTTP/1.1 400 ")


async def test_an_idle_connection_after_a_rest_that_was_dropped_is_closed_in_time() -> None:
    peer = Peer(hello)
    await peer.send(post(10, b"x"))
    await peer.send(b"x" * 9)
    await peer.wait(4)
    assert not peer.transport.closed
    await peer.wait(1)
    assert peer.transport.closed
    assert responses(peer) == 1


async def test_a_large_rest_is_not_waited_for() -> None:
    peer = Peer(hello)
    await peer.send(post(MIB, b"x" * 1000))
    assert peer.response().status == 200
    assert peer.response().header("connection") == "close"
    assert peer.transport.eof_written
    assert not peer.transport.closed


async def test_a_client_may_go_on_sending_while_it_reads_the_last_answer() -> None:
    peer = Peer(hello)
    await peer.send(post(MIB, b"x" * 1000))
    for _ in range(10):
        await peer.send(b"x" * 100_000)
    assert not peer.transport.closed
    await peer.half_close()
    assert peer.transport.closed
    assert not peer.transport.aborted
    assert responses(peer) == 1


async def test_a_client_that_never_stops_sending_is_cut_after_4_mib() -> None:
    peer = Peer(hello)
    await peer.send(post(100 * MIB))
    for _ in range(4):
        await peer.send(b"x" * MIB)
    assert not peer.transport.aborted
    await peer.send(b"x")
    assert peer.transport.aborted


async def test_a_rest_of_unknown_length_that_turns_out_to_be_large_closes_the_connection() -> None:
    peer = Peer(hello)
    await peer.send(chunked_post())
    assert peer.response().header("connection") is None
    for _ in range(4):
        await peer.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        assert not peer.transport.eof_written
    await peer.send(b"1\r\nx\r\n")
    assert peer.transport.eof_written
    assert responses(peer) == 1


async def test_content_dropped_for_one_request_does_not_count_for_the_next() -> None:
    peer = Peer(hello)
    for _ in range(3):
        await peer.send(chunked_post())
        await peer.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n0\r\n\r\n")
    assert not peer.transport.eof_written
    assert responses(peer) == 3


async def test_reading_that_was_stopped_goes_on_when_the_rest_is_too_large() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(post(10 * MIB))
    await peer.send(b"x" * 100_000)
    assert not peer.transport.reading
    application.release()
    await turns()
    assert peer.transport.eof_written
    assert peer.transport.reading


class WithoutHalfClose(FakeTransport):
    """As a TLS transport is."""

    def can_write_eof(self) -> bool:
        return False


async def test_a_transport_that_cannot_close_one_half_is_closed() -> None:
    peer = Peer(hello, transport=WithoutHalfClose())
    await peer.send(post(MIB, b"x" * 1000))
    assert peer.response().status == 200
    assert peer.transport.closed
    assert not peer.transport.eof_written


# A rest that is broken, or does not come.  The request has its answer: another
# one would be taken for the answer to the next request.


@pytest.mark.parametrize("rest", [b"cdeXX", b"cde\r\nnonsense\r\n"])
async def test_a_broken_rest_gets_no_second_answer(rest: bytes) -> None:
    peer = Peer(hello)
    await peer.send(chunked_post(b"5\r\nab"))
    await peer.send(rest)
    assert responses(peer) == 1
    assert is_left(peer)


@pytest.mark.parametrize("head", [post(10, b"x"), chunked_post(b"5\r\nab")])
async def test_a_rest_that_does_not_come_gets_no_second_answer(head: bytes) -> None:
    peer = Peer(hello)
    await peer.send(head)
    await peer.wait(30)
    assert responses(peer) == 1
    assert peer.transport.closed


@pytest.mark.parametrize("head", [post(10, b"x"), chunked_post(b"5\r\nab")])
async def test_a_rest_that_the_client_gives_up_gets_no_second_answer(head: bytes) -> None:
    peer = Peer(hello)
    await peer.send(head)
    await peer.half_close()
    assert responses(peer) == 1
    await peer.wait(3)
    assert peer.transport.closed


# Expect: 100-continue (RFC 9110 section 10.1.1).


async def test_the_client_is_told_to_go_on_when_the_application_wants_content() -> None:
    peer = Peer(reading)
    await peer.send(post(5, headers=EXPECT))
    assert peer.transport.output == CONTINUE
    peer.transport.output = b""
    await peer.send(b"hello")
    assert peer.response().body == b"hello"
    assert (await peer.get()).status == 200


async def test_the_client_is_told_to_go_on_once() -> None:
    peer = Peer(Listening())
    await peer.send(post(5, headers=EXPECT))
    await peer.send(b"a")
    await peer.send(b"b")
    assert peer.transport.output == CONTINUE


async def test_the_client_is_not_told_to_go_on_before_the_application_asks() -> None:
    application = Held()

    async def reads_later(scope: Scope, receive: Receive, send: Send) -> None:
        await application.released.wait()
        await respond(send, await read_body(receive))

    peer = Peer(reads_later)
    await peer.send(post(5, headers=EXPECT))
    await peer.wait(100)
    assert peer.transport.output == b""
    assert not peer.transport.closed
    application.release()
    await turns()
    assert peer.transport.output == CONTINUE
    await peer.wait(9)
    assert not peer.transport.eof_written
    await peer.wait(1)
    assert peer.transport.output.startswith(CONTINUE + b"HTTP/1.1 408 ")


async def test_an_answer_instead_of_the_word_to_go_on_is_the_last_one() -> None:
    peer = Peer(hello)
    await peer.send(post(5, headers=EXPECT))
    assert peer.response().status == 200
    assert peer.response().header("connection") == "close"
    assert CONTINUE not in peer.transport.output
    assert peer.transport.eof_written


async def test_an_application_that_has_begun_to_answer_does_not_tell_the_client_to_go_on() -> None:
    peer = Peer(Listening(early=True))
    await peer.send(post(5, headers=EXPECT))
    assert CONTINUE not in peer.transport.output
    assert b"connection: close\r\n" in peer.transport.output


async def test_a_client_that_did_not_wait_is_not_told_to_go_on() -> None:
    peer = Peer(reading)
    await peer.send(post(5, b"he", headers=EXPECT))
    await peer.send(b"llo")
    assert peer.response().body == b"hello"
    assert CONTINUE not in peer.transport.output


@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_that_did_not_wait_may_not_stall_either(reads: bool) -> None:
    application = Held()

    async def reads_later(scope: Scope, receive: Receive, send: Send) -> None:
        await application.released.wait()
        await respond(send, await read_body(receive))

    peer = Peer(reads_later)
    await peer.send(post(5, headers=EXPECT))
    await peer.send(b"a")
    if reads:
        application.release()
        await turns()
    await peer.wait(31)
    assert peer.response().status == 408
    application.release()
    await turns()


async def test_the_word_to_go_on_is_not_said_to_a_later_request() -> None:
    application = Held()

    async def impatient(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            await application.released.wait()
        else:
            await read_body(receive)
            await receive()
        await respond(send)

    peer = Peer(impatient)
    await peer.send(post(5, headers=EXPECT))
    await peer.send(b"hello")
    application.release()
    await turns()
    assert peer.response().status == 200
    peer.transport.output = b""
    await peer.send(GET)
    assert peer.transport.output == b""


async def test_a_client_of_http_1_0_is_not_told_to_go_on() -> None:
    peer = Peer(reading)
    await peer.send(post(5, headers=EXPECT).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert peer.transport.output == b""
    await peer.send(b"hello")
    assert peer.response().body == b"hello"


async def test_a_request_without_content_is_not_told_to_go_on() -> None:
    async def listens(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await begin(send, b"a")
        await send({"type": "http.response.body", "body": b"b"})

    peer = Peer(listens)
    response = await peer.get(headers=EXPECT)
    assert response.body == b"ab"


async def test_an_expectation_we_do_not_know_is_refused() -> None:
    peer = Peer(hello)
    await peer.send(post(5, headers="Expect: miracles\r\n"))
    assert peer.response().status == 417
