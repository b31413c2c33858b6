"""The published cases of the Autobahn test suite for WebSocket servers, written once more.

The numbers are that suite's, so that a failure here and a failure there can be
compared; groups 8 and 11 do not exist.  A case is what a client sends, in the
pieces in which it sends it, and the calls that a core must make of it, however
it is cut.  Cases that measure speed send less often what they send.  Groups 12
and 13 are in ``compression``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tidegate.testing.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    closing,
    masked,
)

__all__ = ["COUNTS", "Call", "Case", "cases", "large_cases"]

Call = tuple[Any, ...]
"""``("message", text or bytes)``, ``("ping", payload)``, ``("pong", payload)``,
``("close", code, reason)`` or ``("error", code)``."""

COUNTS = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1}
"""How many cases each group has."""

KIB, MIB = 1024, 1024 * 1024

# "kosme" in Greek letters, eleven bytes: the valid part of many cases.
KOSME = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"


@dataclass
class Case:
    """One case; ``refused_at`` says with which byte it must be refused, not later."""

    id: str
    pieces: list[bytes]
    calls: list[Call]
    refused_at: int | None = None

    @property
    def input(self) -> bytes:
        """All that the client sends."""
        return b"".join(self.pieces)

    @property
    def group(self) -> int:
        """The first part of the number."""
        return int(self.id.partition(".")[0])


def cases() -> Iterator[Case]:
    """Yield the cases of groups 1 to 10, in order, without the large ones."""
    yield from _framing()
    yield from _pings_and_pongs()
    yield from _reserved_bits()
    yield from _opcodes()
    yield from _fragmentation()
    yield from _utf8_in_frames()
    yield from _utf8_failing_fast()
    yield from _utf8_sequences()
    yield from _closing()
    yield from _close_codes()
    yield from _round_trips()
    whole = b"*" * (64 * KIB)
    yield Case("10.1.1", _fragments(TEXT, whole, 1300), [("message", whole.decode())])


def _text(payload: bytes | str) -> Call:
    return ("message", payload.decode() if isinstance(payload, bytes) else payload)


def _chopped(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _fragments(opcode: int, payload: bytes, size: int) -> list[bytes]:
    """Return a message in fragments of ``size`` bytes, each a frame."""
    pieces = _chopped(payload, size)
    last = len(pieces) - 1
    return [
        masked(CONTINUATION if number else opcode, piece, fin=number == last)
        for number, piece in enumerate(pieces)
    ]


def _framing() -> Iterator[Case]:
    sizes = (0, 125, 126, 127, 128, 65535, 65536, 65536)
    for number, size in enumerate(sizes, 1):
        for group, opcode, letter in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
            payload = letter * size
            pieces = [masked(opcode, payload)]
            if number == 8:
                pieces = _chopped(pieces[0], 997)
            call = _text(payload) if opcode == TEXT else ("message", payload)
            yield Case(f"1.{group}.{number}", pieces, [call])


def _pings_and_pongs() -> Iterator[Case]:
    long = b"\xfe" * 125
    binary = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
    yield Case("2.1", [masked(PING)], [("ping", b"")])
    yield Case("2.2", [masked(PING, b"Hello, world!")], [("ping", b"Hello, world!")])
    yield Case("2.3", [masked(PING, binary)], [("ping", binary)])
    yield Case("2.4", [masked(PING, long)], [("ping", long)])
    # The length alone says that it is too long.
    yield Case("2.5", [masked(PING, long + b"\xfe")], [("error", 1002)], refused_at=2)
    yield Case("2.6", _chopped(masked(PING, long), 1), [("ping", long)])
    yield Case("2.7", [masked(PONG)], [("pong", b"")])
    yield Case("2.8", [masked(PONG, b"unsolicited")], [("pong", b"unsolicited")])
    pieces = [masked(PONG, b"unsolicited"), masked(PING, b"ping")]
    yield Case("2.9", pieces, [("pong", b"unsolicited"), ("ping", b"ping")])
    payloads = [b"payload-%d" % number for number in range(10)]
    pieces = [masked(PING, payload) for payload in payloads]
    calls: list[Call] = [("ping", payload) for payload in payloads]
    yield Case("2.10", pieces, calls)
    yield Case("2.11", _chopped(b"".join(pieces), 1), calls)


def _reserved_bits() -> Iterator[Case]:
    hello = masked(TEXT, b"Hello, world!")
    refused: Call = ("error", 1002)
    yield Case("3.1", [masked(TEXT, b"Hello", reserved=1)], [refused], refused_at=1)
    for number in (2, 3, 4):
        pieces = [hello, masked(TEXT, b"Hello", reserved=number), masked(PING)]
        if number == 4:
            pieces = _chopped(b"".join(pieces), 1)
        calls = [_text("Hello, world!"), refused]
        yield Case(f"3.{number}", pieces, calls, refused_at=len(hello) + 1)
    yield Case("3.5", [masked(BINARY, bytes(8), reserved=5)], [refused], refused_at=1)
    yield Case("3.6", [masked(PING, b"Hello", reserved=6)], [refused], refused_at=1)
    yield Case("3.7", [masked(CLOSE, reserved=7)], [refused], refused_at=1)


def _opcodes() -> Iterator[Case]:
    hello = masked(TEXT, b"Hello, world!")
    for group, opcodes in ((1, range(3, 8)), (2, range(11, 16))):
        for number, opcode in enumerate(opcodes, 1):
            # The even ones come with content.
            broken = masked(opcode, b"" if number % 2 else b"content")
            before = [] if number < 3 else [hello]
            after = [] if number < 3 else [masked(PING)]
            calls: list[Call] = [_text("Hello, world!")] if before else []
            yield Case(
                f"4.{group}.{number}",
                [*before, broken, *after],
                [*calls, ("error", 1002)],
                refused_at=sum(map(len, before)) + 1,
            )


def _fragmentation() -> Iterator[Case]:
    refused: Call = ("error", 1002)
    for number, opcode in ((1, PING), (2, PONG)):
        pieces = [masked(opcode, b"one", fin=False), masked(CONTINUATION, b"two")]
        yield Case(f"5.{number}", pieces, [refused], refused_at=1)

    first, second = masked(TEXT, b"one", fin=False), masked(CONTINUATION, b"two")
    ping = masked(PING, b"ping")
    pong: Call = ("ping", b"ping")
    yield from _in_three_ways(3, [first, second], [_text("onetwo")])
    yield from _in_three_ways(6, [first, ping, second], [pong, _text("onetwo")])
    for number, fin in ((9, True), (12, False)):
        pieces = [masked(CONTINUATION, b"nothing to continue", fin=fin), masked(TEXT, b"Hello")]
        yield from _in_three_ways(number, pieces, [refused], refused_at=1)

    stray = masked(CONTINUATION, b"three", fin=False)
    yield Case(
        "5.15",
        [first, second, stray, masked(TEXT, b"four")],
        [_text("onetwo"), refused],
        refused_at=len(first + second) + 1,
    )
    for number, fin in ((16, False), (17, True)):
        pieces = [masked(CONTINUATION, b"zero", fin=fin), first, second] * 2
        yield Case(f"5.{number}", pieces, [refused], refused_at=1)
    yield Case("5.18", [first, masked(TEXT, b"two")], [refused], refused_at=len(first) + 1)

    middle = masked(CONTINUATION, b"-", fin=False)
    pieces = [first, middle, ping, middle, middle, ping, second]
    calls = [pong, pong, _text("one---two")]
    yield Case("5.19", [b"".join(pieces[:3]), b"".join(pieces[3:])], calls)
    yield Case("5.20", pieces, calls)


def _in_three_ways(
    number: int, pieces: list[bytes], calls: list[Call], refused_at: int | None = None
) -> Iterator[Case]:
    """Yield three cases: in one piece, frame by frame, byte by byte."""
    whole = b"".join(pieces)
    yield Case(f"5.{number}", [whole], calls, refused_at)
    yield Case(f"5.{number + 1}", pieces, calls, refused_at)
    yield Case(f"5.{number + 2}", _chopped(whole, 1), calls, refused_at)


def _utf8_in_frames() -> Iterator[Case]:
    yield Case("6.1.1", [masked(TEXT)], [_text("")])
    for number, middle in ((2, b""), (3, b"middle")):
        pieces = [
            masked(TEXT, fin=False),
            masked(CONTINUATION, middle, fin=False),
            masked(CONTINUATION),
        ]
        yield Case(f"6.1.{number}", pieces, [_text(middle)])
    greeting = "Hello-µ@ßöäüàá-UTF-8!!".encode()
    yield Case("6.2.1", [masked(TEXT, greeting)], [_text(greeting)])
    # Between two code points.
    yield Case("6.2.2", _fragments(TEXT, greeting, 8), [_text(greeting)])
    yield Case("6.2.3", _fragments(TEXT, greeting, 1), [_text(greeting)])
    yield Case("6.2.4", _fragments(TEXT, KOSME, 1), [_text(KOSME)])


def _utf8_failing_fast() -> Iterator[Case]:
    refused: list[Call] = [("error", 1007)]
    # A surrogate.  It is invalid with its second byte; Python's decoder waits for
    # the third, the fourteenth of all.
    surrogate = KOSME + b"\xed\xa0\x80edited"
    whole = masked(TEXT, surrogate)
    yield Case("6.3.1", [whole], refused, refused_at=6 + 14)
    pieces = _fragments(TEXT, surrogate, 1)
    yield Case("6.3.2", pieces, refused, refused_at=14 * len(pieces[0]))
    # U+110000, above the last code point: invalid with its second byte.
    beyond = KOSME + b"\xf4\x90\x80\x80edited"
    for number, edges in ((1, (11, 15)), (2, (12, 13))):
        parts = [beyond[: edges[0]], beyond[edges[0] : edges[1]], beyond[edges[1] :]]
        pieces = [
            masked(TEXT, parts[0], fin=False),
            masked(CONTINUATION, parts[1], fin=False),
            masked(CONTINUATION, parts[2]),
        ]
        invalid = len(pieces[0]) + 6 + 13 - len(parts[0])
        yield Case(f"6.4.{number}", pieces, refused, refused_at=invalid)
        # The same in one frame.
        whole = masked(TEXT, beyond)
        pieces = [whole[: 6 + edges[0]], whole[6 + edges[0] : 6 + edges[1]], whole[6 + edges[1] :]]
        yield Case(f"6.4.{number + 2}", pieces, refused, refused_at=6 + 13)


def _utf8_sequences() -> Iterator[Case]:
    """Yield the sequences of Markus Kuhn's stress test for decoders, each a message."""
    for group, sequences in enumerate(_SEQUENCES, 5):
        for number, sequence in enumerate(sequences, 1):
            call = _text(sequence) if _is_utf8(sequence) else ("error", 1007)
            yield Case(f"6.{group}.{number}", [masked(TEXT, sequence)], [call])


