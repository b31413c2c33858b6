"""The content of a request: so many bytes, or chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import BadRequest
from tidegate.testing.wire import cuts
from tidegate.wire.http1.body import ChunkedBody, LengthBody
from tidegate.wire.http1.encode import LAST_CHUNK, chunk
from tidegate.wire.http1.limits import Http1Limits


def chunked(data: bytes, limits: Http1Limits | None = None) -> tuple[ChunkedBody, bytes]:
    """Return a chunked body fed in every way, and its content: the same each time."""
    found = []
    for pieces in cuts(data):
        body = ChunkedBody(limits or Http1Limits())
        content = b""
        rest = b""
        for piece in pieces:
            if body.ended or body.error:
                rest += piece
            else:
                content += body.feed(piece)
        found.append((body, content, body.rest + rest))
    (first, content, rest), *others = found
    for other, other_content, other_rest in others:
        assert (other_content, other_rest) == (content, rest if first.ended else other_rest)
        assert (other.ended, other.trailers) == (first.ended, first.trailers)
        assert status(other) == status(first)
    return first, content


def status(body: ChunkedBody) -> int | None:
    return None if body.error is None else body.error.status


def test_a_length_is_counted_down() -> None:
    body = LengthBody(5)
    assert body.remaining == 5
    assert body.feed(b"he") == b"he"
    assert (body.remaining, body.ended, body.rest) == (3, False, b"")
    assert body.feed(b"llo") == b"llo"
    assert (body.remaining, body.ended, body.rest) == (0, True, b"")


def test_what_follows_the_length_is_the_rest() -> None:
    body = LengthBody(5)
    assert body.feed(b"helloGET") == b"hello"
    assert (body.ended, body.rest) == (True, b"GET")


def test_a_length_of_nothing_has_ended_already() -> None:
    assert LengthBody(0).ended
    assert LengthBody(0).remaining == 0


def test_nothing_fed_is_nothing_found() -> None:
    body = LengthBody(5)
    assert body.feed(b"") == b""
    assert body.remaining == 5
    in_chunks = ChunkedBody(Http1Limits())
    assert in_chunks.feed(b"") == b""
    assert not in_chunks.ended


def test_content_with_a_length_has_no_error_and_no_trailers() -> None:
    body = LengthBody(5)
    body.feed(b"hello")
    assert body.error is None
    assert body.trailers == []


def test_chunks_are_joined() -> None:
    body, content = chunked(b"5\r\nhello\r\n00006;x=y\r\n world\r\n0\r\n\r\nGET")
    assert content == b"hello world"
    assert (body.ended, body.rest, body.trailers) == (True, b"GET", [])


def test_nobody_knows_how_much_chunked_content_remains() -> None:
    body = ChunkedBody(Http1Limits())
    assert body.remaining is None
    assert body.rest == b""
    body.feed(b"5\r\nhel")
    assert body.remaining is None


def test_content_is_handed_on_before_its_chunk_ends() -> None:
    body = ChunkedBody(Http1Limits())
    assert body.feed(b"a\r\nhello") == b"hello"
    assert body.feed(b" worl") == b" worl"
    assert not body.ended


def test_trailers_are_kept_in_order() -> None:
    body, content = chunked(b"0\r\nX: 1\r\nY: 2\r\nx: 3\r\n\r\n")
    assert content == b""
    assert body.trailers == [(b"x", b"1"), (b"y", b"2"), (b"x", b"3")]


@pytest.mark.parametrize(
    "data",
    [
        *(b"\r\n", b"x\r\n", b"5 \r\n", b" 5\r\n", b"0x5\r\n", b"-5\r\n", b"+5\r\n"),
        *(b"5 ;a\r\n", b"5;\x00\r\n", b"5;\x7f\r\n", b"5;a\rb\r\n", b";a\r\n", b"5\n", b"\n"),
        *(b"5\r\nhelloX", b"5\r\nhello\n", b"5\r\nhello\rX", b"5\r\nhello\r\r\n"),
        *(b"0\r\nX\r\n", b"0\r\nX: 1\n", b"0\r\n X: 1\r\n", b"0\r\n\n", b"0\r\n\r\r\n"),
        *(b"0" * 16 + b"\r\n", b"1" * 400, b"1;" + b"a" * 400, b"1;" + b"a" * 256 + b"\r\n"),
    ],
)
def test_what_is_not_chunked_is_refused(data: bytes) -> None:
    body, content = chunked(data)
    assert status(body) == 400
    assert not body.ended
    assert content in (b"", b"hello")


def test_an_error_does_not_swallow_the_content_before_it() -> None:
    body = ChunkedBody(Http1Limits())
    assert body.feed(b"5\r\nhello\r\n3\r\nabc\r\nx\r\n") == b"helloabc"
    assert isinstance(body.error, BadRequest)


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (b"6\r\n", Http1Limits(max_body_size=5)),
        (b"3\r\nabc\r\n3\r\n", Http1Limits(max_body_size=5)),
        (b"fffffffffffffff\r\n", Http1Limits()),
    ],
)
def test_more_content_than_the_limit_is_refused_at_its_size(
    data: bytes, limits: Http1Limits
) -> None:
    assert status(chunked(data, limits)[0]) == 413


def test_content_at_the_limit_is_accepted() -> None:
    body, content = chunked(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", Http1Limits(max_body_size=5))
    assert body.ended
    assert content == b"abcde"


@pytest.mark.parametrize(
    ("data", "limits", "expected"),
    [
        (b"0" * 21, Http1Limits(max_chunk_extension_size=4), None),
        (b"0" * 22, Http1Limits(max_chunk_extension_size=4), 400),
        (b"1;abc\r\n", Http1Limits(max_chunk_extension_size=4), None),
        (b"1;abcd\r\n", Http1Limits(max_chunk_extension_size=4), 400),
        (b"1;ab\r\n1\r\n1;ab\r\n", Http1Limits(max_chunk_extensions_size=6), None),
        (b"1;ab\r\n1\r\n1;abc\r\n", Http1Limits(max_chunk_extensions_size=6), 400),
        (b"0\r\nX: 1\r\nY: 2\r\n\r\n", Http1Limits(max_trailer_size=14), None),
        (b"0\r\nX: 1\r\nY: 2\r\nZ", Http1Limits(max_trailer_size=12), 431),
        (b"0\r\nX: 1\r\nY: 23\r\n", Http1Limits(max_trailer_size=12), 431),
        (b"0\r\nX: 1\r\nY: 2\r\n", Http1Limits(max_fields=2), None),
        (b"0\r\nX: 1\r\nY: 2\r\nZ: 3\r\n", Http1Limits(max_fields=2), 431),
    ],
)
def test_extensions_and_trailers_are_bounded(
    data: bytes, limits: Http1Limits, expected: int | None
) -> None:
    assert status(chunked(data, limits)[0]) == expected


@pytest.mark.parametrize("name", [b"content-length", b"Transfer-Encoding", b"HOST", b"trailer"])
def test_a_trailer_that_frames_or_routes_is_refused_by_name(name: bytes) -> None:
    body, _ = chunked(b"0\r\n" + name + b": 5\r\n\r\n")
    assert status(body) == 400
    assert body.error is not None
    assert name.decode().lower() in body.error.reason


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_what_is_encoded_in_chunks_is_decoded_again(pieces: list[bytes]) -> None:
    data = b"".join(map(chunk, pieces)) + LAST_CHUNK
    body, content = chunked(data + b"GET")
    assert content == b"".join(pieces)
    assert (body.ended, body.rest, body.error) == (True, b"GET", None)
