"""How a response says where it ends, and what becomes of the connection."""

from __future__ import annotations

from http.client import HTTPResponse
from io import BytesIO

import pytest

from tidegate.errors import PeerError
from tidegate.http import NO_BODY, Defaults, field

from .samples import CLOSING_GET, GET, OLD_GET, OLD_KEPT_GET, POST, make, next_request

DEFAULTS = Defaults([field(b"server", b"tidegate")])


def respond(
    received: bytes, length: int | None, *fields: tuple[bytes, bytes], body: bytes | None = None
) -> bytes:
    """Answer one request; with ``body``, in the same call."""
    core, _ = make(received)
    given = [field(name, value) for name, value in fields]
    roles = 0
    for one in given:
        roles |= one.role
    if body is None:
        return core.respond(200, given, roles, length, DEFAULTS)
    return core.respond(200, given, roles, length, DEFAULTS, body, True)


def lines_of(response: bytes) -> list[bytes]:
    return response.partition(b"\r\n\r\n")[0].split(b"\r\n")[2:]


@pytest.mark.parametrize(
    ("received", "length", "lines"),
    [
        (GET, 5, [b"content-length: 5"]),
        (GET, 0, [b"content-length: 0"]),
        (GET, NO_BODY, []),
        (GET, None, [b"transfer-encoding: chunked"]),
        (CLOSING_GET, 5, [b"content-length: 5", b"connection: close"]),
        (CLOSING_GET, NO_BODY, [b"connection: close"]),
        (CLOSING_GET, None, [b"transfer-encoding: chunked", b"connection: close"]),
        (OLD_GET, 5, [b"content-length: 5", b"connection: close"]),
        (OLD_GET, None, [b"connection: close"]),
        (OLD_KEPT_GET, 5, [b"content-length: 5", b"connection: keep-alive"]),
        (OLD_KEPT_GET, NO_BODY, [b"connection: keep-alive"]),
        (OLD_KEPT_GET, None, [b"connection: close"]),
        (b"", 5, [b"content-length: 5"]),
        (b"", None, [b"connection: close"]),
    ],
)
def test_a_response_says_where_it_ends_and_what_becomes_of_the_connection(
    received: bytes, length: int | None, lines: list[bytes]
) -> None:
    response = respond(received, length)
    assert response.startswith(b"HTTP/1.1 200 OK\r\nserver: tidegate\r\n")
    assert lines_of(response) == lines


def test_a_content_length_of_the_application_is_not_repeated() -> None:
    response = respond(GET, 5, (b"Content-Length", b"5"))
    assert lines_of(response) == [b"Content-Length: 5"]


def test_a_wish_of_the_application_to_close_is_kept() -> None:
    core, sink = make(GET + GET)
    close = field(b"Connection", b"close")
    response = core.respond(200, [close], close.role, 0, DEFAULTS)
    assert lines_of(response) == [b"content-length: 0", b"connection: close"]
    core.next_request()
    assert len(sink.requests) == 1


def test_the_connection_cannot_be_kept_when_only_its_end_ends_the_content() -> None:
    core, sink = make(OLD_KEPT_GET + GET)
    core.respond(200, [], 0, None, DEFAULTS)
    assert core.send_body(b"hello", False) == b"hello"
    assert core.send_body(b"", True) == b""
    core.next_request()
    assert len(sink.requests) == 1


def test_content_of_unknown_length_is_sent_in_chunks() -> None:
    core, _ = make(GET)
    core.respond(200, [], 0, None, DEFAULTS)
    assert core.send_body(b"hello", False) == b"5\r\nhello\r\n"
    assert core.send_body(b"", False) == b""
    assert core.send_body(b"!", True) == b"1\r\n!\r\n0\r\n\r\n"


def test_content_of_known_length_is_sent_as_it_is() -> None:
    core, _ = make(GET)
    core.respond(200, [], 0, 5, DEFAULTS)
    assert core.send_body(b"hello", False) == b"hello"
    assert core.send_body(b"", True) == b""


def test_one_response_in_chunks_does_not_chunk_the_next() -> None:
    core, sink = make(GET + GET)
    core.respond(200, [], 0, None, DEFAULTS)
    core.send_body(b"", True)
    next_request(core, sink)
    core.respond(200, [], 0, 5, DEFAULTS)
    assert core.send_body(b"hello", True) == b"hello"


@pytest.mark.parametrize("received", [GET, CLOSING_GET, OLD_GET, OLD_KEPT_GET])
@pytest.mark.parametrize("body", [b"", b"x", b"hello" * 100])
@pytest.mark.parametrize("known", [True, False])
def test_another_implementation_reads_the_response(
    received: bytes, body: bytes, known: bool
) -> None:
    core, _ = make(received)
    length = len(body) if known else None
    at_once = core.respond(200, [], 0, length, DEFAULTS, body, True)
    in_parts = core.respond(200, [], 0, length, DEFAULTS)
    in_parts += core.send_body(body, False) + core.send_body(b"", True)
    for response in (at_once, in_parts):
        with HTTPResponse(Stream(response)) as read:  # type: ignore[arg-type]
            read.begin()
            assert read.status == 200
            assert read.read() == body
            assert read.will_close == (not core.keep_alive)


class Stream(BytesIO):
    """Stands in for the socket that ``HTTPResponse`` reads from."""

    def makefile(self, _: str) -> BytesIO:
        return self


def test_the_first_content_may_come_with_the_head() -> None:
    core, _ = make(GET)
    response = core.respond(200, [], 0, None, DEFAULTS, b"he", False)
    assert response.endswith(b"\r\n\r\n2\r\nhe\r\n")
    assert core.send_body(b"llo", True) == b"3\r\nllo\r\n0\r\n\r\n"


def test_an_empty_response_of_unknown_length_is_a_last_chunk() -> None:
    assert respond(GET, None, body=b"").endswith(b"\r\n\r\n0\r\n\r\n")


def test_an_interim_response_is_sent_to_those_who_understand_it() -> None:
    assert make(GET)[0].send_informational(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    hint = [field(b"link", b"</a>")]
    assert make(GET)[0].send_informational(103, hint).endswith(b"\r\nlink: </a>\r\n\r\n")
    assert make(OLD_GET)[0].send_informational(100) == b""
    assert make()[0].send_informational(100) == b""


def test_an_interim_response_leaves_the_final_one_alone() -> None:
    core, _ = make(POST)
    core.send_informational(100)
    assert lines_of(core.respond(200, [], 0, 5, DEFAULTS)) == [b"content-length: 5"]


def test_a_request_that_was_refused_may_still_be_answered() -> None:
    core, _ = make()
    with pytest.raises(PeerError):
        core.receive(b"\n")
    core.keep_alive = False
    response = core.respond(400, [], 0, 3, DEFAULTS, b"no\n", True)
    assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert lines_of(response) == [b"content-length: 3", b"connection: close"]
