"""How long a client may take: for its first byte, a head, a body, a response, the next request."""

from __future__ import annotations

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.exchange.service import Policy
from tidegate.net.timeouts import Rate, Timeouts
from tidegate.testing.peer import Peer, turns

from .applications import (
    GET,
    Held,
    Listening,
    begin,
    by_path,
    chunked_post,
    flooding,
    hello,
    is_left,
    post,
    read_body,
    reading,
    respond,
)

WITHOUT_RATE = Timeouts(min_rate=0)


def is_open(peer: Peer) -> bool:
    return not is_left(peer)


# The first byte and the head.


async def test_a_client_that_sends_nothing_is_left_after_five_seconds() -> None:
    peer = Peer(hello)
    await peer.wait(4)
    assert is_open(peer)
    await peer.wait(1)
    assert peer.transport.closed
    assert peer.transport.output == b""


async def test_a_head_that_comes_byte_by_byte_is_refused_ten_seconds_after_its_first_byte() -> None:
    peer = Peer(hello)
    for byte in b"GET / HTTP":
        assert is_open(peer)
        await peer.send(bytes([byte]))
        await peer.wait(1)
    assert peer.response().status == 408
    assert peer.response().header("connection") == "close"
    assert peer.transport.eof_written


async def test_the_time_for_a_head_begins_with_its_first_byte() -> None:
    peer = Peer(hello)
    await peer.wait(4)
    await peer.send(b"G")
    await peer.wait(9)
    assert is_open(peer)
    await peer.wait(1)
    assert peer.response().status == 408


async def test_an_empty_line_is_not_yet_a_head() -> None:
    peer = Peer(hello)
    await peer.send(b"\r\n")
    await peer.wait(5)
    assert peer.transport.closed
    assert peer.transport.output == b""


async def test_a_head_in_time_is_answered_and_leaves_no_deadline_behind() -> None:
    peer = Peer(hello)
    await peer.send(GET[:10])
    await peer.wait(9)
    await peer.send(GET[10:])
    assert peer.response().status == 200
    await peer.wait(4)
    assert is_open(peer)


# Between requests.


async def test_an_idle_connection_is_closed_after_the_keep_alive_time() -> None:
    peer = Peer(hello)
    await peer.get()
    await peer.wait(4)
    assert is_open(peer)
    await peer.wait(1)
    assert peer.transport.closed
    assert peer.response().rest == b""


async def test_each_response_begins_the_keep_alive_time_anew() -> None:
    peer = Peer(hello, timeouts=Timeouts(keep_alive=3))
    for _ in range(4):
        assert (await peer.get()).status == 200
        await peer.wait(2)
    await peer.wait(1)
    assert peer.transport.closed


async def test_the_next_head_has_the_time_of_a_head_once_it_has_begun() -> None:
    peer = Peer(hello)
    await peer.get()
    await peer.wait(4)
    await peer.send(GET[:1])
    await peer.wait(9)
    assert is_open(peer)
    await peer.send(GET[1:])
    assert peer.transport.output.count(b"200 OK") == 2


async def test_the_time_of_the_application_is_not_limited() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(GET)
    await peer.wait(1000)
    assert is_open(peer)
    application.release()
    await peer.wait(1)
    assert peer.response().body == b"/"


# The body.


async def test_a_body_that_stalls_is_refused_after_thirty_seconds() -> None:
    application = Listening()
    peer = Peer(application, timeouts=WITHOUT_RATE)
    await peer.send(post(10, b"a"))
    await peer.wait(29)
    assert is_open(peer)
    await peer.wait(1)
    assert peer.response().status == 408
    assert "no byte for 30 s" in peer.response().body.decode()
    assert application.told_of_disconnect


async def test_every_byte_of_a_body_begins_the_stall_time_anew() -> None:
    peer = Peer(reading, timeouts=WITHOUT_RATE)
    await peer.send(post(4))
    for byte in b"abcd":
        await peer.wait(29)
        assert is_open(peer)
        await peer.send(bytes([byte]))
    assert peer.response().body == b"abcd"


@pytest.mark.parametrize("head", [post(100_000), chunked_post()])
async def test_a_body_slower_than_the_minimum_rate_is_refused_after_ten_seconds(
    head: bytes,
) -> None:
    peer = Peer(reading)
    await peer.send(head)
    piece = b"1a9\r\n" + b"x" * 0x1A9 + b"\r\n" if b"chunked" in head else b"x" * 430
    for _ in range(9):
        await peer.send(piece)
        await peer.wait(1)
        assert is_open(peer)
    await peer.send(piece)
    await peer.wait(1)
    assert peer.response().status == 408
    assert "500 bytes a second" in peer.response().body.decode()


