"""From streams to requests: heads, content, trailers, and what breaks the rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.http3.client import CONTROL, GET, OWN_CONTROL, POST, Client, read_frames

from tidegate.errors import Http3Error
from tidegate.wire.http2.limits import Http2Limits
from tidegate.wire.http3 import frames
from tidegate.wire.http3.frames import DATA, GOAWAY, HEADERS, SETTINGS, Code

LENGTH = (b"content-length", b"5")
UNKNOWN = frames.build_frame(0x21, b"grease")


def refused(client: Client, stream_id: int, data: bytes, ended: bool = True) -> Code:
    """Return why the connection is to be closed."""
    with pytest.raises(Http3Error) as caught:
        client.send(stream_id, data, ended)
    return Code(caught.value.status)


# Requests.


def test_a_request_is_told_with_its_version_and_its_end() -> None:
    client = Client()
    client.get()
    request = client.sink.requests[0]
    assert request.head is not None
    assert (request.head.method, request.head.path, request.head.version) == ("GET", b"/", "3")
    assert request.ended
    assert request.head.headers == [(b"host", b"test")]


def test_content_is_told_as_it_comes() -> None:
    client = Client()
    client.post()
    request = client.sink.requests[0]
    assert not request.ended
    client.send(0, client.data(b"hello")[:4], ended=False)
    assert request.body == b"he"
    client.send(0, client.data(b"hello")[4:])
    assert (request.body, request.ended) == (b"hello", True)


def test_the_end_may_come_alone() -> None:
    client = Client()
    client.post(content=b"hello")
    client.send(0, b"")
    assert client.sink.requests[0].ended


def test_trailers_are_told_before_the_end() -> None:
    client = Client()
    client.post(content=b"hello")
    client.send(0, client.head([(b"x-sum", b"1")]))
    request = client.sink.requests[0]
    assert request.trailers == [(b"x-sum", b"1")]
    assert request.ended


def test_the_end_may_follow_the_trailers_alone() -> None:
    client = Client()
    client.post(content=b"hello")
    client.send(0, client.head([(b"x-sum", b"1")]), ended=False)
    assert not client.sink.requests[0].ended
    client.send(0, b"")
    assert client.sink.requests[0].ended


def test_unknown_frames_are_ignored() -> None:
    client = Client()
    parts = [client.head(POST), client.data(b"hello")]
    client.send(0, UNKNOWN + UNKNOWN.join(parts) + UNKNOWN)
    request = client.sink.requests[0]
    assert (request.body, request.ended) == (b"hello", True)


@given(st.lists(st.integers(1, 60), max_size=12))
def test_a_request_means_the_same_however_it_is_cut(sizes: list[int]) -> None:
    client = Client()
    data = client.head([*POST, LENGTH]) + UNKNOWN + client.data(b"he") + client.data(b"llo")
    for size in sizes:
        client.send(0, data[:size], ended=False)
        data = data[size:]
    client.send(0, data)
    request = client.sink.requests[0]
    assert (request.body, request.ended, request.reset) == (b"hello", True, None)


def test_a_head_seen_before_gives_a_head_of_its_own() -> None:
    client = Client()
    client.get(0)
    first = client.sink.requests[0].head
    assert first is not None
    first.headers.append((b"x-mine", b"1"))
    client.get(4)
    second = client.sink.requests[4].head
    assert second is not None
    assert second.headers == [(b"host", b"test")]


def test_only_so_many_heads_are_remembered() -> None:
    client = Client()
    for number in range(80):
        client.send(number * 4, client.head([*GET, (b"x-number", b"%d" % number)]))
    client.send(400, client.head([*GET, (b"x-long", b"x" * 1000)]))
    assert len(client.core._heads._known) == 64


# Requests that are no good.


@pytest.mark.parametrize(
    "pairs",
    [
        GET[1:],
        [*GET, (b"connection", b"close")],
        [*GET, (b"Upper", b"1")],
        [*GET, (b"x", b"a\0b")],
        [*GET, LENGTH],
        [(b"x", b"1"), *GET],
    ],
)
def test_a_malformed_request_is_reset(pairs: list[tuple[bytes, bytes]]) -> None:
    client = Client()
    client.send(0, client.head(pairs))
    assert client.half().reset == Code.MESSAGE_ERROR
    assert not client.sink.requests
    client.get(4)


@pytest.mark.parametrize("content", [b"hell", b"hello!"])
def test_content_that_contradicts_its_length_is_reset(content: bytes) -> None:
    client = Client()
    client.send(0, client.head([*POST, LENGTH]) + client.data(content))
    assert client.half().reset == Code.MESSAGE_ERROR
    assert client.sink.requests[0].reset == Code.MESSAGE_ERROR


def test_content_that_ends_too_early_is_reset() -> None:
    client = Client()
    client.send(0, client.head([*POST, LENGTH]), ended=False)
    client.send(0, b"")
    assert client.half().reset == Code.MESSAGE_ERROR


def test_trailers_that_are_no_good_are_reset() -> None:
    client = Client()
    client.post(content=b"hello")
    client.send(0, client.head([(b":path", b"/")]))
    assert client.half().reset == Code.MESSAGE_ERROR


def test_a_large_head_is_refused_before_it_is_here() -> None:
    client = Client(Http2Limits(max_head_size=1000))
    client.send(0, frames.write_integer(HEADERS) + frames.write_integer(1001), ended=False)
    assert client.sink.requests[0].refused == 431
    client.send(0, b"x" * 1001)
    assert not client.sink.requests[0].body


def test_large_trailers_are_reset_before_they_are_here() -> None:
    client = Client(Http2Limits(max_head_size=1000))
    client.post()
    client.send(0, frames.write_integer(HEADERS) + frames.write_integer(1001), ended=False)
    assert client.half().reset == Code.EXCESSIVE_LOAD


def test_a_head_that_unpacks_to_too_much_is_refused() -> None:
    client = Client(Http2Limits(max_head_size=1000, max_fields=20))
    # One byte each, of the static table.
    client.send(0, client.head([*GET, *[(b"accept-encoding", b"gzip, deflate, br")] * 30]))
    assert client.sink.requests[0].refused == 431
    client.send(4, client.head([*GET, *[(b"a", b"")] * 22]))
    assert client.sink.requests[4].refused == 431


def test_too_much_content_is_refused() -> None:
    client = Client(Http2Limits(max_body_size=4))
    client.post(content=b"hello")
    assert client.sink.requests[0].refused == 413


def test_too_many_requests_at_once_are_rejected() -> None:
    client = Client(Http2Limits(max_concurrent_streams=1))
    client.get(0)
    client.send(4, client.head())
    assert client.half(4).reset == Code.REQUEST_REJECTED
    assert 4 not in client.sink.requests


def test_large_heads_have_no_more_places_than_others() -> None:
    client = Client(Http2Limits(max_concurrent_streams=1, max_head_size=100))
    client.get(0)
    client.send(4, b"\1" + frames.write_integer(101), ended=False)
    assert client.half(4).reset == Code.REQUEST_REJECTED
    assert set(client.core.streams) == {0}


def test_a_request_whose_answer_is_declined_before_it_comes_is_not_told() -> None:
    client = Client()
    client.half(0).refused = True
    client.core.on_stopped(0, Code.REQUEST_CANCELLED)
    client.send(0, client.head())
    assert client.sink.requests == {}
    assert client.half(0).reset == Code.REQUEST_CANCELLED


@pytest.mark.parametrize("ended", [True, False])
def test_a_request_that_ends_before_its_head_is_reset(ended: bool) -> None:
    client = Client()
    if ended:
        client.send(0, UNKNOWN)
    else:
        client.send(0, client.head()[:3], ended=False)
        client.core.on_reset(0, 0x10C)
    assert client.half().reset == Code.REQUEST_INCOMPLETE


def test_a_head_that_is_not_here_is_owed() -> None:
    client = Client()
    assert client.core.owed_since is None
    client.core.advance(7.0)
    client.core.advance(7.0)
    client.send(0, client.head()[:3], ended=False)
    client.core.advance(9.0)
    client.send(4, client.head()[:3], ended=False)
    assert client.core.owed_since == 7.0
    client.send(0, client.head()[3:])
    assert client.core.owed_since == 9.0


# What ends the connection.


@pytest.mark.parametrize("kind", [0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0xD])
def test_frames_that_no_request_has_end_the_connection(kind: int) -> None:
    assert refused(Client(), 0, frames.build_frame(kind, b"")) == Code.FRAME_UNEXPECTED


def test_content_before_a_head_ends_the_connection() -> None:
    client = Client()
    assert refused(client, 0, client.data(b"x")) == Code.FRAME_UNEXPECTED


def test_anything_after_trailers_ends_the_connection() -> None:
    for more in (Client().data(b"x"), Client().head([(b"x", b"1")])):
        client = Client()
        client.post()
        client.send(0, client.head([(b"x-sum", b"1")]), ended=False)
        assert refused(client, 0, more) == Code.FRAME_UNEXPECTED


@pytest.mark.parametrize("data", [b"\0\5hell", b"\0", b"\1\5hell"])
def test_a_stream_that_ends_within_a_frame_ends_the_connection(data: bytes) -> None:
    client = Client()
    client.post()
    assert refused(client, 0, data) == Code.FRAME_ERROR


def test_a_head_that_cannot_be_unpacked_ends_the_connection() -> None:
    block = frames.build_frame(HEADERS, b"\0\0\xff\xff\xff")
    assert refused(Client(), 0, block) == Code.DECOMPRESSION_FAILED
    dynamic = frames.build_frame(HEADERS, b"\x02\0\x80")
    assert refused(Client(), 0, dynamic) == Code.DECOMPRESSION_FAILED


def flood(client: Client, what: str) -> None:
    for number in range(4, 5000, 4):
        if what == "resets":
            client.post(number)
            client.core.on_reset(number, 0x10C)
        elif what == "stops":
            client.get(number)
            client.core.on_stopped(number, 0x10C)
        else:
            frame = b"\0\0" if what == "empty frames" else b"\x21\0"
            client.send(0, frame, ended=False)


@pytest.mark.parametrize("what", ["resets", "empty frames", "unknown frames", "stops"])
def test_floods_end_the_connection(what: str) -> None:
    client = Client()
    client.post()
    with pytest.raises(Http3Error) as caught:
        flood(client, what)
    assert caught.value.status == Code.EXCESSIVE_LOAD


# One-way streams.


def test_our_settings_come_first() -> None:
    client = Client(Http2Limits(max_head_size=5000))
    data = client.half(OWN_CONTROL).data
    assert data[:1] == b"\0"
    ((kind, said),) = read_frames(data[1:])
    assert kind == SETTINGS
    assert isinstance(said, bytes)
    assert frames.read_settings(said) == {0x6: 5000, 0x8: 1}
    without = Client(Http2Limits(websocket=False)).half(OWN_CONTROL).data
    assert b"\x08\x01" not in without


@given(st.lists(st.integers(1, 8), max_size=20))
def test_the_control_stream_means_the_same_however_it_is_cut(sizes: list[int]) -> None:
    client = Client(settled=False)
    data = frames.settings([(0x21, 2**40)]) + UNKNOWN + frames.build_frame(GOAWAY, b"\0")
    data = b"\0" + data + frames.build_frame(0x21, b"")
    for size in sizes:
        client.send(CONTROL, data[:size], ended=False)
        data = data[size:]
    client.send(CONTROL, data, ended=False)
    assert client.core._control.settled


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\0" + frames.build_frame(GOAWAY, b"\0"), Code.MISSING_SETTINGS),
        (b"\0" + frames.build_frame(DATA, b""), Code.FRAME_UNEXPECTED),
        (b"\0" + frames.settings(()) * 2, Code.FRAME_UNEXPECTED),
        (b"\0" + frames.settings([(0x2, 0)]), Code.SETTINGS_ERROR),
        (b"\0\x04\x80\0\xff\xff", Code.EXCESSIVE_LOAD),
        (b"\1", Code.STREAM_CREATION_ERROR),
        (b"\2\xff", Code.ENCODER_STREAM_ERROR),
    ],
)
def test_one_way_streams_that_break_the_rules_end_the_connection(data: bytes, code: Code) -> None:
    assert refused(Client(settled=False), CONTROL, data, ended=False) == code


def test_streams_that_must_not_end_do_not() -> None:
    for kind in (b"\0", b"\2", b"\3"):
        client = Client(settled=False)
        client.send(CONTROL, kind, ended=False)
        client.core.on_reset(CONTROL + 4, 0)
        with pytest.raises(Http3Error) as caught:
            client.core.on_reset(CONTROL, 0)
        assert caught.value.status == Code.CLOSED_CRITICAL_STREAM
    client = Client()
    with pytest.raises(Http3Error) as caught:
        client.core.on_stopped(OWN_CONTROL, 0)
    assert caught.value.status == Code.CLOSED_CRITICAL_STREAM


def test_there_is_one_stream_of_a_kind() -> None:
    client = Client()
    assert refused(client, CONTROL + 4, b"\0", ended=False) == Code.STREAM_CREATION_ERROR


def test_qpack_may_say_that_there_is_no_table() -> None:
    client = Client()
    client.send(6, b"\2\x20", ended=False)
    client.send(10, b"\3", ended=False)
    client.send(10, b"\x40", ended=False)


def test_streams_of_an_unknown_kind_are_declined() -> None:
    client = Client()
    client.send(6, b"", ended=False)
    client.send(6, b"\x21grease", ended=False)
    client.send(6, b"more", ended=False)
    assert client.half(6).stopped == Code.STREAM_CREATION_ERROR
    client.send(10, b"\x40\x41x", ended=True)
    assert client.half(10).stopped == Code.STREAM_CREATION_ERROR
