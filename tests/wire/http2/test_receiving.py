"""Requests and their content: what the sink is told, and what it costs the peer's windows."""

from __future__ import annotations

import base64

import pytest

from tidegate.http import Head
from tidegate.testing.wire import cuts
from tidegate.wire.http1.framing import CHUNKED
from tidegate.wire.http2 import frames
from tidegate.wire.http2.core import Http2Core
from tidegate.wire.http2.frames import END_HEADERS, HEADERS, Code, Setting
from tidegate.wire.http2.head import _known_names
from tidegate.wire.http2.limits import Http2Limits

from .client import GET, POST, Client, Recorder, parse, respond

CONNECT = [(b":method", b"CONNECT"), (b":protocol", b"WebSocket"), *GET[1:]]


def head_of(client: Client) -> Head:
    (request,) = client.sink.requests.values()
    assert request.head is not None
    return request.head


def test_it_says_what_it_allows() -> None:
    settings, window = Client().greeting
    values = {
        settings.payload[at + 1]: int.from_bytes(settings.payload[at + 2 : at + 6], "big")
        for at in range(0, len(settings.payload), 6)
    }
    assert values[Setting.MAX_CONCURRENT_STREAMS] == 128
    assert values[Setting.ENABLE_CONNECT_PROTOCOL] == 1
    assert values[Setting.NO_RFC7540_PRIORITIES] == 1
    assert int.from_bytes(window.payload, "big") == 1024 * 1024 - 65535


def test_without_sockets_none_are_offered() -> None:
    (settings,) = Client(Http2Limits(websocket=False, connection_window=65535)).greeting
    assert bytes((0, Setting.ENABLE_CONNECT_PROTOCOL)) not in settings.payload[::6]
    assert len(settings.payload) == 4 * 6


def test_a_request_without_content_is_one_call() -> None:
    client = Client()
    client.request(1, [*GET, (b"accept", b"*/*")])
    assert client.sink.calls == 1
    head = head_of(client)
    assert (head.method, head.path, head.query, head.version) == ("GET", b"/", b"", "2")
    assert head.headers == [(b"host", b"test"), (b"accept", b"*/*")]
    assert head.body_length == 0


def test_path_and_query_are_parted() -> None:
    client = Client()
    client.request(1, [*GET[:2], (b":path", b"/a%20b?c=d?e"), GET[3]])
    head = head_of(client)
    assert (head.target, head.path, head.query) == (b"/a%20b?c=d?e", b"/a%20b", b"c=d?e")


