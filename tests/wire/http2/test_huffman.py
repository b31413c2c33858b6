"""Is our Huffman code that of RFC 7541?"""

from __future__ import annotations

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import BadRequest
from tidegate.wire.http2 import huffman

PEER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=300))
def test_what_a_peer_encodes_is_decoded(text: bytes) -> None:
    assert huffman.decode(PEER.encode(text)) == text


@given(st.text("abcdefghij-/.0123456789 =;", max_size=100))
def test_encoding_is_that_of_a_peer_where_it_saves_something(text: str) -> None:
    coded = PEER.encode(text.encode())
    shorter = len(coded) < len(text)
    assert huffman.encode(text.encode()) == (coded if shorter else text.encode())


def test_long_texts_are_left_as_they_are() -> None:
    assert huffman.encode(b"a" * 1000) == b"a" * 1000


@pytest.mark.parametrize(
    ("coded", "reason"),
    [
        ("ffffffff", "EOS"),
        ("1fff", "padding"),  # "a", then more than seven bits
        ("18", "padding"),  # "a", then zeros
    ],
)
def test_broken_ends_are_refused(coded: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        huffman.decode(bytes.fromhex(coded))