async def test_a_body_at_the_minimum_rate_may_take_as_long_as_it_needs() -> None:
    peer = Peer(reading)
    await peer.send(post(60 * 520))
    for _ in range(60):
        assert is_open(peer)
        await peer.send(b"x" * 520)
        await peer.wait(1)
    assert peer.response().body == b"x" * 60 * 520


async def test_a_body_that_stalls_while_the_response_is_being_sent_cuts_the_connection() -> None:
    application = Listening(early=True)
    peer = Peer(application)
    await peer.send(post(10, b"a"))
    await peer.wait(10)
    assert peer.transport.aborted
    assert peer.transport.output.count(b"HTTP/1.1") == 1
    assert application.told_of_disconnect


async def test_the_time_in_which_the_application_does_not_read_is_not_the_clients() -> None:
    application = Held()
    bodies = []

    async def reads_later(scope: Scope, receive: Receive, send: Send) -> None:
        await application.released.wait()
        bodies.append(await read_body(receive))
        await respond(send)

    peer = Peer(reads_later)
    await peer.send(post(200_000))
    await peer.send(b"x" * 100_000)
    assert not peer.transport.reading
    await peer.wait(1000)
    assert is_open(peer)
    application.release()
    await turns()
    assert peer.transport.reading
    await peer.wait(9)
    assert is_open(peer)
    await peer.send(b"x" * 100_000)
    assert peer.response().status == 200
    assert bodies == [b"x" * 200_000]


async def test_a_client_may_stall_no_longer_once_the_application_reads_again() -> None:
    application = Held()

    async def reads_later(scope: Scope, receive: Receive, send: Send) -> None:
        await application.released.wait()
        await read_body(receive)

    peer = Peer(reads_later)
    await peer.send(post(200_000))
    await peer.send(b"x" * 100_000)
    await peer.wait(100)
    application.release()
    await turns()
    await peer.wait(9)
    assert is_open(peer)
    await peer.wait(1)
    assert peer.response().status == 408


# The response.


async def test_a_client_that_takes_nothing_is_cut_after_thirty_seconds() -> None:
    peer = Peer(flooding, timeouts=WITHOUT_RATE)
    peer.transport.stall()
    await peer.send(GET)
    await peer.wait(29)
    assert is_open(peer)
    await peer.wait(1)
    assert peer.transport.aborted


async def test_every_byte_taken_begins_the_write_stall_time_anew() -> None:
    peer = Peer(flooding, timeouts=WITHOUT_RATE)
    peer.transport.stall()
    await peer.send(GET)
    for _ in range(4):
        await peer.wait(29)
        assert is_open(peer)
        peer.transport.flow(1)
        await peer.wait(1)


async def test_a_client_slower_than_the_minimum_rate_is_cut_after_ten_seconds() -> None:
    peer = Peer(flooding)
    peer.transport.stall()
    await peer.send(GET)
    for _ in range(9):
        peer.transport.flow(450)
        await peer.wait(1)
        assert is_open(peer)
    peer.transport.flow(450)
    await peer.wait(1)
    assert peer.transport.aborted


async def test_a_client_at_the_minimum_rate_may_take_as_long_as_it_needs() -> None:
    peer = Peer(flooding)
    peer.transport.stall()
    await peer.send(GET)
    for _ in range(60):
        peer.transport.flow(520)
        await peer.wait(1)
        assert is_open(peer)


async def test_a_response_that_the_network_holds_is_not_lost_to_the_keep_alive_time() -> None:
    peer = Peer(hello)
    peer.transport.stall()
    await peer.send(GET)
    await peer.wait(9)
    assert is_open(peer)
    peer.transport.flow()
    assert peer.response().body == b"hello"


async def test_the_keep_alive_time_begins_when_the_network_has_taken_the_response() -> None:
    peer = Peer(hello)
    peer.transport.stall()
    await peer.send(GET)
    await peer.wait(8)
    peer.transport.flow()
    await peer.wait(5)
    assert is_open(peer)
    await peer.wait(1)
    assert peer.transport.closed
    assert not peer.transport.aborted


async def test_a_finished_response_that_nobody_takes_does_not_hold_the_connection() -> None:
    peer = Peer(hello)
    peer.transport.stall()
    await peer.send(GET)
    await peer.wait(20)
    assert peer.transport.aborted