def _is_utf8(data: bytes) -> bool:
    """Say whether RFC 3629 section 4 allows ``data``; spelled out, as an oracle must be."""
    while data:
        first = data[0]
        low, high, size = 0x80, 0xBF, 0
        if first >= 0x80:
            size = 1 if 0xC2 <= first <= 0xDF else 2 if 0xE0 <= first <= 0xEF else 3
            low = {0xE0: 0xA0, 0xF0: 0x90}.get(first, 0x80)
            high = {0xED: 0x9F, 0xF4: 0x8F}.get(first, 0xBF)
            if not 0xC2 <= first <= 0xF4:
                return False
        tail = data[1 : 1 + size]
        if len(tail) < size or not all(0x80 <= byte <= 0xBF for byte in tail):
            return False
        if tail and not low <= tail[0] <= high:
            return False
        data = data[1 + size :]
    return True


def _spaced(first: int, last: int) -> bytes:
    return b"".join(bytes([byte, 0x20]) for byte in range(first, last))


# Three bytes and more that lack their last, overlong ones first.
_CUT_OFF = [
    *(b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80"),
    *(b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"),
]

_SEQUENCES = [
    # 5 and 6: text, and all that begins a text.
    [
        *(f"hello{letter}world".encode() for letter in "$\xa2\u20ac\U00024b62"),
        KOSME,
    ],
    [KOSME[:size] for size in range(1, len(KOSME) + 1)],
    # 7 to 10: the first and the last of each length, up to six bytes.
    [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    # 11: around the surrogates and the end.
    [
        *(b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"),
        b"\xf4\x90\x80\x80",
    ],
    # 12 to 16: what lacks its beginning or its end.
    [
        *(
            b"\x80",
            b"\xbf",
            b"\x80\xbf",
            b"\x80\xbf\x80",
            b"\x80\xbf" * 2,
            b"\x80\xbf" * 2 + b"\x80",
        ),
        *(b"\x80\xbf" * 3, bytes(range(0x80, 0xBF))),
    ],
    [
        *(_spaced(0xC0, 0xDF), _spaced(0xE0, 0xEF), _spaced(0xF0, 0xF7), _spaced(0xF8, 0xFB)),
        _spaced(0xFC, 0xFD),
    ],
    _CUT_OFF,
    [b"".join(_CUT_OFF)],
    [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    # 17 to 19: longer than necessary.
    [
        *(b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf"),
        b"\xfc\x80\x80\x80\x80\xaf",
    ],
    [
        *(b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf"),
        b"\xfc\x83\xbf\xbf\xbf\xbf",
    ],
    [
        *(b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80"),
        b"\xfc\x80\x80\x80\x80\x80",
    ],
    # 20 and 21: surrogates, alone and in pairs.
    [
        *(b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"),
        *(b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"),
    ],
    [
        high + low
        for high in (b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf")
        for low in (b"\xed\xb0\x80", b"\xed\xbf\xbf")
    ],
    # 22: the last two of every plane are no characters, and valid.
    [chr(plane << 16 | last).encode() for plane in range(17) for last in (0xFFFE, 0xFFFF)],
    # 23: the specials.
    [chr(code).encode() for code in range(0xFFF9, 0x10000)],
]


def _closing() -> Iterator[Case]:
    bye: Call = ("close", 1000, "")
    hello = masked(TEXT, b"Hello World!")
    yield Case("7.1.1", [hello, closing(1000)], [_text("Hello World!"), bye])
    yield Case("7.1.2", [closing(1000), closing(1000)], [bye])
    yield Case("7.1.3", [closing(1000), masked(PING)], [bye])
    yield Case("7.1.4", [closing(1000), hello], [bye])
    first, second = masked(TEXT, b"one", fin=False), masked(CONTINUATION, b"two")
    yield Case("7.1.5", [first, closing(1000), second], [bye])
    large = b"BAsd7&jh23" * (256 * KIB // 10)
    yield Case("7.1.6", [masked(TEXT, large), closing(1000), masked(PING)], [_text(large), bye])
    yield Case("7.3.1", [closing()], [("close", 1005, "")])
    yield Case("7.3.2", [masked(CLOSE, b"a")], [("error", 1002)])
    yield Case("7.3.3", [closing(1000)], [bye])
    yield Case("7.3.4", [closing(1000, "Hello World!")], [("close", 1000, "Hello World!")])
    yield Case("7.3.5", [closing(1000, "*" * 123)], [("close", 1000, "*" * 123)])
    yield Case("7.3.6", [closing(1000, "*" * 124)], [("error", 1002)], refused_at=2)
    broken = masked(CLOSE, b"\x03\xe8" + KOSME + b"\xed\xa0\x80edited")
    yield Case("7.5.1", [broken], [("error", 1007)])


def _close_codes() -> Iterator[Case]:
    valid = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    invalid = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
    for number, code in enumerate(valid, 1):
        yield Case(f"7.7.{number}", [closing(code)], [("close", code, "")])
    for number, code in enumerate(invalid, 1):
        yield Case(f"7.9.{number}", [closing(code)], [("error", 1002)])
    # The standard does not say; we take no code that nobody can have meant.
    for number, code in enumerate((5000, 65535), 1):
        yield Case(f"7.13.{number}", [closing(code)], [("error", 1002)])


def _round_trips() -> Iterator[Case]:
    for group, opcode, letter in ((7, TEXT, b"*"), (8, BINARY, b"\xfe")):
        for number, size in enumerate((0, 16, 64, 256, 1024, 4096), 1):
            payload = letter * size
            call = _text(payload) if opcode == TEXT else ("message", payload)
            yield Case(f"9.{group}.{number}", [masked(opcode, payload)] * 20, [call] * 20)


def large_cases() -> Iterator[tuple[str, Callable[[], Case]]]:
    """Yield number and maker of each case of a message of up to 16 MiB."""
    sizes = (64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB)
    fragments = (64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB)
    for kind, opcode in enumerate((TEXT, BINARY)):
        for number, size in enumerate(sizes, 1):
            id = f"9.{1 + kind}.{number}"
            yield id, partial(_large, id, opcode, size)
        for number, size in enumerate(fragments, 1):
            id = f"9.{3 + kind}.{number}"
            yield id, partial(_large, id, opcode, 4 * MIB, fragment_size=size)
        for number in range(1, 7):
            id = f"9.{5 + kind}.{number}"
            yield id, partial(_large, id, opcode, MIB, piece_size=32 << number)


def _large(id: str, opcode: int, size: int, fragment_size: int = 0, piece_size: int = 0) -> Case:
    payload = (b"*" if opcode == TEXT else b"\xfe") * size
    call = _text(payload) if opcode == TEXT else ("message", payload)
    whole = b"".join(_fragments(opcode, payload, fragment_size or size))
    return Case(id, _chopped(whole, piece_size or len(whole)), [call])
