"""Throws broken frames at ``WebSocketCore`` and holds it to one invariant.

Whatever the bytes and however they are cut: the core calls its sink in the
promised order or raises a ``WebSocketError``, nothing else, and nothing after
that; it makes the same of them each time, also when it must wait after each
message; what it delivers reads the same when it is written in the plainest way;
and without compression a second opinion finds the same.

Frames are mutated as frames, and as bytes.  The same seed throws the same inputs.

    python -m tests.fuzz.websocket --seconds 60
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

if __package__ in (None, ""):
    # Run as a file: the folder of the file is on the path, not the project's.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.wire.websocket.cases import cases
from tests.wire.websocket.compression import Client
from tests.wire.websocket.driver import Call, Driver

from tidegate.testing.websocket import BINARY, CONTINUATION, PING, PONG, TEXT, closing, masked
from tidegate.testing.wire import cuts
from tidegate.wire.websocket.deflate import DeflateParameters, negotiate
from tidegate.wire.websocket.limits import WebSocketLimits

__all__ = ["SETTINGS", "Finding", "Fuzzer", "Settings", "check", "main", "minimised", "reference"]

STATUSES = {1002, 1007, 1008, 1009}

# Small, so that the bytes of a mutated case reach every limit.
TIGHT = WebSocketLimits(max_message_size=40, max_empty_fragments=2, max_control_frames=3)
ROOMY = WebSocketLimits()

# Long inputs are cut less often than short ones are.
SHORT = 200

MAX_INPUT = 600
MAX_POOL = 5000

OFFER = b"permessage-deflate; client_no_context_takeover"


@dataclass(frozen=True)
class Settings:
    """With which limits a core runs, and whether compression was agreed."""

    tight: bool
    compressed: bool
    driver: type[Driver] = Driver

    def __str__(self) -> str:
        limits = "tight" if self.tight else "roomy"
        return f"{limits}-compressed" if self.compressed else limits

    @property
    def limits(self) -> WebSocketLimits:
        """What the peer may send."""
        return TIGHT if self.tight else ROOMY

    def start(self) -> Driver:
        """Return a fresh core and its sink."""
        parameters: DeflateParameters | None = None
        if self.compressed:
            parameters = negotiate(OFFER)
        return self.driver(self.limits, parameters)


SETTINGS = [Settings(tight, compressed) for tight in (True, False) for compressed in (True, False)]


def check(data: bytes, settings: Settings, seed: int = 0) -> tuple[object, ...]:
    """Hold a core to the invariant for ``data``; any exception is a finding.

    Returns a key: inputs with the same key look alike from outside.
    """
    whole = settings.start()
    expected = list(whole.feed([data]))
    _check_calls(expected, settings.limits)
    if whole.core.closed:
        assert whole.reason.isprintable()
        assert whole.feed([data, b"", b"\x81\x80\x00\x00\x00\x00"]) == expected
    for pieces in cuts(data, seed, randoms=3 if len(data) <= SHORT else 1):
        found = settings.start().feed([b"", *pieces])
        assert _comparable(found, settings) == _comparable(expected, settings), pieces
        for late in (False, True):
            found = settings.start().feed_slowly(pieces, late)
            assert _comparable(found, settings) == _comparable(expected, settings), pieces
    _check_written_again(expected)
    if not settings.compressed:
        _check_second_opinion(expected, data, settings.limits)
    return (whole.reason, *(call[0] for call in expected[-4:]), len(expected))


def _comparable(found: list[Call], settings: Settings) -> list[Call]:
    """Leave the code of an error out where it may depend on the cut.

    One piece of a compressed message can break two rules at once: its first
    byte is not UTF-8, and it is too big.
    """
    if settings.compressed and found and found[-1][0] == "error" and found[-1][1] != 1002:
        return [*found[:-1], ("error",)]
    return found


def _check_calls(found: list[Call], limits: WebSocketLimits) -> None:
    assert all(call[0] not in ("close", "error") for call in found[:-1])
    for kind, content, *reason in found:
        if kind == "message":
            payload = content.encode() if isinstance(content, str) else content
            assert len(payload) <= limits.max_message_size
        elif kind in ("ping", "pong"):
            assert len(content) <= 125
        elif kind == "close":
            assert content in (*range(1000, 1004), 1005, *range(1007, 1015), *range(3000, 5000))
            assert len(reason[0].encode()) <= 123
        else:
            assert content in STATUSES
    controls = sum(call[0] in ("ping", "pong") for call in found)
    assert controls <= limits.max_control_frames


def _check_written_again(found: list[Call]) -> None:
    """Write what was delivered in the plainest way: it must read the same."""
    if found and found[-1][0] == "error":
        found = found[:-1]
    data = b"".join(map(_written, found))
    assert Driver(ROOMY).feed([data]) == found, data


def _written(call: Call) -> bytes:
    kind, content, *reason = call
    if kind == "message":
        return (
            masked(TEXT, content.encode()) if isinstance(content, str) else masked(BINARY, content)
        )
    if kind == "close":
        return closing(None if content == 1005 else content, *reason)
    return masked(PING if kind == "ping" else PONG, content)


def _check_second_opinion(found: list[Call], data: bytes, limits: WebSocketLimits) -> None:
    """Say that the frames that are complete were read right; an error may come earlier."""
    complete = reference(data, limits)
    ended = bool(complete) and complete[-1][0] in ("close", "error")
    if not ended and found and found[-1][0] == "error":
        found = found[:-1]
    assert found == complete


def reference(data: bytes, limits: WebSocketLimits) -> list[Call]:
    """Return what the complete frames in ``data`` mean, read in the slow and simple way."""
    found: list[Call] = []
    opened: tuple[int, bytes, int] | None = None  # opcode, content, empty fragments
    controls = 0
    for first, second, payload in _frames(data):
        opcode, fin = first & 15, first & 128
        error = _frame_error(first, second, payload is None, opened is not None)
        if error or payload is None:
            return [*found, ("error", 1002)] if error else found
        if opcode > 7:
            controls += opcode != 8
            found.append(_control(opcode, payload))
            if controls > limits.max_control_frames:
                return [*found[:-1], ("error", 1008)]
            if found[-1][0] in ("close", "error"):
                return found
            continue
        kind, content, empty = opened or (opcode, b"", 0)
        content, empty = content + payload, empty + (not payload and not fin)
        if len(content) > limits.max_message_size:
            return [*found, ("error", 1009)]
        if empty > limits.max_empty_fragments:
            return [*found, ("error", 1008)]
        opened = None if fin else (kind, content, empty)
        call = _message(kind, content, bool(fin))
        if call is not None:
            found.append(call)
            if call[0] == "error":
                return found
    return found


def _frames(data: bytes) -> Iterator[tuple[int, int, bytes | None]]:
    """Yield first byte, second byte and payload; None for one whose length is not right."""
    while len(data) >= 2:
        first, second = data[0], data[1]
        extra = {126: 2, 127: 8}.get(second & 127, 0)
        size = int.from_bytes(data[2 : 2 + extra], "big") if extra else second & 127
        start = 6 + extra
        if (first & 8 and extra) or not second & 128 or first & 0x70:
            yield first, second, None
        if len(data) < start:
            return
        if extra and (size < (126 if extra == 2 else 1 << 16) or size >> 63):
            yield first, 0, None
        payload = data[start : start + size]
        if len(payload) < size:
            return
        key = data[start - 4 : start]
        yield first, second, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
        data = data[start + size :]


def _frame_error(first: int, second: int, broken: bool, inside: bool) -> bool:
    opcode = first & 15
    if broken or first & 0x70 or not second & 128 or opcode not in (0, 1, 2, 8, 9, 10):
        return True
    if opcode > 7:
        return not first & 128
    return inside != (opcode == 0)


def _control(opcode: int, payload: bytes) -> Call:
    if opcode != 8:
        return ("ping" if opcode == 9 else "pong", payload)
    if not payload:
        return ("close", 1005, "")
    code = int.from_bytes(payload[:2], "big")
    known = code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code < 5000
    if len(payload) == 1 or not known:
        return ("error", 1002)
    try:
        return ("close", code, payload[2:].decode())
    except UnicodeDecodeError:
        return ("error", 1007)


def _message(opcode: int, content: bytes, fin: bool) -> Call | None:
    """Return the call for a message as far as it has come; None if there is none yet."""
    if opcode == BINARY:
        return ("message", content) if fin else None
    try:
        return ("message", content.decode()) if fin else (content.decode(), None)[1]
    except UnicodeDecodeError as error:
        # Cut off inside a letter, it may still become valid; with half a surrogate
        # it cannot, but Python's decoder waits for the third byte.
        rest = content[error.start :]
        surrogate = len(rest) == 2 and rest[0] == 0xED and 0xA0 <= rest[1] <= 0xBF
        if not fin and (error.reason == "unexpected end of data" or surrogate):
            return None
        return ("error", 1007)


class Finding(Exception):
    """An input that breaks the invariant."""

    def __init__(self, data: bytes, settings: Settings, seed: int) -> None:
        super().__init__(data)
        self.data = data
        self.settings = settings
        self.seed = seed


class Fuzzer:
    """An endless, repeatable stream of broken frames."""

    def __init__(self, seed: int, driver: type[Driver] = Driver) -> None:
        self._driver = driver
        self._random = random.Random(seed)
        self._pool = list(seeds())
        self._keys: set[tuple[object, ...]] = set()
        self.thrown = 0

    @property
    def seen(self) -> int:
        """How many different outcomes there were."""
        return len(self._keys)

    def step(self) -> None:
        """Throw one input.  Raises ``Finding``."""
        chooser = self._random
        data = self.mutated()
        settings = Settings(chooser.random() < 0.4, chooser.random() < 0.4, self._driver)
        seed = chooser.getrandbits(32)
        try:
            key = check(data, settings, seed)
        except Exception as error:
            raise Finding(data, settings, seed) from error
        self.thrown += 1
        if key not in self._keys:
            self._keys.add(key)
            if len(self._pool) < MAX_POOL:
                self._pool.append(data)

    def mutated(self) -> bytes:
        """Return the next input."""
        chooser = self._random
        data = chooser.choice(self._pool)
        for _ in range(chooser.choice((1, 1, 1, 2, 2, 3, 5, 8))):
            data = chooser.choice(MUTATIONS)(chooser, data, chooser.choice(self._pool))
        return data[:MAX_INPUT]


def seeds() -> Iterator[bytes]:
    """Yield what a run begins with: the published cases, and compressed messages."""
    for case in cases():
        if 0 < len(case.input) <= MAX_INPUT:
            yield case.input
    for text in ("", "Hello", "äöü€" * 20, "x" * 500):
        for size in (0, 1, 3):
            yield Client(OFFER.decode()).frames(text, size)
            yield Client(OFFER.decode()).frames(text.encode(), size) + masked(PING, b"a")
    final = bytes.fromhex("f348cdc9c90700")
    yield masked(TEXT, final * 3 + b"\x00", reserved=4)
    yield masked(TEXT, final, fin=False, reserved=4) + masked(CONTINUATION, b"\x00")


PAYLOADS = [
    *(b"", b"a", b"Hello", b"\x00", b"\xff", "ä€\U0001f30a".encode(), b"\xe2\x82", b"\xac"),
    *(b"\xed", b"\xed\xa0", b"\xf4\x90", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xed", b"\x03"),
    *(b"x" * 40, b"x" * 41, b"x" * 125, b"x" * 126, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
]

Mutation = Callable[[random.Random, bytes, bytes], bytes]


def _edges(data: bytes) -> list[int]:
    """Return where frames begin, and the end."""
    edges = [0]
    while edges[-1] + 2 <= len(data):
        start = edges[-1]
        second = data[start + 1]
        extra = {126: 2, 127: 8}.get(second & 127, 0)
        size = int.from_bytes(data[start + 2 : start + 2 + extra], "big") if extra else second & 127
        end = start + 2 + extra + (4 if second & 128 else 0) + size
        if end >= len(data):
            break
        edges.append(end)
    return [*edges, len(data)]


def _split(data: bytes) -> list[bytes]:
    edges = _edges(data)
    return [data[start:end] for start, end in pairwise(edges)]


def _insert_frame(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    opcode = chooser.choice((0, 0, 1, 1, 2, 2, 8, 9, 10, chooser.randrange(16)))
    made = masked(
        opcode,
        chooser.choice(PAYLOADS),
        fin=chooser.random() < (0.9 if opcode > 7 else 0.5),
        reserved=chooser.choice((0, 0, 0, 0, 4, chooser.randrange(8))),
        mask=chooser.choice((bytes(4), chooser.randbytes(4))),
    )
    place = chooser.choice(_edges(data))
    return data[:place] + made + data[place:]


def _change_first_byte(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    frames = _split(data)
    place = chooser.randrange(len(frames))
    if frames[place]:
        first = frames[place][0] ^ chooser.choice((0x80, 0x80, 0x40, 0x10, 1, 2, 3, 8, 9))
        frames[place] = bytes([first]) + frames[place][1:]
    return b"".join(frames)


def _change_length(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    frames = _split(data)
    place = chooser.randrange(len(frames))
    if len(frames[place]) > 1:
        second = frames[place][1] ^ chooser.choice(
            (0x80, 1, 2, 4, 0x7E, 0x7F, chooser.randrange(256))
        )
        frames[place] = frames[place][:1] + bytes([second]) + frames[place][2:]
    return b"".join(frames)


def _swap_frames(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    frames = _split(data)
    chooser.shuffle(frames)
    return b"".join(frames)


def _drop_frame(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    frames = _split(data)
    del frames[chooser.randrange(len(frames))]
    return b"".join(frames)


def _repeat_frame(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    frames = _split(data)
    frames.insert(chooser.randrange(len(frames) + 1), chooser.choice(frames))
    return b"".join(frames)


def _mix_frames(chooser: random.Random, data: bytes, other: bytes) -> bytes:
    frames, others = _split(data), _split(other)
    place = chooser.randint(0, len(frames))
    return b"".join([*frames[:place], *others, *frames[place:]])


def _replace_byte(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    place = chooser.randrange(len(data) + 1)
    return data[:place] + bytes([chooser.randrange(256)]) + data[place + 1 :]


def _delete(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    start = chooser.randint(0, len(data))
    return data[:start] + data[start + chooser.choice((1, 1, 2, 4, 16)) :]


def _cut_off(chooser: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: chooser.randint(0, len(data))]


MUTATIONS: list[Mutation] = [
    *(_insert_frame, _insert_frame, _change_first_byte, _change_length, _swap_frames),
    *(_drop_frame, _repeat_frame, _mix_frames, _replace_byte, _delete, _cut_off),
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
        check(data, finding.settings, finding.seed)
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
    parser = argparse.ArgumentParser(description="Fuzz the WebSocket core.")
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
        print(f"after {fuzzer.thrown} inputs of seed {seed}, these bytes broke the invariant:")
        settings = f"Settings({finding.settings.tight}, {finding.settings.compressed})"
        print(f"check({finding.data!r}, {settings}, {finding.seed})")
        print(f"check({minimised(finding)!r}, {settings}, {finding.seed})")
        return 1
    print(f"{fuzzer.thrown} inputs, {fuzzer.seen} outcomes, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
