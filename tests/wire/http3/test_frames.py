"""Numbers, frames and settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import Http3Error
from tidegate.wire.http3 import frames
from tidegate.wire.http3.frames import Code


# RFC 9000 appendix A.1.
@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("c2197c5eff14e88c", 151_288_809_941_952_652),
        ("9d7f3e7d", 494_878_333),
        ("7bbd", 15_293),
        ("25", 37),
    ],
)
def test_the_numbers_of_the_standard_are_read_and_written(data: str, value: int) -> None:
    assert frames.read_integer(bytes.fromhex(data), 0) == (value, len(data) // 2)
    assert frames.write_integer(value).hex() == data


@given(st.integers(0, 2**62 - 1))
def test_a_number_is_read_as_it_was_written(value: int) -> None:
    written = frames.write_integer(value)
    assert frames.read_integer(b"x" + written, 1) == (value, 1 + len(written))


@given(st.integers(0, 2**62 - 1))
def test_part_of_a_number_is_none(value: int) -> None:
    written = frames.write_integer(value)
    for size in range(len(written)):
        assert frames.read_integer(written[:size], 0) == (0, 0)


def test_settings_are_read_as_they_were_written() -> None:
    written = frames.settings([(0x6, 65536), (0x21, 7)])
    assert written[:2] == b"\x04\x07"
    assert frames.read_settings(written[2:]) == {0x6: 65536, 0x21: 7}
    assert frames.read_settings(b"") == {}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x06", Code.FRAME_ERROR),
        (b"\x40", Code.FRAME_ERROR),
        (b"\x06\x40", Code.FRAME_ERROR),
        (b"\x06\x01\x06\x01", Code.SETTINGS_ERROR),
        (b"\x02\x00", Code.SETTINGS_ERROR),
    ],
)
def test_settings_that_mean_nothing_are_refused(payload: bytes, code: Code) -> None:
    with pytest.raises(Http3Error) as caught:
        frames.read_settings(payload)
    assert caught.value.status == code
