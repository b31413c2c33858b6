"""The cases that h2spec puts to a server (its sections "generic" and "http2").

Written from RFC 9113; where the connection may end in place of the stream, as
section 5.4.2 allows, both count.
"""

from __future__ import annotations

import struct

import pytest

from tidegate.wire.http2 import frames
from tidegate.wire.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_FLAG,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
)
from tidegate.wire.http2.hpack import Pair

from .client import GET, POST, Client, respond

Raw = tuple[int, int, int, bytes]


def block(*pairs: Pair) -> bytes:
    return Client().encoder.encode(pairs or GET)


HEAD = block()
HALF, REST = HEAD[:3], HEAD[3:]
U32 = struct.Struct(">I")
OPEN: Raw = (HEADERS, END_HEADERS, 1, HEAD)
ASKED: Raw = (HEADERS, END_HEADERS | END_STREAM, 1, HEAD)
SOME_PRIORITY = b"\0\0\0\0\xff"


def setting(number: int, value: int) -> bytes:
    return struct.pack(">HI", number, value)


BROKEN_CONNECTIONS: dict[str, tuple[list[Raw], Code]] = {
    # 4.2
    "a frame larger than allowed": ([OPEN, (DATA, 0, 1, b"x" * 16385)], Code.FRAME_SIZE_ERROR),
    # 4.3
    "a broken field block": ([(HEADERS, END_HEADERS, 1, b"\xff")], Code.COMPRESSION_ERROR),
    "PRIORITY within a field block": (
        [(HEADERS, 0, 1, HALF), (PRIORITY, 0, 1, SOME_PRIORITY)],
        Code.PROTOCOL_ERROR,
    ),
    "HEADERS of another stream within a field block": (
        [(HEADERS, 0, 1, HALF), (HEADERS, END_HEADERS, 3, HEAD)],
        Code.PROTOCOL_ERROR,
    ),
    # 5.1
    "idle: DATA": ([(DATA, 0, 1, b"x")], Code.PROTOCOL_ERROR),
    "idle: RST_STREAM": ([(RST_STREAM, 0, 1, U32.pack(8))], Code.PROTOCOL_ERROR),
    "idle: WINDOW_UPDATE": ([(WINDOW_UPDATE, 0, 1, U32.pack(9))], Code.PROTOCOL_ERROR),
    "idle: CONTINUATION": ([(CONTINUATION, END_HEADERS, 1, HEAD)], Code.PROTOCOL_ERROR),
    "a stream of the server's": ([(RST_STREAM, 0, 2, U32.pack(8))], Code.PROTOCOL_ERROR),
    "closed by the peer: DATA": (
        [OPEN, (RST_STREAM, 0, 1, U32.pack(8)), (DATA, 0, 1, b"x")],
        Code.STREAM_CLOSED,
    ),
    "closed by the peer: HEADERS": (
        [OPEN, (RST_STREAM, 0, 1, U32.pack(8)), OPEN],
        Code.STREAM_CLOSED,
    ),
    "closed by the peer: CONTINUATION": (
        [OPEN, (RST_STREAM, 0, 1, U32.pack(8)), (CONTINUATION, END_HEADERS, 1, HEAD)],
        Code.PROTOCOL_ERROR,
    ),
    # 5.1.1
    "an even id": ([(HEADERS, END_HEADERS, 2, HEAD)], Code.PROTOCOL_ERROR),
    "an id below another": (
        [(HEADERS, END_HEADERS, 5, HEAD), (HEADERS, END_HEADERS, 3, HEAD)],
        Code.PROTOCOL_ERROR,
    ),
    # 5.3.1
    "a head that depends on itself": (
        [(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, U32.pack(1) + b"\xff" + HEAD)],
        Code.PROTOCOL_ERROR,
    ),
    "PRIORITY that depends on itself": (
        [(PRIORITY, 0, 1, U32.pack(1) + b"\xff")],
        Code.PROTOCOL_ERROR,
    ),
    # 6.1 and 6.2
    "DATA without a stream": ([(DATA, 0, 0, b"x")], Code.PROTOCOL_ERROR),
    "DATA with too much padding": ([OPEN, (DATA, PADDED, 1, b"\x05test")], Code.PROTOCOL_ERROR),
    "padded DATA without a length": ([OPEN, (DATA, PADDED, 1, b"")], Code.PROTOCOL_ERROR),
    "HEADERS without a stream": ([(HEADERS, END_HEADERS, 0, HEAD)], Code.PROTOCOL_ERROR),
    "HEADERS with too much padding": (
        [(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + HEAD)],
        Code.PROTOCOL_ERROR,
    ),
    "HEADERS too short for a priority": (
        [(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"\0\0")],
        Code.FRAME_SIZE_ERROR,
    ),
    # 6.3 to 6.5
    "PRIORITY without a stream": ([(PRIORITY, 0, 0, SOME_PRIORITY)], Code.PROTOCOL_ERROR),
    "PRIORITY of another size": ([(PRIORITY, 0, 1, b"\x80\0\0\1")], Code.FRAME_SIZE_ERROR),
    "RST_STREAM without a stream": ([(RST_STREAM, 0, 0, U32.pack(8))], Code.PROTOCOL_ERROR),
    "RST_STREAM of another size": ([OPEN, (RST_STREAM, 0, 1, b"\0\0\0")], Code.FRAME_SIZE_ERROR),
    "SETTINGS acknowledged with content": ([(SETTINGS, ACK, 0, b"\0")], Code.FRAME_SIZE_ERROR),
    "SETTINGS on a stream": ([(SETTINGS, 0, 1, setting(3, 100))], Code.PROTOCOL_ERROR),
    "SETTINGS of another size": ([(SETTINGS, 0, 0, b"\0\3\0")], Code.FRAME_SIZE_ERROR),
    "ENABLE_PUSH of 2": ([(SETTINGS, 0, 0, setting(2, 2))], Code.PROTOCOL_ERROR),
    "a window of 2**31": ([(SETTINGS, 0, 0, setting(4, 2**31))], Code.FLOW_CONTROL_ERROR),
    "frames of 16383": ([(SETTINGS, 0, 0, setting(5, 16383))], Code.PROTOCOL_ERROR),
    "frames of 2**24": ([(SETTINGS, 0, 0, setting(5, 2**24))], Code.PROTOCOL_ERROR),
    # 6.6 to 6.10
    "PUSH_PROMISE": ([(PUSH_PROMISE, END_HEADERS, 1, U32.pack(2) + HEAD)], Code.PROTOCOL_ERROR),
    "PING on a stream": ([(PING, 0, 1, b"12345678")], Code.PROTOCOL_ERROR),
    "PING of another size": ([(PING, 0, 0, b"123456")], Code.FRAME_SIZE_ERROR),
    "GOAWAY on a stream": ([(GOAWAY, 0, 1, bytes(8))], Code.PROTOCOL_ERROR),
    "GOAWAY of another size": ([(GOAWAY, 0, 0, bytes(7))], Code.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE by nothing": ([(WINDOW_UPDATE, 0, 0, U32.pack(0))], Code.PROTOCOL_ERROR),
    "WINDOW_UPDATE of another size": (
        [(WINDOW_UPDATE, 0, 0, b"\0\0\1")],
        Code.FRAME_SIZE_ERROR,
    ),
    "WINDOW_UPDATE beyond 2**31": (
        [(WINDOW_UPDATE, 0, 0, U32.pack(2**31 - 1))] * 2,
        Code.FLOW_CONTROL_ERROR,
    ),
    "SETTINGS that make a window too large": (
        [OPEN, (WINDOW_UPDATE, 0, 1, U32.pack(2**31 - 65536)), (SETTINGS, 0, 0, setting(4, 65536))],
        Code.FLOW_CONTROL_ERROR,
    ),
    "CONTINUATION without a stream": (
        [(HEADERS, 0, 1, HALF), (CONTINUATION, END_HEADERS, 0, REST)],
        Code.PROTOCOL_ERROR,
    ),
    "CONTINUATION after the end": (
        [OPEN, (CONTINUATION, END_HEADERS, 1, REST)],
        Code.PROTOCOL_ERROR,
    ),
    "CONTINUATION after DATA": (
        [OPEN, (DATA, 0, 1, b"x"), (CONTINUATION, END_HEADERS, 1, REST)],
        Code.PROTOCOL_ERROR,
    ),
    # 5.5
    "an unknown frame within a field block": (
        [(HEADERS, 0, 1, HALF), (0xEE, 0, 1, b"x")],
        Code.PROTOCOL_ERROR,
    ),
    # RFC 9218 section 7.1
    "PRIORITY_UPDATE on a stream": ([(16, 0, 1, U32.pack(1) + b"u=1")], Code.PROTOCOL_ERROR),
    "PRIORITY_UPDATE without an id": ([(16, 0, 0, b"\0")], Code.FRAME_SIZE_ERROR),
    "PRIORITY_UPDATE of stream 0": ([(16, 0, 0, U32.pack(0) + b"u=1")], Code.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", BROKEN_CONNECTIONS)
def test_the_connection_ends(name: str) -> None:
    raw, code = BROKEN_CONNECTIONS[name]
    client = Client()
    for frame in raw:
        client.frame(*frame)
    assert client.went_away() == code


BROKEN_STREAMS: dict[str, tuple[list[Raw], Code]] = {
    "half closed: DATA": ([ASKED, (DATA, END_STREAM, 1, b"x")], Code.STREAM_CLOSED),
    "half closed: HEADERS": ([ASKED, (HEADERS, END_HEADERS, 1, HEAD)], Code.STREAM_CLOSED),
    "WINDOW_UPDATE by nothing": (
        [OPEN, (WINDOW_UPDATE, 0, 1, U32.pack(0))],
        Code.PROTOCOL_ERROR,
    ),
    "WINDOW_UPDATE beyond 2**31": (
        [OPEN, (WINDOW_UPDATE, 0, 1, U32.pack(2**31 - 1))],
        Code.FLOW_CONTROL_ERROR,
    ),
    # 8.1
    "trailers that do not end": (
        [OPEN, (HEADERS, END_HEADERS, 1, block((b"x", b"y")))],
        Code.PROTOCOL_ERROR,
    ),
    "a pseudo-header in trailers": (
        [OPEN, (HEADERS, END_HEADERS | END_STREAM, 1, block((b":method", b"GET")))],
        Code.PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize("name", BROKEN_STREAMS)
def test_the_stream_ends(name: str) -> None:
    raw, code = BROKEN_STREAMS[name]
    client = Client()
    for frame in raw:
        client.frame(*frame)
    assert client.ended_by() == code
    assert client.sink.requests[1].reset == code
    assert client.sink.requests[1].closed
    client.request(5)


MALFORMED: dict[str, list[Pair]] = {
    "an upper-case name": [*GET, (b"X-Test", b"ok")],
    "an unknown pseudo-header": [*GET, (b":test", b"ok")],
    "a pseudo-header of responses": [*GET, (b":status", b"200")],
    "a pseudo-header after a field": [*GET[:3], (b"x-test", b"ok"), GET[3]],
    "connection": [*GET, (b"connection", b"keep-alive")],
    "keep-alive": [*GET, (b"keep-alive", b"1")],
    "proxy-connection": [*GET, (b"proxy-connection", b"1")],
    "transfer-encoding": [*GET, (b"transfer-encoding", b"chunked")],
    "upgrade": [*GET, (b"upgrade", b"h2c")],
    "te other than trailers": [*GET, (b"te", b"trailers, deflate")],
    "an empty path": [GET[0], GET[1], (b":path", b""), GET[3]],
    "no method": GET[1:],
    "no scheme": [GET[0], *GET[2:]],
    "no path": [GET[0], GET[1], GET[3]],
    "two methods": [GET[0], *GET],
    "two schemes": [*GET[:2], *GET[1:]],
    "two paths": [*GET[:3], *GET[2:]],
    # Beyond h2spec
    "two authorities": [*GET, GET[3]],
    "no authority": GET[:3],
    "an authority with a user": [*GET[:3], (b":authority", b"me@test")],
    "another host": [*GET, (b"host", b"elsewhere")],
    "a path that is no path": [*GET[:2], (b":path", b"x"), GET[3]],
    "a path with a blank": [*GET[:2], (b":path", b"/a b"), GET[3]],
    "a path with a fragment": [*GET[:2], (b":path", b"/a#b"), GET[3]],
    "a lower-case method": [(b":method", b"get"), *GET[1:]],
    "a scheme that is none": [GET[0], (b":scheme", b"1"), *GET[2:]],
    "an empty name": [*GET, (b"", b"x")],
    "a name with a blank": [*GET, (b"a b", b"x")],
    "a value with a line end": [*GET, (b"a", b"x\ny")],
    "a value with NUL": [*GET, (b"a", b"x\0y")],
    "a value that begins with a blank": [*GET, (b"a", b" x")],
    "a value that ends with a tab": [*GET, (b"a", b"x\t")],
    "a pseudo-header with a line end": [*GET[:3], (b":authority", b"test\r\n")],
    "content-length without content": [*POST, (b"content-length", b"1")],
    "two content-lengths": [*POST, (b"content-length", b"0"), (b"content-length", b"0")],
    "content-length that is no number": [*POST, (b"content-length", b"+0")],
    "CONNECT with a path": [(b":method", b"CONNECT"), *GET[1:]],
    "CONNECT without an authority": [(b":method", b"CONNECT")],
    ":protocol without CONNECT": [*GET, (b":protocol", b"websocket")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_reset(name: str) -> None:
    client = Client()
    client.feed(frames.headers(1, client.encoder.encode(MALFORMED[name]), True))
    assert client.was_reset() == Code.PROTOCOL_ERROR
    assert client.sink.requests == {}
    # The compression goes on.
    assert client.request(3).head is not None


@pytest.mark.parametrize(
    ("length", "pieces"),
    [(b"1", [b"test"]), (b"5", [b"te", b"st"]), (b"1", [b"te", b"st"]), (b"0", [b"x"])],
)
def test_content_must_be_as_long_as_announced(length: bytes, pieces: list[bytes]) -> None:
    client = Client()
    client.request(1, [*POST, (b"content-length", length)], ended=False)
    for number, piece in enumerate(pieces, 1):
        client.data(1, piece, ended=number == len(pieces))
    assert client.sink.requests[1].reset == Code.PROTOCOL_ERROR


def test_trailers_before_all_the_content_are_refused() -> None:
    client = Client()
    client.request(1, [*POST, (b"content-length", b"5")], ended=False)
    client.feed(frames.headers(1, client.encoder.encode([(b"x", b"y")]), True))
    assert client.was_reset() == Code.PROTOCOL_ERROR


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\n\r\n", PREFACE[:-1] + b"x", b"x"])
def test_another_preface_ends_the_connection(start: bytes) -> None:
    client = Client()
    client.core._preface = PREFACE
    client.feed(start)
    assert client.went_away() == Code.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "first", [frames.build_frame(PING, 0, 0, bytes(8)), frames.build_frame(SETTINGS, ACK, 0, b"")]
)
def test_settings_must_come_first(first: bytes) -> None:
    client = Client()
    client.core._begun = False
    client.feed(first)
    assert client.went_away() == Code.PROTOCOL_ERROR


ACCEPTED: dict[str, list[Raw]] = {
    "padded HEADERS": [(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\2" + HEAD + b"\0\0")],
    "HEADERS with an old priority": [
        (HEADERS, END_HEADERS | END_STREAM | PRIORITY_FLAG, 1, SOME_PRIORITY + HEAD)
    ],
    "HEADERS with padding and priority": [
        (
            HEADERS,
            END_HEADERS | END_STREAM | PADDED | PRIORITY_FLAG,
            1,
            b"\1" + SOME_PRIORITY + HEAD + b"\0",
        )
    ],
    "CONTINUATION": [
        (HEADERS, END_STREAM, 1, HALF),
        (CONTINUATION, 0, 1, REST[:1]),
        (CONTINUATION, END_HEADERS, 1, REST[1:]),
    ],
    "CONTINUATION of all": [
        (HEADERS, END_STREAM, 1, b""),
        (CONTINUATION, END_HEADERS, 1, HEAD),
    ],
    "PRIORITY before": [(PRIORITY, 0, 1, SOME_PRIORITY), ASKED],
    "an unknown frame": [(0xEE, 0xFF, 1, b"x"), ASKED],
    "an unknown setting": [(SETTINGS, 0, 0, setting(0xFFFF, 7)), ASKED],
    "undefined flags": [(HEADERS, END_HEADERS | END_STREAM | 0x80, 1, HEAD)],
    "the reserved bit": [(HEADERS, END_HEADERS | END_STREAM, 1 | 2**31, HEAD)],
    "GOAWAY": [(GOAWAY, 0, 0, bytes(8)), ASKED],
    "SETTINGS acknowledged": [(SETTINGS, ACK, 0, b""), ASKED],
    "padded DATA": [OPEN, (DATA, PADDED | END_STREAM, 1, b"\1x\0")],
    "empty DATA": [OPEN, (DATA, 0, 1, b""), (DATA, END_STREAM, 1, b"")],
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_request_is_served(name: str) -> None:
    client = Client()
    for frame in ACCEPTED[name]:
        client.frame(*frame)
    request = client.sink.requests[1]
    assert request.ended
    respond(client, request.stream, b"hello")
    assert client.sent()[-1].payload == b"hello"
    assert request.closed


def test_ping_is_answered() -> None:
    client = Client()
    client.frame(PING, 0, 0, b"12345678")
    (answer,) = client.sent()
    assert (answer.kind, answer.flags, answer.payload) == (PING, ACK, b"12345678")


def test_the_pong_is_reported() -> None:
    client = Client()
    client.frame(PING, ACK, 0, b"12345678")
    assert client.sink.pongs == [b"12345678"]


def test_what_is_on_its_way_to_a_stream_that_we_reset_is_ignored() -> None:
    client = Client()
    request = client.request(1, POST, ended=False)
    client.core.reset(request.stream, Code.CANCEL)
    client.core.reset(request.stream, Code.CANCEL)  # once is enough
    client.sent()
    client.data(1, b"late")
    client.update(1, 10)
    client.feed(frames.headers(1, client.encoder.encode([(b"x-late", b"y")]), True))
    client.frame(RST_STREAM, 0, 1, U32.pack(8))
    assert client.sent() == []
    assert client.request(3, [*GET, (b"x-late", b"y")]).head is not None


def test_more_streams_than_allowed_are_refused() -> None:
    client = Client()
    for number in range(128):
        client.request(2 * number + 1)
    client.feed(frames.headers(999, client.encoder.encode(GET), True))
    assert client.was_reset() == Code.REFUSED_STREAM
