"""How much work a stream of bytes is, counted in calls: the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import pytest

from .samples import CHUNKED_POST, GET, POST, make, next_request


def calls_during(action: Callable[[], None]) -> int:
    """Count the calls of Python and C functions."""
    count = 0

    def profile(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    previous = sys.getprofile()
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(previous)
    return count


def work(pieces: Iterable[bytes]) -> int:
    core, sink = make()

    def feed() -> None:
        for piece in pieces:
            core.receive(piece)
            while sink.request_ended and sink.requests and core.finish():
                next_request(core, sink)
            sink.expects_request = True

    return calls_during(feed)


def one_by_one(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


SHAPES: dict[str, Callable[[int], Iterable[bytes]]] = {
    "a long target": lambda n: one_by_one(b"GET /" + b"a" * (8 * n)),
    "a long value": lambda n: one_by_one(GET[:-2] + b"X: " + b"a" * (8 * n)),
    "many fields": lambda n: one_by_one(GET[:-2] + b"X: 1\r\n" * (n // 10)),
    "content with a length": lambda n: one_by_one(POST.replace(b"5", b"%d" % n) + b"a" * n),
    "one chunk": lambda n: one_by_one(CHUNKED_POST + b"%x\r\n" % n + b"a" * n),
    "many chunks": lambda n: one_by_one(CHUNKED_POST + b"1\r\na\r\n" * n),
    "many chunks at once": lambda n: [CHUNKED_POST + b"1\r\na\r\n" * n],
    "many extensions": lambda n: one_by_one(CHUNKED_POST + b"1;abc\r\na\r\n" * n),
    "a long trailer": lambda n: one_by_one(CHUNKED_POST + b"0\r\nX: " + b"a" * n),
    "many requests": lambda n: one_by_one(GET * (n // 10)),
    "many requests at once": lambda n: [GET * n],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_twice_the_bytes_are_twice_the_work(shape: str) -> None:
    make_pieces = SHAPES[shape]
    once, twice = (work(make_pieces(n)) for n in (400, 800))
    assert twice < 2.2 * once + 50


def test_a_request_in_one_piece_costs_few_calls() -> None:
    request = (
        b"GET /path?query HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\nAccept: */*\r\n"
        b"Accept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n"
    )
    work([request])
    assert work([request]) <= 60
