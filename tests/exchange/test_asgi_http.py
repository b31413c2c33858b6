"""Items 37 to 52 of the ASGI checklist: the events of a request and a response."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tidegate.errors import AppError
from tidegate.exchange.access import AccessLog, format_address
from tidegate.exchange.service import Policy
from tidegate.testing.peer import Peer, turns

from .applications import Recorded, body, echo, hello, sends, start

GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def post(content: str, length: int | None = None) -> str:
    size = len(content) if length is None else length
    return f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{content}"


async def test_37_a_request_without_content_is_one_event():
    events = []

    async def application(scope, receive, send):
        events.append(await receive())
        await hello(scope, receive, send)

    await Peer(application).get()
    assert events == [{"type": "http.request", "body": b"", "more_body": False}]


async def test_37_content_is_unchunked_and_streamed():
    events = []

    async def application(scope, receive, send):
        while not events or events[-1]["more_body"]:
            events.append(await receive())
        await hello(scope, receive, send)

    peer = Peer(application)
    await peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await peer.send("2\r\nde\r\n")
    await peer.send("0\r\nX-Trailer: y\r\n\r\n")
    assert [(event["body"], event["more_body"]) for event in events] == [
        (b"abc", True),
        (b"de", True),
        (b"", False),
    ]


async def test_38_nothing_is_read_ahead_of_an_application_that_does_not_ask():
    go_on = asyncio.Event()

    async def application(scope, receive, send):
        await go_on.wait()
        await echo(scope, receive, send)

    peer = Peer(application, Policy(max_read_ahead=1000))
    await peer.send(post("x" * 600, 2400))
    assert peer.transport.reading
    await peer.send("x" * 600)
    assert not peer.transport.reading
    go_on.set()
    await turns()
    assert peer.transport.reading
    await peer.send("x" * 1200)
    assert peer.response().body == b"x" * 2400


async def test_39_100_continue_is_sent_when_the_application_asks_for_content():
    go_on = asyncio.Event()

    async def application(scope, receive, send):
        await go_on.wait()
        await echo(scope, receive, send)

    peer = Peer(application)
    head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    await peer.send(head)
    assert peer.transport.output == b""
    go_on.set()
    await turns()
    assert peer.transport.output == b"HTTP/1.1 100 Continue\r\n\r\n"
    await peer.send("abc")
    peer.transport.output = peer.transport.output.partition(b"\r\n\r\n")[2]
    assert peer.response().body == b"abc"


async def test_39_100_continue_is_not_sent_to_an_application_that_answers_at_once():
    peer = Peer(hello)
    head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    await peer.send(head)
    response = peer.response()
    assert (response.status, response.header("connection")) == (200, "close")


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda pairs: (pair for pair in pairs)])
async def test_40_headers_may_be_any_iterable(kind):
    pairs = [[b"a", b"1"], (b"b", b"2")]
    message = {"type": "http.response.start", "status": 201, "headers": kind(pairs)}
    response = await Peer(sends(message, body())).get()
    assert (response.status, response.header("a"), response.header("b")) == (201, "1", "2")


async def test_40_headers_may_be_left_out():
    response = await Peer(sends({"type": "http.response.start", "status": 200}, body(b"x"))).get()
    assert response.body == b"x"


async def test_41_order_and_duplicates_of_headers_are_kept():
    headers = [(b"b", b"1"), (b"a", b"2"), (b"b", b"3")]
    response = await Peer(sends(start(200, *headers), body())).get()
    given = [pair for pair in response.headers if pair[0] in "ab"]
    assert given == [("b", "1"), ("a", "2"), ("b", "3")]


@pytest.mark.parametrize("coding", [b"chunked", b"gzip, chunked", b"gzip"])
async def test_42_transfer_encoding_of_the_application_is_ignored(coding):
    header = (b"Transfer-Encoding", coding)
    whole = await Peer(sends(start(200, header), body(b"x"))).get()
    assert (whole.header("transfer-encoding"), whole.header("content-length")) == (None, "1")
    peer = Peer(sends(start(200, header), body(b"x", True), body(b"y")))
    await peer.send(GET)
    assert peer.transport.output.lower().count(b"transfer-encoding") == 1
    assert peer.response().body == b"xy"


@pytest.mark.parametrize(
    "header",
    [
        (b"a\r\nb", b"c"),
        (b"a", b"b\r\nSet-Cookie: c"),
        (b"a", b"b\nc"),
        (b"a", b"b\rc"),
        (b"a", b"b\x00c"),
        (b"a b", b"c"),
        (b"", b"c"),
        (b":status", b"200"),
        (b"content-length", b"+5"),
        (b"content-length", b"5, 5"),
        (b"content-length", b"9" * 19),
    ],
)
async def test_43_a_bad_header_is_refused_and_answered_500(header, caplog):
    response = await Peer(sends(start(200, header), body(b"x"))).get()
    assert (response.status, response.body) == (500, b"Internal Server Error")
    assert "AppError" in caplog.text


async def test_44_the_head_is_held_until_the_first_content():
    go_on = asyncio.Event()

    async def application(scope, receive, send):
        await send(start())
        await go_on.wait()
        raise ValueError("in time for a proper answer")

    peer = Peer(application)
    await peer.send(GET)
    assert peer.transport.output == b""
    go_on.set()
    await turns()
    assert peer.response().status == 500


async def test_45_send_waits_for_a_client_that_does_not_read():
    sent = []

    async def application(scope, receive, send):
        await send(start())
        for number in range(100):
            await send(body(b"x" * 10_000, True))
            sent.append(number)
        await send(body())

    peer = Peer(application)
    peer.transport.stall()
    await peer.send(GET)
    assert len(sent) * 10_000 <= 80_000
    peer.transport.flow()
    await turns(200)
    assert len(sent) == 100
    assert len(peer.response().body) == 1_000_000


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_46_content_may_be_any_kind_of_bytes(kind):
    response = await Peer(sends(start(), body(kind(b"abc"), True), body(kind(b"def")))).get()
    assert response.body == b"abcdef"


async def test_46_a_buffer_may_be_used_again_at_once():
    async def application(scope, receive, send):
        buffer = bytearray(b"aaa")
        await send(start())
        await send(body(buffer, True))
        buffer[:] = b"bbb"
        await send(body(buffer))

    peer = Peer(application)
    peer.transport.stall()
    await peer.send(GET)
    peer.transport.flow()
    assert peer.response().body == b"aaabbb"


async def test_47_content_in_one_piece_gets_a_length():
    response = await Peer(hello).get()
    assert response.header("content-length") == "5"


async def test_47_content_in_pieces_is_chunked():
    peer = Peer(sends(start(), body(b"abc", True), body(b"", True), body(b"de", True), body()))
    response = await peer.get()
    assert response.header("transfer-encoding") == "chunked"
    assert peer.transport.output.endswith(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")


async def test_47_content_in_pieces_ends_with_the_connection_in_http_1_0():
    peer = Peer(sends(start(), body(b"abc", True), body(b"de")))
    await peer.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert peer.response().header("connection") == "close"
    assert peer.transport.output.endswith(b"\r\n\r\nabcde")
    assert peer.transport.eof_written


LENGTH_3 = (b"content-length", b"3")


@pytest.mark.parametrize(
    "messages",
    [
        (start(200, LENGTH_3), body(b"abcd")),
        (start(200, LENGTH_3), body(b"ab")),
        (start(200, LENGTH_3), body()),
        (start(200, LENGTH_3, (b"content-length", b"4")), body(b"abc")),
    ],
)
async def test_48_a_wrong_length_is_an_error_while_nothing_was_sent(messages, caplog):
    response = await Peer(sends(*messages)).get()
    assert response.status == 500
    assert "content-length" in caplog.text


@pytest.mark.parametrize("last", [body(b"cde"), body(b""), body(b"cde", True)])
async def test_48_a_wrong_length_aborts_what_was_begun(last):
    application = Recorded(start(200, LENGTH_3), body(b"ab", True), last)
    peer = Peer(application)
    await peer.send(GET)
    assert peer.transport.output.endswith(b"\r\n\r\nab")
    assert peer.transport.aborted
    assert [type(error) for error in application.errors] == [AppError]


async def test_48_after_a_wrong_length_a_new_start_is_allowed():
    application = Recorded(start(200, LENGTH_3), body(b"abcd"), start(), body(b"right"))
    assert (await Peer(application).get()).body == b"right"


async def test_48_the_same_length_given_twice_is_sent_once():
    peer = Peer(sends(start(200, LENGTH_3, LENGTH_3), body(b"abc")))
    await peer.send(GET)
    assert peer.transport.output.count(b"content-length") == 1


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("pieces", [1, 3])
async def test_49_responses_without_content_have_none_whatever_the_application_sends(
    status, pieces
):
    content = [body(b"not sent", True)] * (pieces - 1) + [body(b"not sent")]
    peer = Peer(sends(start(status), *content))
    await peer.send(GET)
    assert peer.transport.output.startswith(f"HTTP/1.1 {status} ".encode())
    assert peer.transport.output.endswith(b"\r\n\r\n")
    assert b"transfer-encoding" not in peer.transport.output
    assert b"content-length" not in peer.transport.output
    assert (await peer.get("/again")).status == status


async def test_49_a_204_has_no_length_and_a_304_keeps_it():
    assert (await Peer(sends(start(204, LENGTH_3), body())).get()).header("content-length") is None
    kept = await Peer(sends(start(304, LENGTH_3), body())).get()
    assert kept.header("content-length") == "3"


@pytest.mark.parametrize(
    ("messages", "length"),
    [
        ((start(), body(b"hello")), "5"),
        ((start(), body()), None),
        ((start(200, LENGTH_3), body()), "3"),
        ((start(200, LENGTH_3), body(b"abc")), "3"),
        ((start(), body(b"hel", True), body(b"lo")), None),
    ],
)
async def test_49_head_is_answered_without_content(messages, length):
    peer = Peer(sends(*messages))
    response = await peer.get(method="HEAD")
    assert (response.status, response.body) == (200, b"")
    assert response.header("content-length") == length
    assert peer.transport.output.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("messages", [(), (start(),)])
async def test_50_returning_without_a_response_is_a_500(messages, caplog):
    response = await Peer(sends(*messages)).get()
    assert response.status == 500
    assert "returned without sending a response" in caplog.text


async def test_50_returning_in_the_middle_of_a_response_aborts(caplog):
    peer = Peer(sends(start(), body(b"half", True)))
    await peer.send(GET)
    assert peer.transport.aborted
    assert "returned without ending a response" in caplog.text


async def test_50_raising_before_the_response_is_a_500_also_for_head(caplog):
    async def application(scope, receive, send):
        raise ValueError("early")

    for method, content in (("GET", b"Internal Server Error"), ("HEAD", b"")):
        response = await Peer(application).get(method=method)
        assert (response.status, response.body) == (500, content)
        assert response.header("content-length") == "21"


async def test_50_a_cancelled_call_is_a_500():
    async def application(scope, receive, send):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    peer = Peer(application)
    await peer.send(GET)
    assert peer.response().status == 500


async def test_51_messages_after_the_end_are_errors():
    application = Recorded(start(), body(b"x"), body(b"y"), start())
    peer = Peer(application)
    response = await peer.get()
    assert (response.body, response.rest) == (b"x", b"")
    assert [type(error) for error in application.errors] == [AppError, AppError]


async def test_52_the_next_request_starts_when_the_response_is_complete():
    never = asyncio.Event()

    async def application(scope, receive, send):
        await hello(scope, receive, send)
        if scope["path"] == "/background":
            await never.wait()

    peer = Peer(application)
    assert (await peer.get("/background")).status == 200
    assert (await peer.get("/next")).status == 200


async def test_each_request_is_logged_once_when_it_is_over(caplog):
    caplog.set_level(logging.INFO)

    async def application(scope, receive, send):
        if scope["path"] == "/broken":
            raise ValueError
        await hello(scope, receive, send)

    peer = Peer(application, access_log=AccessLog())
    await peer.get("/a%20b?c=d")
    await peer.get("/broken")
    records = [record for record in caplog.records if record.name == "tidegate.access"]
    assert [record.args[:5] for record in records] == [
        ("127.0.0.1:50000", "GET", "/a%20b?c=d", "1.1", 200),
        ("127.0.0.1:50000", "GET", "/broken", "1.1", 500),
    ]
    assert records[0].getMessage().startswith('127.0.0.1:50000 - "GET /a%20b?c=d HTTP/1.1" 200 ')


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (None, "-"),
        (("192.0.2.1", 5), "192.0.2.1:5"),
        (("2001:db8::1", 5), "[2001:db8::1]:5"),
        (("/run/app.sock", None), "/run/app.sock"),
        (("a\x1b[31m\u20ac", None), "a\\x1b[31m\\xe2\\x82\\xac"),
    ],
)
def test_addresses_are_written_as_people_write_them(address, text):
    assert format_address(address) == text
