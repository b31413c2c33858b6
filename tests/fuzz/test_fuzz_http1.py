"""A short run of the fuzzer, and requests that are right by construction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.http1 import ROOMY, TIGHT, Finding, Fuzzer, check, main, minimised
from tests.fuzz.reference import complete_requests
from tests.wire.corpus import Driver, load_cases, outcome

STEPS = 1500

TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BYTES = "".join(map(chr, range(256)))
VALUE_CHARACTERS = "\t" + "".join(map(chr, [*range(0x20, 0x7F), *range(0x80, 0x100)]))
TARGET_CHARACTERS = "".join(map(chr, range(0x21, 0x7F))).replace("#", "").replace("?", "")

MEANINGFUL = {
    *("host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"),
    *("authorization", "content-encoding", "content-range", "content-type", "cookie"),
    *("keep-alive", "max-forwards", "proxy-authorization", "range", "set-cookie", "te"),
    *("trailer", "x-forwarded-for", "x-forwarded-proto"),
}

Fields = list[tuple[str, str]]

names = st.text(TOKEN_CHARACTERS, min_size=1, max_size=12).filter(
    lambda name: name.lower() not in MEANINGFUL
)
values = st.text(VALUE_CHARACTERS, max_size=20).map(lambda value: value.strip(" \t"))
fields = st.lists(st.tuples(names, values), max_size=5)
spaces = st.text(" \t", max_size=3)
hosts = st.sampled_from(["", "a", "www.example.com:8000", "[2001:db8::1]", "192.0.2.1", "%41_:"])
extensions = st.text(VALUE_CHARACTERS, max_size=10).map(lambda text: ";" + text) | st.just("")


@dataclass
class Sent:
    """One request that is right by construction."""

    method: str
    path: str
    query: str | None
    version: str
    host: str
    fields: Fields
    body: str
    # (content, how its size is written, extension); None without chunks.
    chunks: list[tuple[str, str, str]] | None = None
    last_extension: str = ""
    trailers: Fields = field(default_factory=list)
    padding: tuple[str, str] = (" ", "")
    empty_line_before: bool = False

    def encoded(self) -> bytes:
        """Return the request as it goes over the wire."""
        before, after = self.padding
        start = "\r\n" if self.empty_line_before else ""
        query = "" if self.query is None else f"?{self.query}"
        lines = [f"{start}{self.method} {self.path}{query} HTTP/{self.version}"]
        lines += [f"{name}:{before}{value}{after}" for name, value in self.headers()]
        text = "\r\n".join([*lines, "", self._content()])
        return text.encode("latin-1")

    def headers(self) -> Fields:
        """Return the fields, those that frame the content included."""
        made = [("Host", self.host), *self.fields]
        if self.version == "1.0":
            made.append(("Connection", "Keep-Alive"))
        if self.chunks is not None:
            made.append(("Transfer-Encoding", "chunked"))
        elif self.body:
            made.append(("Content-Length", str(len(self.body))))
        return made

    def _content(self) -> str:
        if self.chunks is None:
            return self.body
        parts = [f"{size}{extension}\r\n{content}\r\n" for content, size, extension in self.chunks]
        trailers = [f"{name}:{value}\r\n" for name, value in self.trailers]
        return "".join([*parts, f"0{self.last_extension}\r\n", *trailers, "\r\n"])

    def seen(self) -> dict[str, Any]:
        """Return what the core must make of it."""
        return {
            "method": self.method,
            "path": self.path,
            "query": self.query or "",
            "version": self.version,
            "headers": [[name.lower(), value] for name, value in self.headers()],
            "body": self.body,
            "trailers": [[name.lower(), value] for name, value in self.trailers],
            "keep_alive": True,
            "ended": True,
        }


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """Make a request of any method, target, fields and framing."""
    version = draw(st.sampled_from(["1.0", "1.1"]))
    sent = Sent(
        method=draw(st.text(TOKEN_CHARACTERS, min_size=1, max_size=8)).upper(),
        path="/" + draw(st.text(TARGET_CHARACTERS, max_size=20)),
        query=draw(st.none() | st.text(TARGET_CHARACTERS + "?", max_size=20)),
        version=version,
        host=draw(hosts),
        fields=draw(fields),
        body=draw(st.text(BYTES, max_size=60)),
        padding=(draw(spaces), draw(spaces)),
        empty_line_before=draw(st.booleans()),
    )
    if sent.method == "CONNECT":
        sent.method = "GET"
    if version == "1.1" and draw(st.booleans()):
        sent.chunks = draw(st.lists(chunks(), max_size=4))
        sent.body = "".join(content for content, _, _ in sent.chunks)
        sent.last_extension = draw(extensions)
        sent.trailers = draw(fields)
    return sent


@st.composite
def chunks(draw: st.DrawFn) -> tuple[str, str, str]:
    """Make a chunk whose size is written in one of many ways."""
    content = draw(st.text(BYTES, min_size=1, max_size=40))
    digits = f"{len(content):x}".rjust(draw(st.integers(1, 15)), "0")
    return content, digits.upper() if draw(st.booleans()) else digits, draw(extensions)


def pieces_of(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(
    st.lists(requests(), min_size=1, max_size=4),
    st.lists(st.integers(0, 2000), max_size=8),
    st.booleans(),
)
def test_what_is_sent_is_what_is_read(sent: list[Sent], places: list[int], late: bool) -> None:
    data = b"".join(request.encoded() for request in sent)
    found = outcome(pieces_of(data, places), ROOMY, eof=True, late=late)
    expected = [request.seen() for request in sent]
    assert [{key: one.get(key) for key in expected[0]} for one in found] == expected


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(st.binary(max_size=80) | st.text("GET / HTP1.\r\n:a5;", max_size=80).map(str.encode))
def test_no_bytes_at_all_break_the_invariant(data: bytes) -> None:
    check(data, ROOMY)
    check(data, TIGHT)
    for start in (b"GET / HTTP/1.1\r\nHost: a\r\n", CHUNKS, CHUNKS + b"0\r\n"):
        check(start + data, ROOMY)


CHUNKS = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def throw(fuzzer: Fuzzer, steps: int = STEPS) -> None:
    for _ in range(steps):
        fuzzer.step()


@pytest.mark.parametrize("seed", range(4))
def test_no_mutated_case_breaks_the_invariant(seed: int) -> None:
    fuzzer = Fuzzer(seed)
    throw(fuzzer)
    assert fuzzer.thrown == STEPS
    assert fuzzer.seen > 50


def test_no_case_breaks_the_invariant() -> None:
    for case in load_cases():
        if len(case.input) < 1000:
            check(case.input, ROOMY)
            check(case.input, TIGHT)


class LenientDriver(Driver):
    """Drives a core that takes a bare LF for a line end, as too many do."""

    def run(self, pieces: Iterable[bytes], *, eof: bool = False) -> list[dict[str, Any]]:
        data = b"".join(pieces).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return super().run([data], eof=eof)


def test_the_fuzzer_finds_a_core_that_is_lenient() -> None:
    fuzzer = Fuzzer(0, LenientDriver)
    with pytest.raises(Finding) as found:
        throw(fuzzer)
    shorter = minimised(found.value)
    assert len(shorter) <= len(found.value.data)
    with pytest.raises(AssertionError):
        check(shorter, found.value.limits, found.value.seed, LenientDriver)


class ForgetfulDriver(Driver):
    """Drives a core that loses what it has of a request when the packet ends."""

    def run(self, pieces: Iterable[bytes], *, eof: bool = False) -> list[dict[str, Any]]:
        return super().run([*pieces][-1:], eof=eof)


def test_the_fuzzer_finds_a_core_that_depends_on_the_cut() -> None:
    fuzzer = Fuzzer(0, ForgetfulDriver)
    with pytest.raises(Finding):
        throw(fuzzer)


def test_the_same_seed_throws_the_same_inputs() -> None:
    thrown = []
    for _ in range(2):
        fuzzer = Fuzzer(7)
        throw(fuzzer, 50)
        thrown.append((fuzzer.seen, fuzzer._mutated()))
    assert thrown[0] == thrown[1]


def test_a_run_by_hand_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "0.05", "--seed", "1"]) == 0
    assert "nothing found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", [(b"GET", b"/", b"", [])]),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n\r\n", []),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", [(b"GET", b"/", b"ab", [])]),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", []),
        (CHUNKS + b"1\r\na\r\n0\r\nX: 1\r\n\r\n", [(b"POST", b"/", b"a", [(b"x", b"1")])]),
        (CHUNKS + b"1\r\na0\r\n\r\n", []),
    ],
)
def test_the_second_opinion_is_right_itself(data: bytes, found: list[Any]) -> None:
    assert complete_requests(data) == found
