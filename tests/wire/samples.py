"""Requests that many tests send, and a sink that writes down what it is told."""

from __future__ import annotations

from typing import Any

from tidegate.http import Head
from tidegate.wire.http1.core import Http1Core
from tidegate.wire.http1.limits import Http1Limits

from .corpus import StrictRecorder

__all__ = [
    "CHUNKED_POST",
    "CLOSING_GET",
    "GET",
    "OLD_GET",
    "OLD_KEPT_GET",
    "POST",
    "Sink",
    "make",
    "next_request",
]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD_GET = b"GET / HTTP/1.0\r\n\r\n"
OLD_KEPT_GET = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
CLOSING_GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class Sink(StrictRecorder):
    """Keeps the arguments of each call in ``log``."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[Any, ...]] = []

    def on_request(self, head: Head, body: bytes, ended: bool) -> None:
        """Write it down."""
        self.log.append(("request", head.target, body, ended))
        super().on_request(head, body, ended)

    def on_body(self, data: bytes, ended: bool) -> None:
        """Write it down."""
        self.log.append(("body", data, ended))
        super().on_body(data, ended)

    def on_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Write it down."""
        self.log.append(("trailers", fields))
        super().on_trailers(fields)


def make(*received: bytes, limits: Http1Limits | None = None) -> tuple[Http1Core, Sink]:
    """Return a core that has received some pieces, and its sink."""
    sink = Sink()
    core = Http1Core(sink, limits or Http1Limits())
    for data in received:
        core.receive(data)
    return core, sink


def next_request(core: Http1Core, sink: Sink) -> None:
    """Say that the response to the current request is complete."""
    sink.expects_request = True
    core.next_request()
