"""From responses to streams: heads, content, back-pressure, and the end of it all."""

from __future__ import annotations

from tests.wire.http3.client import OWN_CONTROL, POST, Client, read_frames

from tidegate.http import Defaults, field
from tidegate.wire.http2.frames import Code as Http2Code
from tidegate.wire.http2.stream import Stream
from tidegate.wire.http3 import frames
from tidegate.wire.http3.frames import DATA, GOAWAY, HEADERS, Code

OK = (HEADERS, [(b":status", b"200")])


def test_a_response_is_sent_and_its_stream_forgotten() -> None:
    client = Client()
    stream = client.get()
    client.respond(stream, b"hello", fields=[field(b"X-One", b"1")], length=5)
    client.core.settle()
    head = [(b":status", b"200"), (b"x-one", b"1"), (b"content-length", b"5")]
    assert client.answer() == [(HEADERS, head), (DATA, b"hello")]
    assert client.half().ended
    assert client.sink.requests[0].closed
    assert not client.core.streams
    assert client.half().stopped is None


def test_heads_that_repeat_are_the_same() -> None:
    client = Client()
    defaults = Defaults([field(b"server", b"tidegate")])
    for number in range(0, 16, 4):
        client.respond(client.get(number), defaults=defaults, length=number)
    expected = [(b":status", b"200"), (b"server", b"tidegate"), (b"content-length", b"12")]
    assert client.answer(12) == [(HEADERS, expected)]
    for number in range(16, 500, 4):
        fields = [field(b"x-number", b"%d" % number)]
        client.respond(client.get(number), fields=fields, defaults=defaults)
        client.core.settle()
    assert len(client.core._heads._blocks) == 64


def test_content_and_trailers_follow_the_head() -> None:
    client = Client()
    stream = client.get()
    client.core.send_informational(stream, 103, [field(b"link", b"</a>"), field(b"date", b"x")])
    client.respond(stream, ended=False)
    client.core.send_body(stream, b"", False)
    client.core.send_body(stream, b"hello", False)
    client.core.send_trailers(stream, [field(b"x-sum", b"1")])
    client.core.send_body(stream, b"late", True)
    client.core.settle()
    assert client.answer() == [
        (HEADERS, [(b":status", b"103"), (b"link", b"</a>")]),
        OK,
        (DATA, b"hello"),
        (HEADERS, [(b"x-sum", b"1")]),
    ]
    assert client.half().ended


def test_an_end_without_content_is_no_frame() -> None:
    client = Client()
    stream = client.get()
    client.respond(stream, ended=False)
    client.core.send_body(stream, b"", True)
    assert client.answer() == [OK]
    assert client.half().ended


def test_the_rest_of_a_request_is_declined_after_its_response() -> None:
    client = Client()
    stream = client.post()
    client.respond(stream)
    client.core.settle()
    assert client.half().stopped == Code.NO_ERROR
    assert client.half().reset is None
    client.send(0, client.data(b"late"))
    assert client.sink.requests[0].body == b""


def test_a_sender_waits_until_the_peer_takes_it() -> None:
    client = Client()
    stream = client.get()
    client.quic.stalled = True
    client.respond(stream, b"x" * 70_000, ended=False)
    assert stream.congested
    assert client.core.waiting == [stream]
    client.core.settle()
    assert (stream.congested, stream.sent) == (True, 0)
    client.half().unsent = 10_000
    client.core.settle()
    assert not stream.congested
    assert client.sink.requests[0].writable == 1
    assert stream.sent > 60_000
    client.half().unsent = 0
    client.core.settle()
    assert client.core.waiting == []
    assert not client.sink.requests[0].closed


def test_who_is_relieved_and_done_is_not_told_to_go_on() -> None:
    client = Client()
    stream = client.get()
    client.quic.stalled = True
    client.respond(stream, b"x" * 70_000)
    client.half().unsent = 0
    client.core.settle()
    assert client.sink.requests[0].closed
    assert client.sink.requests[0].writable == 0