async def test_a_client_that_stalls_and_then_reads_everything_keeps_its_connection() -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x" * 1_000_000)

    peer = Peer(large)
    peer.transport.stall()
    await peer.send(GET)
    await peer.wait(9)
    peer.transport.flow()
    await peer.wait(4)
    assert is_open(peer)
    assert (await peer.get()).body == b"x" * 1_000_000


async def test_a_stalled_client_is_cut_although_it_sends_another_request() -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x" * 1_000_000)

    peer = Peer(by_path(large=large, flood=flooding))
    peer.transport.stall()
    await peer.send(GET.replace(b"/", b"/large", 1) + GET.replace(b"/", b"/flood", 1))
    await peer.wait(40)
    assert peer.transport.aborted


async def test_a_stalled_client_is_cut_although_it_sends_more_requests_than_we_hold() -> None:
    peer = Peer(flooding)
    peer.transport.stall()
    await peer.send(GET)
    await peer.send(GET * 3000)
    assert not peer.transport.reading
    await peer.wait(40)
    assert peer.transport.aborted


async def test_a_stalled_client_is_cut_although_it_goes_on_with_its_body() -> None:
    peer = Peer(flooding)
    peer.transport.stall()
    await peer.send(post(5, b"ab"))
    await peer.send(b"cde")
    await peer.wait(40)
    assert peer.transport.aborted


async def test_a_stalled_client_is_cut_although_the_application_stops_reading_its_body() -> None:
    peer = Peer(flooding)
    peer.transport.stall()
    await peer.send(post(200_000, b"ab"))
    await peer.send(b"x" * 100_000)
    assert not peer.transport.reading
    await peer.wait(40)
    assert peer.transport.aborted


async def test_a_body_is_watched_again_when_the_client_has_taken_the_response() -> None:
    async def talks_then_reads(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send, b"x" * 100_000)
        await read_body(receive)

    peer = Peer(talks_then_reads)
    peer.transport.stall()
    await peer.send(post(10, b"a"))
    await peer.wait(5)
    peer.transport.flow()
    await peer.wait(9)
    assert is_open(peer)
    await peer.wait(2)
    assert peer.transport.aborted


# The end.


async def test_a_client_that_does_not_close_is_cut_two_seconds_after_the_last_answer() -> None:
    peer = Peer(hello)
    await peer.send(b"nonsense\r\n\r\n")
    assert peer.transport.eof_written
    await peer.wait(1)
    assert not peer.transport.closed
    await peer.wait(1)
    assert peer.transport.aborted
    assert peer.response().status == 400


async def test_a_last_response_that_nobody_takes_does_not_hold_the_connection() -> None:
    peer = Peer(hello)
    peer.transport.stall()
    await peer.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert is_left(peer)
    await peer.wait(20)
    assert peer.transport.aborted


async def test_a_client_that_takes_the_last_response_slowly_gets_all_of_it() -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x" * 20_000)

    peer = Peer(large)
    peer.transport.stall()
    await peer.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    for _ in range(21):
        peer.transport.flow(1000)
        await peer.wait(1)
    await peer.half_close()
    assert peer.transport.closed
    assert not peer.transport.aborted
    assert peer.response().body == b"x" * 20_000


async def test_a_client_that_is_left_while_congested_is_watched_until_it_has_everything() -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x" * 100_000)

    peer = Peer(large, Policy(on_disconnect="raise"))
    peer.transport.stall()
    await peer.send(post(1_000_000, b"a"))
    assert peer.transport.eof_written
    await peer.wait(5)
    assert not peer.transport.closed
    peer.transport.flow()
    await peer.wait(1)
    assert not peer.transport.closed
    await peer.wait(1)
    assert peer.transport.aborted
    assert peer.response().body == b"x" * 100_000


# The rate itself.


def test_a_rate_counts_from_its_restart() -> None:
    rate = Rate(Timeouts(), stall=30)
    rate.restart(100)
    assert rate.too_slow(109) is None
    assert rate.too_slow(110) == "fewer than 500 bytes a second"
    rate.restart(110)
    assert rate.too_slow(119) is None


def test_a_rate_is_an_average_over_the_whole_time() -> None:
    rate = Rate(Timeouts(), stall=30)
    rate.restart(0)
    rate.add(10_000, 1)
    assert rate.too_slow(20) is None
    assert rate.too_slow(21) == "fewer than 500 bytes a second"


def test_a_minimum_rate_of_nought_leaves_only_the_stall() -> None:
    rate = Rate(WITHOUT_RATE, stall=30)
    rate.restart(0)
    assert rate.too_slow(29) is None
    rate.add(0, 29)
    assert rate.too_slow(30) == "no byte for 30 s"
    rate.add(1, 30)
    assert rate.too_slow(59) is None
