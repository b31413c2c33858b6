"""The cases under ``cases/``: how they are written down, and how they are run.

A case is a stream of bytes from a client and what an ``Http1Core`` must make
of it: requests in order, then perhaps ``error = STATUS``, or ``waiting = true``
when it must go on waiting for the rest of a message.  Only the keys that a case
names are compared with it; everything is compared between one way of cutting
the stream and another.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegate.errors import PeerError, UsageError
from tidegate.http import Head
from tidegate.testing.wire import Recorder, Request
from tidegate.wire.http1.core import Http1Core
from tidegate.wire.http1.limits import Http1Limits

__all__ = ["Case", "Driver", "StrictRecorder", "load_cases", "outcome", "selected"]

CASES = Path(__file__).with_name("cases")


@dataclass
class Case:
    """One entry of a case file."""

    topic: str
    name: str
    source: str
    input: bytes
    expect: list[dict[str, Any]]
    eof: bool = False
    limits: Http1Limits = field(default_factory=Http1Limits)

    @property
    def id(self) -> str:
        """Name the case in a test report."""
        return f"{self.topic}/{self.name}"


def load_cases() -> list[Case]:
    """Return every case of every file, in a fixed order."""
    return [case for path in sorted(CASES.glob("*.toml")) for case in _read(path)]


def _read(path: Path) -> Iterator[Case]:
    for entry in tomllib.loads(path.read_text("utf-8"))["case"]:
        limits = Http1Limits(**entry.pop("limits", {}))
        data = _bytes(entry.pop("input"))
        yield Case(topic=path.stem, input=data, limits=limits, **entry)


def _bytes(text: str | list[str | dict[str, Any]]) -> bytes:
    """Return the bytes that the characters U+0000 to U+00FF of a case stand for."""
    if isinstance(text, str):
        return text.encode("latin-1")
    pieces = (
        _bytes(piece) if isinstance(piece, str) else _bytes(piece["text"]) * piece["times"]
        for piece in text
    )
    return b"".join(pieces)


class StrictRecorder(Recorder):
    """A recorder that also holds the core to the order of calls sinks are promised."""

    def __init__(self) -> None:
        super().__init__()
        self.expects_request = True
        self.expects_last_body = False
        self.closed = False

    @property
    def request_ended(self) -> bool:
        """Whether no request is arriving."""
        return not self.requests or self.requests[-1].ended

    def on_request(self, head: Head, body: bytes, ended: bool) -> None:
        """Accept one request for each time that ``expects_request`` was set."""
        assert not self.closed
        assert self.expects_request
        assert self.request_ended
        assert type(body) is bytes
        self.expects_request = False
        super().on_request(head, body, ended)

    def on_body(self, data: bytes, ended: bool) -> None:
        """Accept content of a request that has not ended."""
        assert not self.closed
        assert not self.request_ended
        assert type(data) is bytes
        assert data or ended
        assert ended or not self.expects_last_body
        self.expects_last_body = False
        super().on_body(data, ended)

    def on_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Accept trailers once, before the last content."""
        assert not self.closed
        assert not self.request_ended
        assert not self.requests[-1].trailers
        assert fields
        self.expects_last_body = True
        super().on_trailers(fields)


class Driver:
    """Feeds one core as a connection would, and answers each request that ended.

    ``late`` answers only when everything has arrived, as a slow application does.
    """

    def __init__(self, limits: Http1Limits, *, late: bool = False) -> None:
        self.sink = StrictRecorder()
        self.core = Http1Core(self.sink, limits)
        self.error: PeerError | None = None
        self._late = late
        self._answered = 0

    def run(self, pieces: Iterable[bytes], *, eof: bool = False) -> list[dict[str, Any]]:
        """Feed ``pieces`` and return the outcome."""
        try:
            for piece in pieces:
                self.core.receive(piece)
                if not self._late:
                    self._answer()
                assert (self.core.body_remaining == 0) == self.sink.request_ended
            if eof:
                self.core.receive_eof()
            self._answer()
        except PeerError as error:
            self.error = error
        return self._outcome()

    def feed_after_error(self, pieces: Iterable[bytes]) -> None:
        """Show that a core which refused something ignores whatever follows."""
        assert self.error is not None
        self.sink.closed = True
        for piece in pieces:
            self.core.receive(piece)
        try:
            self.core.next_request()
        except UsageError:
            pass
        self.core.receive_eof()

    def _answer(self) -> None:
        while self._answered < len(self.sink.requests) and self.sink.request_ended:
            self._answered += 1
            self.sink.expects_request = True
            self.core.next_request()

    def _outcome(self) -> list[dict[str, Any]]:
        found = [_as_seen(request) for request in self.sink.requests]
        if self.error is not None:
            found.append({"error": self.error.status})
        elif self.core.started or not self.sink.request_ended:
            found.append({"waiting": True})
        return found


def outcome(
    pieces: Iterable[bytes], limits: Http1Limits, *, eof: bool = False, late: bool = False
) -> list[dict[str, Any]]:
    """Return what a fresh core makes of ``pieces``, in the shape of ``Case.expect``."""
    return Driver(limits, late=late).run(pieces, eof=eof)


def selected(found: list[dict[str, Any]], expect: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``found`` with only the keys that ``expect`` names, item by item.

    An item that has none of them, or that ``expect`` has no partner for, stays
    whole: then it is news.
    """
    named = [set(item) for item in expect] + [set[str]()] * len(found)
    return [
        {key: item[key] for key in item if key in keys} or item
        for item, keys in zip(found, named, strict=False)
    ]


def _as_seen(request: Request) -> dict[str, Any]:
    head = request.head
    return {
        "method": head.method,
        "target": _text(head.target),
        "path": _text(head.path),
        "query": _text(head.query),
        "version": head.version,
        "headers": _pairs(head.headers),
        "body": _text(request.body),
        "trailers": _pairs(request.trailers),
        "keep_alive": head.keep_alive,
        "expects_continue": head.expects_continue,
        "upgrade": _text(head.upgrade),
        "scheme": head.scheme,
        "body_length": head.body_length,
        "forwarded": head.forwarded,
        "ended": request.ended,
    }


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _pairs(fields: list[tuple[bytes, bytes]]) -> list[list[str]]:
    return [[_text(name), _text(value)] for name, value in fields]
