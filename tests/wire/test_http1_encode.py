"""From a response to bytes; read back by the standard library's own parser."""

from __future__ import annotations

import pytest

from tidegate.http import Defaults, Field, field
from tidegate.wire.http1.encode import LAST_CHUNK, chunk, encode_head, informational

DATE = field(b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")
SERVER = field(b"server", b"tidegate")
DEFAULTS = Defaults([DATE, SERVER])
NONE = Defaults([])


def encode(
    *fields: Field,
    status: int = 200,
    defaults: Defaults = NONE,
    framing: bytes = b"",
    body: bytes = b"",
) -> list[bytes]:
    """Return the lines of a head, and what follows it."""
    roles = 0
    for one in fields:
        roles |= one.role
    return encode_head(status, fields, roles, defaults, framing, body).split(b"\r\n")


def test_a_head_without_fields_is_a_status_line_and_an_empty_line() -> None:
    assert encode() == [b"HTTP/1.1 200 OK", b"", b""]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK"),
        (404, b"HTTP/1.1 404 Not Found"),
        (299, b"HTTP/1.1 299 "),
        (999, b"HTTP/1.1 999 "),
    ],
)
def test_a_status_line_has_its_phrase_and_always_its_second_space(status: int, line: bytes) -> None:
    assert encode(status=status)[0] == line
    assert encode(status=status)[0] == line


def test_fields_keep_their_order_and_case() -> None:
    lines = encode(field(b"X-B", b"1"), field(b"x-a", b"2"), field(b"X-b", b""))
    assert lines == [b"HTTP/1.1 200 OK", b"X-B: 1", b"x-a: 2", b"X-b: ", b"", b""]


def test_the_fields_of_the_server_come_first() -> None:
    lines = encode(field(b"x", b"1"), defaults=DEFAULTS)
    assert lines[1:-2] == [
        *(b"date: Sun, 06 Nov 1994 08:49:37 GMT", b"server: tidegate"),
        b"x: 1",
    ]


def test_a_date_of_the_application_replaces_the_servers() -> None:
    lines = encode(field(b"Date", b"now"), defaults=DEFAULTS)
    assert lines[1:-2] == [b"server: tidegate", b"Date: now"]


def test_a_server_field_of_the_application_replaces_the_servers() -> None:
    lines = encode(field(b"Server", b"mine"), defaults=DEFAULTS)
    assert lines[1:-2] == [b"date: Sun, 06 Nov 1994 08:49:37 GMT", b"Server: mine"]


@pytest.mark.parametrize(
    "given",
    [
        field(b"Transfer-Encoding", b"chunked"),
        field(b"transfer-encoding", b"gzip"),
        field(b"Connection", b"keep-alive"),
        field(b"connection", b"close"),
    ],
    ids=repr,
)
def test_the_application_has_no_say_in_framing(given: Field) -> None:
    lines = encode(given, field(b"x", b"1"), defaults=DEFAULTS)
    assert lines[1:-2] == [
        *(b"date: Sun, 06 Nov 1994 08:49:37 GMT", b"server: tidegate"),
        b"x: 1",
    ]


def test_the_content_length_of_the_application_is_kept() -> None:
    assert encode(field(b"Content-Length", b"5"))[1:-2] == [b"Content-Length: 5"]


def test_framing_comes_after_the_fields_and_before_the_content() -> None:
    lines = encode(field(b"x", b"1"), framing=b"content-length: 2\r\n", body=b"ab")
    assert lines == [b"HTTP/1.1 200 OK", b"x: 1", b"content-length: 2", b"", b"ab"]


def test_an_interim_response_is_a_head_without_the_fields_of_the_server() -> None:
    assert informational(100, ()) == b"HTTP/1.1 100 Continue\r\n\r\n"
    hints = informational(103, [field(b"link", b"</a>; rel=preload")])
    assert hints == b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"


def test_a_chunk_is_its_size_and_its_data() -> None:
    assert chunk(b"x") == b"1\r\nx\r\n"
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert LAST_CHUNK == b"0\r\n\r\n"


@pytest.mark.parametrize(
    "given",
    [
        field(b"transfer-encoding", b"chunked"),
        field(b"content-length", b"5"),
        field(b"connection", b"close"),
    ],
    ids=repr,
)
def test_an_interim_response_frames_nothing(given: Field) -> None:
    # RFC 9112 section 6.1 and RFC 9110 section 8.6.
    assert informational(103, [given]) == b"HTTP/1.1 103 Early Hints\r\n\r\n"
