"""Do two tables stay the same, and what is refused?  (RFC 7541)"""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import BadRequest
from tidegate.wire.http2.hpack import STATIC_TABLE, Decoder, Encoder, Pair

NAMES = st.sampled_from([b":status", b"x-a", b"x-b", b"set-cookie", b"etag", b"content-type"])
PAIRS = st.lists(st.tuples(NAMES, st.binary(max_size=600)), max_size=8)


def decode(decoder: Decoder, block: bytes, size: int = 10**6, count: int = 100) -> list[Pair]:
    return decoder.decode(block, size, count)


def test_the_static_table_is_that_of_a_peer() -> None:
    assert tuple(STATIC_TABLE[1:]) == tuple(hpack.table.HeaderTable.STATIC_TABLE)


@given(st.lists(st.tuples(PAIRS, st.booleans()), max_size=20))
def test_blocks_of_a_peer_are_read(blocks: list[tuple[list[Pair], bool]]) -> None:
    peer, ours = hpack.Encoder(), Decoder()
    for pairs, huffman in blocks:
        assert decode(ours, peer.encode(pairs, huffman=huffman)) == pairs


@given(st.lists(st.tuples(PAIRS, st.integers(0, 6000)), max_size=20))
def test_a_peer_reads_our_blocks_whatever_table_it_allows(
    blocks: list[tuple[list[Pair], int]],
) -> None:
    ours, peer = Encoder(), hpack.Decoder()
    for pairs, size in blocks:
        ours.resize(size)
        got = peer.decode(ours.encode(pairs), raw=True)
        assert [(bytes(name), bytes(value)) for name, value in got] == pairs


def test_a_table_that_shrank_and_grew_again_is_announced_as_both() -> None:
    ours, peer = Encoder(), hpack.Decoder()
    peer.decode(ours.encode([(b"x", b"1")]), raw=True)
    ours.resize(0)
    ours.resize(100)
    assert peer.decode(ours.encode([(b"x", b"1")]), raw=True)[0][1] == b"1"
    assert peer.header_table_size == 100


def test_the_second_time_a_field_is_one_byte() -> None:
    encoder = Encoder()
    assert len(encoder.encode([(b"server", b"tidegate")])) > 1
    assert len(encoder.encode([(b"server", b"tidegate")])) == 1


def test_secrets_are_never_indexed() -> None:
    encoder = Encoder()
    first = encoder.encode([(b"set-cookie", b"secret")])
    assert encoder.encode([(b"set-cookie", b"secret")]) == first
    assert first[0] & 0xF0 == 0x10


def test_a_field_larger_than_the_table_empties_it() -> None:
    peer, ours = hpack.Encoder(), Decoder()
    decode(ours, peer.encode([(b"x-a", b"1")], huffman=False))
    pairs = [(b"x-b", b"v" * 5000)]
    assert decode(ours, peer.encode(pairs, huffman=False)) == pairs
    with pytest.raises(BadRequest, match="neither"):
        decode(ours, b"\xbe")


# Cases of RFC 7541, as h2spec counts them in its section "hpack".
@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"\x80", "index 0"),  # 6.1
        (b"\xff\xff\x00", "neither"),  # 2.3.3
        (b"\x82\x20", "after a field"),  # 4.2
        (b"\x3f\xff\x7f", "larger than we allow"),  # 6.3
        (b"\x41\x05abcd", "cut off"),  # 5.2
        (b"\x00", "cut off"),
        (b"\x40\x01", "cut off"),
        (b"\x7f", "cut off"),  # 5.1
        (b"\xff\x80\x80\x80\x80\x80\x01", "too large"),
        (b"\xff\xff\xff\xff\xff\x7f", "too large"),
        (b"\x7f\x80", "cut off"),
        (b"\x00\x81\xff\x01a", "padding"),
    ],
)
def test_broken_blocks_are_refused(block: bytes, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        decode(Decoder(), block)


def test_a_table_size_may_come_first_and_twice() -> None:
    assert decode(Decoder(), b"\x20\x3f\xe1\x1f\x82") == [(b":method", b"GET")]


def test_a_bomb_is_read_to_its_end_but_not_kept() -> None:
    decoder = Decoder()
    decode(decoder, b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000)
    fields = decode(decoder, b"\xbe" * 10000, size=65536, count=100)
    assert len(fields) == 16
    assert decoder.overflowed
    decode(decoder, b"\xbe")
    assert not decoder.overflowed


def test_fields_beyond_the_limit_are_not_kept() -> None:
    decoder = Decoder()
    assert len(decode(decoder, b"\x82" * 50, count=10)) == 10
    assert decoder.overflowed
