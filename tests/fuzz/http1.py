"""Throws broken requests at ``Http1Core`` and holds it to one invariant.

Whatever the bytes and however they are cut: the core calls its sink in the
promised order or raises a ``PeerError``, nothing else; it makes the same of
them each time; and it delivers those requests that a second opinion finds too
(see ``reference.py``).

A mutation fuzzer of our own: it starts from the cases of ``tests/wire``, and
keeps each input that led to an outcome it has not seen.  The same seed throws
the same inputs.

    python -m tests.fuzz.http1 --seconds 60
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    # Run as a file: the folder of the file is on the path, not the project's.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.fuzz.reference import complete_requests
from tests.wire.corpus import Driver, load_cases

from tidegate.testing.wire import cuts
from tidegate.wire.http1.limits import Http1Limits

__all__ = ["Finding", "Fuzzer", "check", "main", "minimised"]

STATUSES = {400, 413, 414, 417, 431, 501, 505}

# Small, so that the bytes of a mutated case reach every limit.
TIGHT = Http1Limits(
    max_head_size=120,
    max_fields=4,
    max_target_size=24,
    max_body_size=30,
    max_chunk_extension_size=8,
    max_chunk_extensions_size=20,
    max_trailer_size=30,
)
ROOMY = Http1Limits()

# RFC 9110 sections 5.5 and 5.6.2, and RFC 9112 section 3.2, spelled once more:
# an oracle that shares no code with the parser.
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VALUE = re.compile(r"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
TARGET = re.compile(r"[!\"$-~]+")

# Long inputs are cut less often than short ones are.
SHORT = 200

MAX_INPUT = 600
MAX_POOL = 5000

WORDS = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b" ", b"\t", b":", b";", b",", b"=", b'"'),
    *(b"\x00", b"\x0b", b"\x0c", b"\x1f", b"\x7f", b"\x80", b"\xa0", b"\xff", b"#", b"%", b"@"),
    *(b"?", b"*", b"/", b"[", b"]", b"[::1]", b"+", b"-", b"0x", b"_"),
    *(b"GET ", b"POST ", b"CONNECT ", b"OPTIONS ", b"get ", b"http://b", b"https://u@b:1"),
    *(b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b"HTTP/1.", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    *(b"Host: a\r\n", b"host:", b"Content-Length: 5\r\n", b"content-length:", b"0\r\n\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"transfer-encoding:", b"chunked", b"gzip, "),
    *(b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: upgrade\r\n"),
    *(b"Upgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"Expect: x\r\n", b"X: 1\r\n"),
    *(b"5\r\nhello\r\n", b"1;a\r\nx\r\n", b"5;", b"0;a=b\r\n", b"fffffffffffffff", b"\r\n "),
    *(b"X-Forwarded-For: b\r\n", b"Trailer: x\r\n", b"hello", b"close", b"keep-alive", b"upgrade"),
]

Mutation = Callable[[random.Random, bytes, bytes], bytes]


def check(
    data: bytes, limits: Http1Limits, seed: int = 0, driver: type[Driver] = Driver
) -> tuple[object, ...]:
    """Hold a core to the invariant for ``data``; any exception is a finding.

    ``driver`` runs it.  Returns a key: inputs with the same key look alike from
    outside.
    """
    whole = driver(limits)
    expected = whole.run([data])
    _check_outcome(expected)
    if whole.error is not None:
        assert whole.error.status in STATUSES
        assert whole.error.reason.isprintable()
        whole.feed_after_error([data, b"\n"])
    with_eof = driver(limits).run([data], eof=True)
    assert with_eof == [_ended(item) for item in expected]
    for pieces in cuts(data, seed, randoms=3 if len(data) <= SHORT else 1):
        assert driver(limits).run(pieces) == expected, pieces
        assert driver(limits).run([b"", *pieces], eof=True) == with_eof, pieces
        assert driver(limits, late=True).run(pieces) == expected, pieces
        assert driver(limits, late=True).run(pieces, eof=True) == with_eof, pieces
    _check_written_again(expected, limits)
    if limits is ROOMY:
        _check_second_opinion(expected, data)
    return _key(expected, whole.error.reason if whole.error else "")


def _ended(item: dict[str, Any]) -> dict[str, Any]:
    """Return what becomes of an item of an outcome when the peer stops sending."""
    return {"error": 400} if item == {"waiting": True} else item


def _check_outcome(found: list[dict[str, Any]]) -> None:
    requests = [item for item in found if "method" in item]
    assert len(found) - len(requests) <= 1
    assert found[: len(requests)] == requests
    assert all(request["keep_alive"] for request in requests[:-1])
    assert all(request["ended"] for request in requests[:-1])
    for request in requests:
        _check_request(request)


def _check_request(request: dict[str, Any]) -> None:
    """Say that nobody could read this request in another way."""
    assert TOKEN.fullmatch(request["method"])
    assert request["method"] == request["method"].upper()
    assert request["version"] in ("1.0", "1.1")
    assert TARGET.fullmatch(request["target"])
    assert "?" not in request["path"]
    assert request["path"][:1] in ("/", "*", "")
    names = [name for name, _ in request["headers"]]
    for name, value in request["headers"] + request["trailers"]:
        assert TOKEN.fullmatch(name)
        assert name == name.lower()
        assert VALUE.fullmatch(value)
    assert names.count("host") == 1 or (request["version"] == "1.0" and "host" not in names)
    lengths = [value for name, value in request["headers"] if name == "content-length"]
    codings = [value for name, value in request["headers"] if name == "transfer-encoding"]
    assert len(lengths) + len(codings) <= 1
    if codings:
        assert (codings[0].lower(), request["version"]) == ("chunked", "1.1")
    else:
        length = int(lengths[0]) if lengths else 0
        assert (len(request["body"]) == length) == request["ended"]
        assert len(request["body"]) <= length
        assert request["trailers"] == []


def _check_written_again(found: list[dict[str, Any]], limits: Http1Limits) -> None:
    """Write what was delivered in the plainest way: it must read the same."""
    requests = [item for item in found if item.get("ended")]
    data = b"".join(map(_written, requests))
    assert Driver(ROOMY).run([data]) == requests, data
    assert limits.max_body_size >= max((len(one["body"]) for one in requests), default=0)


def _check_second_opinion(found: list[dict[str, Any]], data: bytes) -> None:
    """Say that exactly the requests that are right have been delivered."""
    delivered = [
        (one["method"], one["target"], one["body"], one["trailers"])
        for one in found
        if one.get("ended")
    ]
    text = "latin-1"
    assert delivered == [
        (
            *(method.decode(text), target.decode(text), body.decode(text)),
            [[name.decode(text), value.decode(text)] for name, value in trailers],
        )
        for method, target, body, trailers in complete_requests(data)
    ]


def _written(request: dict[str, Any]) -> bytes:
    fields = request["headers"]
    if request["scheme"]:
        # A host that came in the target is written in the target alone.
        fields = [["host", "x"], *fields[1:]]
    lines = [f"{request['method']} {request['target']} HTTP/{request['version']}"]
    lines += [f"{name}:{value}" for name, value in fields]
    body = request["body"]
    if request["body_length"] < 0:
        trailers = "".join(f"{name}:{value}\r\n" for name, value in request["trailers"])
        chunk = f"{len(body):x}\r\n{body}\r\n" if body else ""
        body = f"{chunk}0\r\n{trailers}\r\n"
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


def _key(found: list[dict[str, Any]], reason: str) -> tuple[object, ...]:
    requests = [item for item in found if "method" in item]
    return (
        reason,
        len(found) - len(requests),
        min(len(requests), 3),
        *(
            (
                *(one["version"], one["path"][:1], one["scheme"], one["keep_alive"]),
                *(one["expects_continue"], bool(one["upgrade"]), one["forwarded"]),
                *(min(one["body_length"], 1), bool(one["body"]), len(one["trailers"])),
            )
            for one in requests[-1:]
        ),
    )


class Finding(Exception):
    """An input that breaks the invariant."""

    def __init__(self, data: bytes, limits: Http1Limits, seed: int, driver: type[Driver]) -> None:
        super().__init__(data)
        self.data = data
        self.limits = limits
        self.seed = seed
        self.driver = driver


class Fuzzer:
    """An endless, repeatable stream of broken requests."""

    def __init__(self, seed: int, driver: type[Driver] = Driver) -> None:
        self._driver = driver
        self._random = random.Random(seed)
        self._pool = [case.input for case in load_cases() if 0 < len(case.input) <= MAX_INPUT]
        self._keys: set[tuple[object, ...]] = set()
        self.thrown = 0

    @property
    def seen(self) -> int:
        """How many different outcomes there were."""
        return len(self._keys)

    def step(self) -> None:
        """Throw one input.  Raises ``Finding``."""
        chooser = self._random
        data = self._mutated()
        limits = TIGHT if chooser.random() < 0.4 else ROOMY
        seed = chooser.getrandbits(32)
        try:
            key = check(data, limits, seed, self._driver)
        except Exception as error:
            raise Finding(data, limits, seed, self._driver) from error
        self.thrown += 1
        if key not in self._keys:
            self._keys.add(key)
            if len(self._pool) < MAX_POOL:
                self._pool.append(data)

    def _mutated(self) -> bytes:
        chooser = self._random
        data = chooser.choice(self._pool)
        for _ in range(chooser.choice((1, 1, 1, 2, 2, 3, 5, 8))):
            data = chooser.choice(MUTATIONS)(chooser, data, chooser.choice(self._pool))
        return data[:MAX_INPUT]


def _insert_word(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    place = chooser.randint(0, len(data))
    return data[:place] + chooser.choice(WORDS) + data[place:]


def _insert_line(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    lines = data.split(b"\r\n")
    place = chooser.randint(0, len(lines))
    return b"\r\n".join([*lines[:place], chooser.choice(WORDS).strip(), *lines[place:]])


def _replace_word(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    found = [word for word in WORDS if word in data]
    if not found:
        return data
    word = chooser.choice(found)
    return data.replace(word, chooser.choice(WORDS), chooser.choice((1, 1, -1)))


def _replace_byte(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    place = chooser.randrange(len(data) + 1)
    return data[:place] + bytes([chooser.randrange(256)]) + data[place + 1 :]


def _change_digit(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    digits = [place for place, byte in enumerate(data) if byte in b"0123456789"]
    if not digits:
        return data
    place = chooser.choice(digits)
    return data[:place] + bytes([chooser.choice(b"0123456789abcF-+ ;")]) + data[place + 1 :]


def _change_case(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    start, end = _range(chooser, data)
    return data[:start] + data[start:end].swapcase() + data[end:]


def _delete(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    start, end = _range(chooser, data)
    return data[:start] + data[end:]


def _duplicate(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    start, end = _range(chooser, data)
    return data[:end] + data[start:end] * chooser.choice((1, 1, 1, 4)) + data[end:]


def _duplicate_line(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    lines = data.split(b"\r\n")
    line = chooser.choice(lines)
    place = chooser.randint(0, len(lines))
    return b"\r\n".join([*lines[:place], line, *lines[place:]])


def _swap_lines(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    lines = data.split(b"\r\n")
    one, other = chooser.randrange(len(lines)), chooser.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def _cut_off(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: chooser.randint(0, len(data))]


def _append(_: random.Random, data: bytes, other: bytes) -> bytes:
    return data + other


def _splice(chooser: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: chooser.randint(0, len(data))] + other[chooser.randint(0, len(other)) :]


def _range(chooser: random.Random, data: bytes) -> tuple[int, int]:
    start = chooser.randint(0, len(data))
    return start, min(len(data), start + chooser.choice((1, 1, 2, 4, 16, 64)))


MUTATIONS: list[Mutation] = [
    *(_insert_word, _insert_line, _replace_word, _replace_byte, _change_digit, _change_case),
    *(_delete, _duplicate, _duplicate_line, _swap_lines, _cut_off, _append, _splice),
]


def minimised(finding: Finding) -> bytes:
    """Return a shorter input that breaks the invariant too, if there is one."""
    data = finding.data
    size = len(data)
    while size:
        for start in range(0, len(data), size):
            shorter = data[:start] + data[start + size :]
            if _breaks(shorter, finding):
                data = shorter
                break
        else:
            size //= 2
    return data


def _breaks(data: bytes, finding: Finding) -> bool:
    try:
        check(data, finding.limits, finding.seed, finding.driver)
    except Exception:
        return True
    return False


def _progress(fuzzer: Fuzzer, seconds: float) -> Iterator[None]:
    """Yield until the time is over, and say now and then how it goes."""
    start = time.monotonic()
    due = start
    while (now := time.monotonic()) < start + seconds:
        if now >= due:
            spent = now - start
            print(f"{spent:6.0f} s  {fuzzer.thrown:9} inputs  {fuzzer.seen:5} outcomes", flush=True)
            due = now + 5
        yield


def main(arguments: list[str] | None = None) -> int:
    """Fuzz for a while; return 1 if something was found."""
    parser = argparse.ArgumentParser(description="Fuzz the HTTP/1 core.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="by default another every time")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"seed {seed}")
    fuzzer = Fuzzer(seed)
    try:
        for _ in _progress(fuzzer, options.seconds):
            fuzzer.step()
    except Finding as finding:
        traceback.print_exception(finding.__cause__)
        name = "TIGHT" if finding.limits is TIGHT else "ROOMY"
        print(f"after {fuzzer.thrown} inputs of seed {seed}, these bytes broke the invariant:")
        print(f"check({finding.data!r}, {name}, {finding.seed})")
        print(f"check({minimised(finding)!r}, {name}, {finding.seed})")
        return 1
    print(f"{fuzzer.thrown} inputs, {fuzzer.seen} outcomes, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