def test_cookies_are_joined() -> None:
    client = Client()
    client.request(1, [*GET, (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")])
    assert head_of(client).headers[1:] == [(b"x", b"y"), (b"cookie", b"a=1; b=2")]


def test_one_cookie_stays_where_it_is() -> None:
    client = Client()
    client.request(1, [*GET, (b"cookie", b"a=1"), (b"x", b"y")])
    assert head_of(client).headers[1:] == [(b"cookie", b"a=1"), (b"x", b"y")]


def test_a_host_in_place_of_the_authority_comes_first() -> None:
    client = Client()
    client.request(1, [*GET[:3], (b"x", b"y"), (b"host", b"Test")])
    assert head_of(client).headers == [(b"host", b"Test"), (b"x", b"y")]


def test_a_host_beside_the_authority_must_be_the_same() -> None:
    client = Client()
    client.request(1, [*GET, (b"host", b"TEST")])
    assert head_of(client).headers == [(b"host", b"test")]


def test_a_client_says_whether_it_takes_trailers() -> None:
    client = Client()
    client.request(1, [*GET, (b"te", b"trailers"), (b"x-forwarded-for", b"::1")])
    assert head_of(client).takes_trailers
    assert head_of(client).forwarded


def test_a_request_may_wait_for_our_word() -> None:
    client = Client()
    client.request(1, [*POST, (b"expect", b"100-Continue")], ended=False)
    assert head_of(client).expects_continue
    assert head_of(client).body_length == CHUNKED


def test_an_extended_connect_names_its_protocol() -> None:
    client = Client()
    client.request(1, [*CONNECT, (b"content-length", b"5")], ended=False)
    assert head_of(client).upgrade == b"websocket"
    assert head_of(client).body_length == CHUNKED


def test_a_plain_connect_has_an_authority_only() -> None:
    client = Client()
    client.request(1, [(b":method", b"CONNECT"), (b":authority", b"test:80")], ended=False)
    assert head_of(client).path == b""


def test_options_of_the_server_itself() -> None:
    client = Client()
    client.request(1, [(b":method", b"OPTIONS"), GET[1], (b":path", b"*"), GET[3]])
    assert head_of(client).path == b"*"


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([*GET[:2], (b":path", b"/" + b"x" * 9000), GET[3]], 414),
        ([*GET, *[(b"x", b"y")] * 120], 431),
        ([*GET, *[(b"x", b"y" * 8000)] * 9], 431),
        ([*POST, (b"content-length", b"99999999999")], 413),
        ([*POST, (b"expect", b"coffee")], 417),
    ],
)
def test_what_is_not_served_is_to_be_answered(
    pairs: list[tuple[bytes, bytes]], status: int
) -> None:
    client = Client()
    block = client.encoder.encode(pairs)
    client.feed(frames.headers(1, block, False))
    request = client.sink.requests[1]
    assert request.refused == status
    respond(client, request.stream, b"no")
    assert client.was_reset() == Code.NO_ERROR
    assert request.closed
    assert client.request(3).head is not None


def test_content_comes_as_it_arrives() -> None:
    client = Client()
    request = client.request(1, [*POST, (b"content-length", b"4")], ended=False)
    client.data(1, b"te")
    assert (request.body, request.ended) == (b"te", False)
    client.data(1, b"st", ended=True)
    assert (request.body, request.ended) == (b"test", True)


def test_trailers_come_before_the_end() -> None:
    client = Client()
    request = client.request(1, POST, ended=False)
    client.data(1, b"x")
    client.feed(frames.headers(1, client.encoder.encode([(b"sum", b"1")]), True))
    assert request.trailers == [(b"sum", b"1")]
    assert request.ended


@pytest.mark.parametrize(
    "fields",
    [
        [(b"connection", b"close")],
        [(b"content-length", b"1")],
        [(b"x", b"a\nb")],
        [(b"x", b"y" * 9000)],
    ],
)
def test_bad_trailers_end_the_stream(fields: list[tuple[bytes, bytes]]) -> None:
    client = Client()
    request = client.request(1, POST, ended=False)
    client.feed(frames.headers(1, client.encoder.encode(fields), True))
    assert request.reset == Code.PROTOCOL_ERROR


def test_content_beyond_the_limit_is_refused() -> None:
    client = Client(Http2Limits(max_body_size=10))
    request = client.request(1, POST, ended=False)
    client.data(1, b"x" * 10)
    assert request.refused == 0
    client.data(1, b"x")
    assert request.refused == 413


def test_a_tunnel_has_no_limit() -> None:
    client = Client(Http2Limits(max_body_size=10))
    request = client.request(1, CONNECT, ended=False)
    request.stream.tunnel = True
    client.data(1, b"x" * 20)
    assert request.body == b"x" * 20


def test_a_tunnel_is_over_when_both_halves_are() -> None:
    client = Client()
    request = client.request(1, CONNECT, ended=False)
    request.stream.tunnel = True
    respond(client, request.stream, b"", False)
    client.core.send_body(request.stream, b"bye", True)
    assert not request.closed
    client.data(1, b"x", ended=True)
    assert request.closed
    assert request.body == b"x"


def test_a_cancelled_request_is_reported() -> None:
    client = Client()
    request = client.request(1, POST, ended=False)
    client.feed(frames.reset(1, Code.CANCEL))
    assert (request.reset, request.closed) == (Code.CANCEL, True)


def test_windows_are_opened_as_content_is_taken_and_seldom() -> None:
    client = Client(Http2Limits(stream_window=65536, connection_window=131072))
    client.request(1, POST, ended=False)
    client.data(1, b"x" * 16000)
    client.data(1, b"x" * 16000)
    assert client.sent() == []
    client.data(1, b"x" * 16000)
    (update,) = client.sent()
    assert (update.kind, update.stream_id) == (frames.WINDOW_UPDATE, 1)
    assert int.from_bytes(update.payload, "big") == 48000
    client.data(1, b"x" * 16000)
    client.data(1, b"x" * 16000)
    (connection,) = client.sent()
    assert connection.stream_id == 0
    assert int.from_bytes(connection.payload, "big") == 80000


def test_a_held_stream_gets_no_window_until_it_is_taken() -> None:
    client = Client(Http2Limits(stream_window=65536, connection_window=65536))
    request = client.request(1, POST, ended=False)
    request.stream.held = True
    for _ in range(4):
        client.data(1, b"x" * 16000)
    assert client.sent() == []
    client.core.take(request.stream)
    assert {frame.stream_id for frame in client.sent()} == {0, 1}
    client.core.take(request.stream)
    assert client.sent() == []


def test_what_a_closed_stream_held_goes_back_to_the_connection() -> None:
    client = Client(Http2Limits(connection_window=65536))
    request = client.request(1, POST, ended=False)
    request.stream.held = True
    client.data(1, b"x" * 16000)
    client.data(1, b"x" * 16000)
    client.data(1, b"x" * 1000)
    client.core.reset(request.stream, Code.CANCEL)
    assert [frame.kind for frame in client.sent()] == [frames.RST_STREAM, frames.WINDOW_UPDATE]


def test_padding_counts_for_the_windows() -> None:
    client = Client(Http2Limits(connection_window=65535, stream_window=1000))
    client.request(1, POST, ended=False)
    for _ in range(2):
        client.frame(frames.DATA, frames.PADDED, 1, b"\xff" + b"x" + bytes(255))
    (update,) = client.sent()
    assert int.from_bytes(update.payload, "big") == 514


def test_more_than_a_window_is_an_error() -> None:
    client = Client(Http2Limits(stream_window=1000))
    request = client.request(1, POST, ended=False)
    client.data(1, b"x" * 1001)
    assert client.was_reset() == Code.FLOW_CONTROL_ERROR
    assert request.reset == Code.FLOW_CONTROL_ERROR


def test_more_than_the_connections_window_ends_it() -> None:
    client = Client(Http2Limits(connection_window=65535))
    for number in range(5):
        client.request(2 * number + 1, POST, ended=False).stream.held = True
        client.data(2 * number + 1, b"x" * 16000)
    assert client.went_away() == Code.FLOW_CONTROL_ERROR
    client.feed(b"nobody listens")
    assert client.sent() == []


def test_bytes_may_come_in_any_pieces() -> None:
    whole = Client()
    encoder = whole.encoder
    block = encoder.encode([*POST, (b"x-long", b"v" * 300)])
    data = b"".join(
        [
            frames.PREFACE,
            frames.settings([(4, 1000)]),
            frames.build_frame(HEADERS, 0, 1, block[:20]),
            frames.build_frame(frames.CONTINUATION, END_HEADERS, 1, block[20:]),
            frames.build_frame(frames.DATA, 0, 1, b"hello" * 50),
            frames.build_frame(frames.PING, 0, 0, b"12345678"),
            frames.headers(1, encoder.encode([(b"sum", b"1")]), True),
        ]
    )
    answers = set()
    for pieces in cuts(data):
        sink = Recorder()
        core = Http2Core(sink, Http2Limits())
        for piece in pieces:
            core.receive(piece)
        request = sink.requests[1]
        assert (request.body, request.trailers, request.ended) == (
            b"hello" * 50,
            [(b"sum", b"1")],
            True,
        )
        answers.add(core.take_output())
        assert core.owed_since is None
    assert len(answers) == 1


def test_it_is_known_since_when_the_rest_of_something_is_owed() -> None:
    core = Http2Core(Recorder(), Http2Limits())
    core.receive(frames.PREFACE[:5], 1.0)
    assert core.owed_since == 1.0
    core.receive(frames.PREFACE[5:], 2.0)
    assert core.owed_since == 1.0
    core.receive(frames.settings([]), 3.0)
    assert core.owed_since is None
    head = frames.build_frame(HEADERS, 0, 1, b"")
    core.receive(head[:3], 4.0)
    core.receive(head[3:], 5.0)
    assert core.owed_since == 4.0
    core.receive(frames.build_frame(frames.CONTINUATION, 0, 1, b"")[:4], 6.0)
    assert core.owed_since == 4.0


def test_content_is_not_owed() -> None:
    client = Client()
    client.request(1, POST, ended=False)
    client.feed(frames.build_frame(frames.DATA, 0, 1, b"x" * 100)[:50], 7.0)
    assert client.core.owed_since is None
    client.feed(frames.build_frame(frames.DATA, 0, 1, b"x" * 100)[50:] + b"\0\0\4\3", 8.0)
    assert client.core.owed_since == 8.0


def test_a_head_that_is_sent_again_is_copied() -> None:
    client = Client()
    pairs = [*GET, (b"accept", b"*/*"), (b"priority", b"u=1, i")]
    for number in (1, 3, 5, 7):
        request = client.request(number, pairs)
        assert request.head is not None
        assert request.head.headers == [
            (b"host", b"test"),
            (b"accept", b"*/*"),
            (b"priority", b"u=1, i"),
        ]
        assert (request.stream.urgency, request.stream.incremental) == (1, True)
        request.head.headers.clear()


def test_the_same_bytes_mean_something_else_once_the_table_has_changed() -> None:
    client = Client()
    for number, value in ((1, b"a"), (3, b"a"), (5, b"a"), (7, b"b"), (9, b"b"), (11, b"b")):
        request = client.request(number, [*GET, (b"x-id", value)])
        assert request.head is not None
        assert request.head.headers[-1] == (b"x-id", value)


def test_an_upgraded_connection_has_its_first_request_already() -> None:
    sink = Recorder()
    core = Http2Core(sink, Http2Limits())
    settings = base64.urlsafe_b64decode("AAQAAAAB")
    core.upgrade(Head("GET", b"/", b"/", b"", "2", []), settings)
    request = sink.requests[1]
    assert request.ended
    assert request.stream.send_window == 1
    core.receive(frames.PREFACE + frames.settings([]))
    assert parse(core.take_output())[-1].kind == frames.SETTINGS


def test_after_the_last_word_new_requests_are_ignored_and_old_ones_served() -> None:
    client = Client()
    request = client.request(1)
    client.core.notice()
    assert [frame.kind for frame in client.sent()] == [frames.GOAWAY, frames.PING]
    second = client.request(3)
    client.core.go_away()
    assert client.went_away() == Code.NO_ERROR
    client.feed(frames.headers(5, client.encoder.encode([*GET, (b"x-new", b"y")]), True))
    assert 5 not in client.sink.requests
    client.data(5, b"for nobody")
    respond(client, request.stream, b"1")
    respond(client, second.stream, b"2")
    assert [frame.payload for frame in client.sent()[1::2]] == [b"1", b"2"]


def test_a_released_core_ignores_everything() -> None:
    client = Client()
    client.request(1)
    client.core.release()
    client.core.receive(b"x")
    assert client.core.take_output() == b""
    assert client.core.waiting == []


def test_long_names_are_not_remembered() -> None:
    client = Client()
    name = b"x-" + b"n" * 100
    client.request(1, [*GET, (name, b"1")])
    assert head_of(client).headers[-1] == (name, b"1")
    assert name not in _known_names
