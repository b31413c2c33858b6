"""What is already wrong with a head that has not arrived completely?"""

from __future__ import annotations

import pytest

from tidegate.errors import BadRequest
from tidegate.testing.wire import cuts
from tidegate.wire.http1.limits import Http1Limits
from tidegate.wire.http1.scan import HeadScanner


def scan(pieces: list[bytes], limits: Http1Limits) -> int | None:
    """Return the status of the refusal, or None."""
    scanner = HeadScanner(limits)
    buffer = bytearray()
    try:
        for piece in pieces:
            buffer += piece
            scanner.advance(buffer, len(buffer))
    except BadRequest as error:
        return error.status
    assert scanner.position == len(buffer)
    return None


LIMITS = Http1Limits(max_head_size=60, max_fields=2, max_target_size=8)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", None),
        (b"GET", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\n\r", None),
        (b"anything at all\x00\r\n", None),
        (b"\n", 400),
        (b"\r\n", 400),
        (b"GET\n", 400),
        (b"\n\r", 400),
        (b"\nGET /aaaaaaaa", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n", 400),
        (b"GET /aaaaaaa", None),
        (b"GET /aaaaaaa\r", None),
        (b"GET /aaaaaaa\r\n", None),
        (b"GET /aaaaaaa HTTP/1.1", None),
        (b"GET /aaaaaaaa", 414),
        (b" /aaaaaaaa", 414),
        (b"GET  /aaaaaaaa", None),
        (b"GET /aaaaaaa\ra", 414),
        (b"GET /aaaaaaaa\r\n", 414),
        (b"GET /aaaaaaaa\n", 414),
        (b"GET / HTTP/1.1\r\na /aaaaaaaaaaaa", None),
        (b"G\r\n1\r\n2\r\n3\r\n", None),
        (b"G\r\n1\r\n2\r\n3\r\n4\r\n", 431),
        (b"a" * 60, None),
        (b"a" * 61, 431),
        (b"a" * 60 + b"\n", 431),
        (b"a" * 59 + b"\n", 400),
    ],
)
def test_a_head_is_refused_at_the_byte_that_makes_it_hopeless(
    data: bytes, status: int | None
) -> None:
    for pieces in cuts(data):
        assert scan(pieces, LIMITS) == status, pieces


def test_what_lies_behind_the_end_of_the_head_is_not_scanned() -> None:
    scanner = HeadScanner(LIMITS)
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    scanner.advance(head + b"\n" * 100, len(head))
    assert scanner.position == len(head)


def test_a_byte_is_judged_once() -> None:
    scanner = HeadScanner(LIMITS)
    buffer = bytearray(b"GET / HTTP/1.1\r\nHost: a\r\n")
    scanner.advance(buffer, len(buffer))
    buffer[:] = b"\n" * len(buffer)
    scanner.advance(buffer, len(buffer))
    assert scanner.position == len(buffer)
