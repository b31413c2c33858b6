"""Where does a request end?  Every header that could be read in two ways is refused."""

from __future__ import annotations

import pytest

from tidegate.errors import BadRequest
from tidegate.wire.http1.framing import CHUNKED, FRAMING_FIELDS, body_length

LIMIT = 1000

LENGTH = b"content-length"
CODING = b"transfer-encoding"


def status_of(version: str, *headers: tuple[bytes, bytes]) -> int:
    with pytest.raises(BadRequest) as refused:
        body_length(version, list(headers), LIMIT)
    return refused.value.status


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_request_without_framing_fields_has_no_content(version: str) -> None:
    assert body_length(version, [], LIMIT) == 0
    assert body_length(version, [(b"host", b"a"), (b"x-content-length", b"5")], LIMIT) == 0


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("digits", "length"), [(b"0", 0), (b"7", 7), (b"007", 7), (b"1000", LIMIT), (b"0" * 18, 0)]
)
def test_a_content_length_is_a_number_of_bytes(version: str, digits: bytes, length: int) -> None:
    assert body_length(version, [(b"x", b"1"), (LENGTH, digits)], LIMIT) == length


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED"])
def test_chunked_is_the_one_transfer_coding(value: bytes) -> None:
    assert body_length("1.1", [(CODING, value)], LIMIT) == CHUNKED


def test_chunked_cannot_be_taken_for_a_length() -> None:
    assert CHUNKED < 0


@pytest.mark.parametrize(
    "digits",
    [
        *(b"", b"+1", b"-1", b"1_0", b"0x1", b"1, 1", b"1,", b"1 1", b"1.0", b"1e1", b"a"),
        *(b"\xb2", b"\xd9\xa1", b"\x001", b"1\x00", b"1\n", b"0" * 19, b"9" * 400),
    ],
)
def test_a_content_length_of_other_bytes_than_digits_is_refused(digits: bytes) -> None:
    assert status_of("1.1", (LENGTH, digits)) == 400


@pytest.mark.parametrize("digits", [b"1001", b"9" * 18])
def test_a_content_length_above_the_limit_is_too_large(digits: bytes) -> None:
    assert status_of("1.1", (LENGTH, digits)) == 413


@pytest.mark.parametrize("other", [b"5", b"6", b""])
def test_two_content_lengths_are_refused(other: bytes) -> None:
    assert status_of("1.1", (LENGTH, b"5"), (LENGTH, other)) == 400


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("coding", [b"chunked", b"identity", b""])
def test_content_length_beside_transfer_encoding_is_refused(version: str, coding: bytes) -> None:
    assert status_of(version, (LENGTH, b"5"), (CODING, coding)) == 400
    assert status_of(version, (CODING, coding), (LENGTH, b"5")) == 400


@pytest.mark.parametrize("coding", [b"chunked", b"gzip", b""])
def test_transfer_encoding_in_http_1_0_is_refused(coding: bytes) -> None:
    assert status_of("1.0", (CODING, coding)) == 400


@pytest.mark.parametrize("other", [b"chunked", b"gzip", b""])
def test_two_transfer_encodings_are_refused(other: bytes) -> None:
    assert status_of("1.1", (CODING, b"chunked"), (CODING, other)) == 400


@pytest.mark.parametrize(
    "coding",
    [
        *(b"", b"gzip", b"identity", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked"),
        *(b"chunked,", b",chunked", b"chunked;q=1", b'"chunked"', b"chunke", b"chunkedd"),
        *(b"chunk\xc3\xa9d", b"chun\xe2\x84\xaaed"),
    ],
)
def test_any_other_transfer_coding_is_not_implemented(coding: bytes) -> None:
    assert status_of("1.1", (CODING, coding)) == 501


def test_the_fields_that_frame_are_listed_for_other_modules() -> None:
    assert set(FRAMING_FIELDS) == {LENGTH, CODING}
