"""Masking, frame headers and close codes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import WebSocketError
from tidegate.testing.websocket import BINARY, CLOSE, PING, PONG, TEXT, Frame, frames_in, masked
from tidegate.wire.websocket.frames import (
    build_frame,
    close_payload,
    is_close_code,
    parse_close,
    unmask,
)

PIECE = 64 * 1024


def masked_slowly(data: bytes, key: bytes, offset: int) -> bytes:
    """Mask as RFC 6455 section 5.3 says it, byte by byte."""
    return bytes(byte ^ key[(offset + place) % 4] for place, byte in enumerate(data))


@settings(derandomize=True, database=None, deadline=None)
@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4), st.integers(0, 10**6))
def test_unmasking_undoes_masking(data: bytes, key: bytes, offset: int) -> None:
    assert unmask(masked_slowly(data, key, offset), key, offset) == data


@pytest.mark.parametrize("size", [0, 1, 3, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 3])
@pytest.mark.parametrize("offset", range(5))
def test_large_payloads_are_unmasked_in_pieces(size: int, offset: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    key = b"\x01\xff\x80\x7e"
    assert unmask(masked_slowly(data, key, offset), key, offset) == data


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_frame_carries_its_payload(size: int, opcode: int, compressed: bool) -> None:
    data = build_frame(opcode, b"x" * size, compressed)
    assert list(frames_in(data)) == [Frame(opcode, b"x" * size, True, 4 if compressed else 0)]
    # The same, but for mask and key, as a client would send it.
    sent = masked(opcode, b"x" * size, reserved=4 if compressed else 0, mask=bytes(4))
    assert len(sent) == len(data) + 4
    assert sent[0] == data[0]


def test_the_examples_of_the_standard_are_built() -> None:
    # RFC 6455 section 5.7.
    assert build_frame(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert build_frame(PING, b"Hello") == bytes.fromhex("890548656c6c6f")
    assert build_frame(BINARY, bytes(256))[:4] == bytes.fromhex("827e0100")
    assert build_frame(BINARY, bytes(65536))[:10] == bytes.fromhex("827f0000000000010000")
    assert masked(TEXT, b"Hello") == bytes.fromhex("818537fa213d7f9f4d5158")
    assert masked(PONG, b"Hello") == bytes.fromhex("8a8537fa213d7f9f4d5158")
    assert unmask(bytes.fromhex("7f9f4d5158"), bytes.fromhex("37fa213d")) == b"Hello"


# RFC 6455 section 7.4.2, and the registry of close codes.
REGISTERED = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}


def test_close_codes_are_those_of_the_registry_and_of_applications() -> None:
    valid = {code for code in range(65536) if is_close_code(code)}
    assert valid == REGISTERED | set(range(3000, 5000))


@pytest.mark.parametrize(
    ("code", "reason", "payload"),
    [
        (1000, "", b"\x03\xe8"),
        (1001, "bye", b"\x03\xe9bye"),
        (4999, "ä", b"\x13\x87\xc3\xa4"),
        (1005, "not sent", b""),
        (1000, "x" * 123, b"\x03\xe8" + b"x" * 123),
        (1000, "x" * 124, b"\x03\xe8" + b"x" * 123),
        (1000, "x" * 122 + "ä", b"\x03\xe8" + b"x" * 122),
        (1000, "€" * 50, b"\x03\xe8" + "€".encode() * 41),
        (1000, "x" + "\U0001f30a" * 31, b"\x03\xe8x" + "\U0001f30a".encode() * 30),
    ],
)
def test_the_reason_is_cut_between_two_characters(code: int, reason: str, payload: bytes) -> None:
    assert close_payload(code, reason) == payload
    frame = next(frames_in(build_frame(CLOSE, payload)))
    assert len(frame.payload) <= 125
    if payload:
        assert reason.startswith(parse_close(frame.payload)[1])


@pytest.mark.parametrize(
    ("payload", "parsed"),
    [
        (b"", (1005, "")),
        (b"\x03\xe8", (1000, "")),
        (b"\x0f\xa0\xc3\xa4", (4000, "ä")),
    ],
)
def test_a_close_payload_is_parsed(payload: bytes, parsed: tuple[int, str]) -> None:
    assert parse_close(payload) == parsed


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (b"\x03", 1002),
        (b"\x03\xed", 1002),
        (b"\xff\xff", 1002),
        # The code is looked at first.
        (b"\x03\xed\xff", 1002),
        (b"\x03\xe8\xff", 1007),
        (b"\x03\xe8\xc3", 1007),
        (b"\x03\xe8\xed\xa0\x80", 1007),
    ],
)
def test_a_close_payload_that_nobody_may_send_is_refused(payload: bytes, status: int) -> None:
    with pytest.raises(WebSocketError) as caught:
        parse_close(payload)
    assert caught.value.status == status


def test_the_client_of_the_tests_refuses_what_no_server_may_send() -> None:
    with pytest.raises(ValueError, match="masked"):
        list(frames_in(masked(TEXT, b"a")))
    with pytest.raises(ValueError, match="cut off"):
        list(frames_in(build_frame(TEXT, b"abc")[:-1]))
    assert Frame(CLOSE).close_code is None
