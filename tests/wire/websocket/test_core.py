"""What a core accepts, refuses and writes, beyond the published cases."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.testing.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    closing,
    frames_in,
    masked,
)
from tidegate.wire.websocket.deflate import DeflateParameters, negotiate
from tidegate.wire.websocket.limits import WebSocketLimits

from .compression import Client
from .driver import Call, Driver, calls

OFFER = b"permessage-deflate; client_max_window_bits"


def agreed() -> DeflateParameters:
    parameters = negotiate(OFFER)
    assert parameters is not None
    return parameters


def in_every_cut(
    data: bytes,
    limits: WebSocketLimits | None = None,
    parameters: DeflateParameters | None = None,
) -> list[Call]:
    """Return what a core makes of ``data``, which must not depend on the cut."""
    whole = calls([data], limits, parameters)
    assert calls((data[i : i + 1] for i in range(len(data))), limits, parameters) == whole
    for place in range(1, len(data)):
        assert calls([data[:place], b"", data[place:]], limits, parameters) == whole, place
    return whole


def refusal(data: bytes, limits: WebSocketLimits | None = None) -> tuple[Call, str]:
    """Return the last call and the reason of the error that ``data`` leads to."""
    driver = Driver(limits)
    return driver.feed([data])[-1], driver.reason


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[Call]]:
    """Make messages cut into fragments with control frames between them."""
    data = b""
    expected: list[Call] = []
    for text in draw(st.lists(st.text(max_size=60) | st.binary(max_size=60), max_size=5)):
        payload = text.encode() if isinstance(text, str) else text
        places = draw(st.lists(st.integers(0, len(payload)), max_size=4))
        edges = [0, *sorted(places), len(payload)]
        for number, (start, end) in enumerate(pairwise(edges)):
            opcode = CONTINUATION if number else TEXT if isinstance(text, str) else BINARY
            mask = draw(st.binary(min_size=4, max_size=4))
            last = number == len(edges) - 2
            data += masked(opcode, payload[start:end], fin=last, mask=mask)
            if last:
                expected.append(("message", text))
            if draw(st.booleans()):
                control = draw(st.binary(max_size=125))
                kind, name = draw(st.sampled_from([(PING, "ping"), (PONG, "pong")]))
                data += masked(kind, control)
                expected.append((name, control))
    return data, expected


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(messages(), st.lists(st.integers(0, 1000), max_size=8))
def test_what_is_sent_is_what_is_read(sent: tuple[bytes, list[Call]], places: list[int]) -> None:
    data, expected = sent
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    assert calls(data[start:end] for start, end in pairwise(edges)) == expected


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.text(max_size=200) | st.binary(max_size=200), max_size=5), st.booleans())
def test_what_is_written_is_what_was_given(given: list[str | bytes], compressed: bool) -> None:
    parameters = agreed() if compressed else None
    core = Driver(parameters=parameters).core
    written = b"".join(
        core.text(message) if isinstance(message, str) else core.binary(message)
        for message in given
    )
    client = Client(agreed().response)
    assert [client.read(frame) for frame in frames_in(written)] == given


def test_control_frames_and_one_close_frame_are_written() -> None:
    core = Driver().core
    assert list(frames_in(core.ping(b"a"))) == [Frame(PING, b"a")]
    assert list(frames_in(core.pong(b"b"))) == [Frame(PONG, b"b")]
    assert not core.close_sent
    assert list(frames_in(core.close(1001, "bye"))) == [Frame(CLOSE, b"\x03\xe9bye")]
    assert core.close_sent
    assert core.close(1000) == b""


def test_a_close_without_a_code_is_written_as_1005() -> None:
    assert list(frames_in(Driver().core.close(1005))) == [Frame(CLOSE, b"")]


def test_text_that_utf8_does_not_have_cannot_be_written() -> None:
    with pytest.raises(UnicodeEncodeError):
        Driver().core.text("\ud800")


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65])
def test_short_messages_are_not_compressed(size: int) -> None:
    core = Driver(parameters=agreed()).core
    frame = next(frames_in(core.binary(b"x" * size)))
    assert frame.reserved == (4 if size >= 64 else 0)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
@pytest.mark.parametrize("size", [0, 5, 200, 70_000])
def test_a_frame_that_is_not_masked_is_refused(opcode: int, size: int) -> None:
    sent = masked(opcode, bytes(size))
    plain = bytes([sent[0], sent[1] & 0x7F]) + sent[2:]
    assert refusal(plain) == (("error", 1002), "a frame of a client is not masked")
    assert calls([plain[:1], plain[1:2]]) == [("error", 1002)]


@pytest.mark.parametrize(
    "length",
    [
        b"\xfe\x00\x7d",
        b"\xfe\x00\x00",
        b"\xff" + (125).to_bytes(8, "big"),
        b"\xff" + (65535).to_bytes(8, "big"),
        b"\xff" + (1 << 63).to_bytes(8, "big"),
        b"\xff" * 9,
    ],
)
def test_a_length_in_more_bytes_than_it_needs_or_beyond_2_to_63_is_refused(length: bytes) -> None:
    # RFC 6455 section 5.2.
    assert refusal(b"\x82" + length + bytes(4)) == (("error", 1002), "invalid frame length")


@pytest.mark.parametrize(
    ("opcode", "reserved", "compressed", "fine"),
    [
        (TEXT, 4, True, True),
        (BINARY, 4, True, True),
        (TEXT, 4, False, False),
        (TEXT, 6, True, False),
        (TEXT, 2, True, False),
        (PING, 4, True, False),
        (CLOSE, 4, True, False),
    ],
)
def test_a_reserved_bit_means_compression_or_nothing(
    opcode: int, reserved: int, compressed: bool, fine: bool
) -> None:
    parameters = agreed() if compressed else None
    found = calls([masked(opcode, b"\x00", reserved=reserved)], parameters=parameters)
    assert (found == [("error", 1002)]) is not fine


def test_only_the_first_fragment_says_that_a_message_is_compressed() -> None:
    client = Client(agreed().response)
    packed = client.compress(b"hello")
    data = masked(BINARY, packed[:3], fin=False, reserved=4)
    good, bad = masked(CONTINUATION, packed[3:]), masked(CONTINUATION, packed[3:], reserved=4)
    assert in_every_cut(data + good, parameters=agreed()) == [("message", b"hello")]
    assert in_every_cut(data + bad, parameters=agreed()) == [("error", 1002)]


def test_compressed_and_plain_messages_alternate() -> None:
    client = Client(agreed().response)
    data = client.frames("eins") + masked(TEXT, b"zwei") + client.frames("drei", 2)
    expected = [("message", "eins"), ("message", "zwei"), ("message", "drei")]
    assert in_every_cut(data, parameters=agreed()) == expected


def test_compressed_text_that_is_not_utf8_is_refused_before_its_frame_is_complete() -> None:
    client = Client(agreed().response)
    packed = client.compress(b"\xff") + client.compress(b"x" * 1000)
    data = masked(TEXT, packed, reserved=4)
    driver = Driver(parameters=agreed())
    for place in range(len(data)):
        driver.feed([data[place : place + 1]])
        if driver.calls:
            break
    assert driver.calls == [("error", 1007)]
    assert place < len(data) - 2


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("size", [0, 9, 10, 11, 130])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_may_be_as_large_as_the_limit(opcode: int, size: int, compressed: bool) -> None:
    limits = WebSocketLimits(max_message_size=10)
    content: str | bytes = "x" * size if opcode == TEXT else b"x" * size
    data = masked(opcode, b"x" * size)
    if compressed:
        data = Client(agreed().response).frames(content)
    expected = [("message", content)] if size <= 10 else [("error", 1009)]
    assert in_every_cut(data, limits=limits, parameters=agreed()) == expected


def test_a_message_of_fragments_may_be_as_large_as_the_limit() -> None:
    limits = WebSocketLimits(max_message_size=10)
    first = masked(TEXT, b"x" * 6, fin=False)
    fits, does_not = masked(CONTINUATION, b"y" * 4), masked(CONTINUATION, b"y" * 5)
    assert in_every_cut(first + fits, limits=limits) == [("message", "xxxxxxyyyy")]
    assert in_every_cut(first + does_not, limits=limits) == [("error", 1009)]
    # One byte of content is not needed to know it.
    assert calls([first, does_not[:6]], limits=limits) == [("error", 1009)]


def test_a_frame_too_big_is_refused_by_its_header() -> None:
    header = masked(BINARY, bytes(0))[:1] + b"\xff" + (1 << 40).to_bytes(8, "big") + bytes(4)
    assert refusal(header) == (("error", 1009), "message too big")
    limits = WebSocketLimits(max_message_size=1 << 62)
    assert calls([header], limits) == []


def test_too_many_empty_fragments_of_a_message_are_refused() -> None:
    limits = WebSocketLimits(max_empty_fragments=3)
    empty = masked(CONTINUATION, fin=False)
    data = masked(TEXT, b"a", fin=False) + empty * 3 + masked(CONTINUATION, b"b")
    # Each message has its own.
    assert in_every_cut(data * 2, limits=limits) == [("message", "ab")] * 2
    found = in_every_cut(masked(TEXT, fin=False) + empty * 3, limits=limits)
    assert found == [("error", 1008)]


def test_control_frames_are_counted_until_the_next_tick() -> None:
    driver = Driver(WebSocketLimits(max_control_frames=2))
    ping, pong = masked(PING, b"a"), masked(PONG, b"b")
    driver.feed([ping + pong])
    driver.core.tick()
    assert driver.feed([ping + ping]) == [("ping", b"a"), ("pong", b"b")] + [("ping", b"a")] * 2
    assert driver.feed([masked(TEXT, b"text")])[-1] == ("message", "text")
    assert driver.feed([pong])[-1] == ("error", 1008)
    assert driver.reason == "too many control frames"


def test_a_close_frame_is_never_one_too_many() -> None:
    limits = WebSocketLimits(max_control_frames=0)
    assert calls([closing(1000)], limits) == [("close", 1000, "")]
    assert calls([masked(PING)], limits) == [("error", 1008)]


def test_what_arrives_while_messages_wait_waits_too() -> None:
    driver = Driver()
    driver.core.held = True
    data = masked(TEXT, b"one") + masked(PING, b"x") + masked(TEXT, b"two")
    assert driver.feed([data[:2], data[2:]]) == []
    driver.core.held = False
    expected = [("message", "one"), ("ping", b"x"), ("message", "two")]
    assert driver.feed([b""]) == expected
    assert driver.feed([b""]) == expected


def test_a_message_that_has_begun_waits_for_its_end() -> None:
    driver = Driver()
    data = masked(TEXT, b"one two")
    driver.feed([data[:8]])
    driver.core.held = True
    assert driver.feed([data[8:] + masked(TEXT, b"three")]) == []
    driver.core.held = False
    assert driver.feed([b""]) == [("message", "one two"), ("message", "three")]


@pytest.mark.parametrize(
    "last", [closing(1000), masked(3, b"x"), masked(TEXT, b"\xff"), b"\x81\x05" + bytes(9)]
)
def test_nothing_is_read_after_the_last_word(last: bytes) -> None:
    driver = Driver()
    driver.feed([last])
    assert driver.core.closed
    assert len(driver.feed([masked(TEXT, b"more"), b"\xff", closing(1001)])) == 1
    assert len(calls([last + masked(TEXT, b"more") + closing(1001)])) == 1


def test_an_error_ends_what_came_with_it() -> None:
    data = masked(TEXT, b"one") + masked(TEXT, b"\xff") + masked(TEXT, b"three")
    assert in_every_cut(data) == [("message", "one"), ("error", 1007)]


def test_text_cut_off_inside_a_letter_is_refused_with_its_last_frame() -> None:
    euro = "€".encode()
    assert in_every_cut(masked(TEXT, euro[:2])) == [("error", 1007)]
    data = masked(TEXT, euro[:1], fin=False) + masked(CONTINUATION, euro[1:2])
    assert in_every_cut(data) == [("error", 1007)]


def test_a_control_frame_between_the_bytes_of_a_letter_does_no_harm() -> None:
    euro = "€".encode()
    data = (
        masked(TEXT, euro[:1], fin=False) + masked(PING, b"\xff") + masked(CONTINUATION, euro[1:])
    )
    assert in_every_cut(data) == [("ping", b"\xff"), ("message", "€")]


def test_every_first_byte_is_judged_at_once() -> None:
    fine = []
    for first in range(256):
        found = calls([bytes([first])])
        assert found in ([], [("error", 1002)])
        if not found:
            fine.append(first)
    assert fine == [0x01, 0x02, 0x81, 0x82, 0x88, 0x89, 0x8A]


def test_every_first_byte_inside_a_message_is_judged_at_once() -> None:
    start = masked(TEXT, b"a", fin=False)
    fine = [first for first in range(256) if not calls([start, bytes([first])])]
    assert fine == [0x00, 0x80, 0x88, 0x89, 0x8A]


def test_every_second_byte_of_a_ping_is_judged_at_once() -> None:
    fine = [second for second in range(256) if not calls([b"\x89", bytes([second])])]
    assert fine == list(range(0x80, 0x80 + 126))