def test_content_that_nobody_takes_is_held() -> None:
    client = Client()
    stream = client.post()
    stream.held = True
    client.send(0, client.data(b"hello"), ended=False)
    assert client.half().held == 5
    client.core.take(stream)
    assert (client.half().held, stream.held, stream.withheld) == (0, False, 0)


def test_a_reset_is_told_in_words_of_http3() -> None:
    client = Client()
    codes = {
        Http2Code.INTERNAL_ERROR: Code.INTERNAL_ERROR,
        Http2Code.CANCEL: Code.REQUEST_CANCELLED,
        Http2Code.NO_ERROR: Code.NO_ERROR,
        Http2Code.PROTOCOL_ERROR: Code.GENERAL_PROTOCOL_ERROR,
    }
    for number, (code, expected) in enumerate(codes.items()):
        stream = client.post(number * 4)
        client.core.reset(stream, code)
        client.core.reset(stream, code)
        assert client.half(number * 4).reset == client.half(number * 4).stopped == expected
        assert client.sink.requests[number * 4].closed
        client.respond(stream, b"late")
        client.core.take(stream)
        assert client.half(number * 4).data == b""


def test_a_client_that_leaves_is_told() -> None:
    client = Client()
    client.post(0)
    client.core.on_reset(0, 0x10C)
    assert client.sink.requests[0].reset == 0x10C
    assert client.half().reset == Code.REQUEST_CANCELLED
    client.get(4)
    client.core.on_stopped(4, 0x10C)
    assert client.sink.requests[4].reset == 0x10C
    client.core.on_stopped(4, 0x10C)
    client.core.on_reset(0, 0x10C)


def test_a_reset_after_the_answer_is_nobodys_concern() -> None:
    client = Client()
    stream = client.post()
    client.respond(stream)
    client.core.settle()
    client.core.on_reset(0, 0x10C)
    assert client.sink.requests[0].reset is None


def tunnel(client: Client) -> Stream:
    pairs = [(b":protocol", b"websocket"), (b":method", b"CONNECT"), *POST[1:]]
    client.send(0, client.head(pairs), ended=False)
    stream = client.core.streams[0]
    stream.tunnel = True
    client.respond(stream, ended=False)
    client.core.settle()
    return stream


def test_a_tunnel_is_open_until_both_have_ended_it() -> None:
    client = Client()
    stream = tunnel(client)
    client.core.send_body(stream, b"bye", True)
    client.core.settle()
    assert client.half().stopped is None
    assert not client.sink.requests[0].closed
    client.send(0, b"")
    assert client.sink.requests[0].closed


def test_a_tunnel_that_its_user_gives_up_at_its_last_word_is_over() -> None:
    client = Client()
    stream = tunnel(client)

    def give_up(stream: Stream, data: bytes, ended: bool) -> None:
        client.core.reset(stream, Http2Code.CANCEL)

    client.sink.on_body = give_up  # type: ignore[method-assign]
    client.send(0, client.data(b"bye"))
    assert client.sink.requests[0].closed
    assert stream.closed


def test_a_tunnel_that_the_peer_ends_first_is_ours_to_end() -> None:
    client = Client()
    stream = tunnel(client)
    client.send(0, client.data(b"bye"))
    assert not client.sink.requests[0].closed
    client.core.send_body(stream, b"", True)
    client.core.settle()
    assert client.sink.requests[0].closed


def test_requests_on_their_way_are_served_before_the_last_word() -> None:
    client = Client()
    client.get(0)
    client.core.notice()
    client.get(4)
    client.core.go_away()
    client.send(8, client.head())
    assert client.half(8).reset == Code.REQUEST_REJECTED
    frames_sent = read_frames(client.half(OWN_CONTROL).data[1:])
    said = [payload for kind, payload in frames_sent if kind == GOAWAY]
    assert said == [frames.write_integer(2**62 - 4), frames.write_integer(8)]


def test_after_the_end_nothing_is_sent() -> None:
    client = Client()
    stream = client.post()
    client.core.release()
    client.respond(stream, b"late")
    client.core.send_body(stream, b"later", True)
    client.core.take(stream)
    client.core.settle()
    assert client.half().data == b""
