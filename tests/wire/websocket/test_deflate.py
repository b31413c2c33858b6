"""Negotiation, compression and bounded decompression."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import WebSocketError
from tidegate.wire.websocket.deflate import Deflate, DeflateParameters, negotiate

from .compression import TAIL, Client, sample

MIB = 1024 * 1024
ROOM = MIB

NAME = "permessage-deflate"


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (NAME, "server_max_window_bits=12"),
        ("Permessage-Deflate", "server_max_window_bits=12"),
        (f"{NAME}; client_max_window_bits", "server_max_window_bits=12; client_max_window_bits=12"),
        (
            f"{NAME}; client_max_window_bits=10",
            "server_max_window_bits=12; client_max_window_bits=10",
        ),
        (
            f"{NAME}; client_max_window_bits=15",
            "server_max_window_bits=12; client_max_window_bits=12",
        ),
        (f"{NAME}; server_max_window_bits=9", "server_max_window_bits=9"),
        (f"{NAME}; server_max_window_bits=15", "server_max_window_bits=12"),
        (f'{NAME}; server_max_window_bits="10"', "server_max_window_bits=10"),
        (f"{NAME} ;server_max_window_bits = 11", "server_max_window_bits=11"),
        (
            f"{NAME}; server_no_context_takeover",
            "server_no_context_takeover; server_max_window_bits=12",
        ),
        (
            f"{NAME}; client_no_context_takeover; Server_No_Context_Takeover",
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        # The first that is acceptable.
        (f"{NAME}; server_max_window_bits=8, {NAME}", "server_max_window_bits=12"),
        (f"{NAME}; server_max_window_bits=10, {NAME}", "server_max_window_bits=10"),
        (f"x-webkit-deflate-frame, {NAME}; server_max_window_bits=9", "server_max_window_bits=9"),
    ],
)
def test_an_offer_is_answered(offer: str, answer: str) -> None:
    agreed = negotiate(offer.encode())
    assert agreed is not None
    assert agreed.response == f"{NAME}; {answer}"


@pytest.mark.parametrize(
    "offer",
    [
        "",
        ",",
        "x-webkit-deflate-frame",
        "permessage-bzip2",
        f"x; {NAME}",
        f"{NAME}; unknown",
        f"{NAME}; unknown=1",
        f"{NAME};",
        f"{NAME}; server_no_context_takeover=1",
        f"{NAME}; client_no_context_takeover=true",
        f"{NAME}; server_no_context_takeover; server_no_context_takeover",
        f"{NAME}; server_max_window_bits=9; server_max_window_bits=10",
        f"{NAME}; server_max_window_bits",
        f"{NAME}; server_max_window_bits=7",
        f"{NAME}; server_max_window_bits=8",
        f"{NAME}; server_max_window_bits=16",
        f"{NAME}; server_max_window_bits=010",
        f"{NAME}; server_max_window_bits=+9",
        f"{NAME}; server_max_window_bits=\xb29",
        f"{NAME}; client_max_window_bits=16",
        f"{NAME}; client_max_window_bits=x",
    ],
)
def test_an_offer_that_asks_for_what_is_not_defined_is_declined(offer: str) -> None:
    assert negotiate(offer.encode("latin-1")) is None


def agreed(offer: str = NAME) -> DeflateParameters:
    parameters = negotiate(offer.encode())
    assert parameters is not None
    return parameters


@settings(derandomize=True, database=None, max_examples=50)
@given(
    st.lists(st.binary(max_size=3000), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
    st.integers(9, 15),
)
def test_what_is_compressed_is_inflated(
    messages: list[bytes], server_forgets: bool, client_forgets: bool, bits: int
) -> None:
    offer = f"{NAME}; server_max_window_bits={bits}; client_max_window_bits={bits}"
    offer += "; server_no_context_takeover" if server_forgets else ""
    offer += "; client_no_context_takeover" if client_forgets else ""
    parameters = agreed(offer)
    client = Client(parameters.response)
    deflate = Deflate(parameters)
    for message in messages:
        assert deflate.inflate(client.compress(message), ROOM, True) == message
    reader = zlib.decompressobj(wbits=-parameters.server_max_window_bits)
    for message in messages:
        if server_forgets:
            reader = zlib.decompressobj(wbits=-parameters.server_max_window_bits)
        assert reader.decompress(deflate.compress(message) + TAIL) == message


def test_a_window_is_never_exceeded() -> None:
    # Twice the same noise, farther apart than the window reaches back.
    noise = random.Random(1).randbytes(3000)
    for bits in (9, 10, 11, 12):
        deflate = Deflate(agreed(f"{NAME}; server_max_window_bits={bits}"))
        reader = zlib.decompressobj(wbits=-bits)
        for message in (noise, noise):
            assert reader.decompress(deflate.compress(message) + TAIL) == message


def test_context_takeover_makes_the_second_message_shorter() -> None:
    message = sample("json", 600)
    assert isinstance(message, str)
    keeps = Deflate(agreed())
    forgets = Deflate(agreed(f"{NAME}; server_no_context_takeover"))
    first, second = keeps.compress(message.encode()), keeps.compress(message.encode())
    assert len(second) < len(first) // 4
    assert forgets.compress(message.encode()) == forgets.compress(message.encode()) == first


# RFC 7692 section 7.2.3 has these.
HELLO = bytes.fromhex("f248cdc9c90700")


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (HELLO, b"Hello"),
        # Not compressed.
        (bytes.fromhex("000500faff48656c6c6f00"), b"Hello"),
        # A final block, then an empty one.
        (bytes.fromhex("f348cdc9c9070000"), b"Hello"),
        # Two blocks.
        (bytes.fromhex("f248050000 00ffffcac9c90700"), b"Hello"),
        # An empty fragment.
        (b"\x00", b""),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
def test_the_examples_of_the_standard_are_inflated(packed: bytes, plain: bytes, cut: bool) -> None:
    deflate = Deflate(agreed())
    found = b""
    if cut:
        for place in range(len(packed)):
            found += deflate.inflate(packed[place : place + 1], ROOM - len(found), False)
        packed = b""
    assert found + deflate.inflate(packed, ROOM - len(found), True) == plain
    # Whatever the first was, the next can be read.
    assert deflate.inflate(HELLO, ROOM, True) == b"Hello"


def test_the_second_message_may_refer_to_the_first() -> None:
    # RFC 7692 section 7.2.3.2.
    deflate = Deflate(agreed())
    assert deflate.inflate(HELLO, ROOM, True) == b"Hello"
    assert deflate.inflate(bytes.fromhex("f200110000"), ROOM, True) == b"Hello"
    forgets = Deflate(agreed(f"{NAME}; client_no_context_takeover"))
    assert forgets.inflate(HELLO, ROOM, True) == b"Hello"
    with pytest.raises(WebSocketError) as caught:
        forgets.inflate(bytes.fromhex("f200110000"), ROOM, True)
    assert caught.value.status == 1007


FINAL = bytes.fromhex("f348cdc9c90700")


@pytest.mark.parametrize("count", [1, 2, 3, 128])
def test_a_message_may_hold_many_final_blocks(count: int) -> None:
    packed = FINAL * count + b"\x00"
    whole = Deflate(agreed())
    assert whole.inflate(packed, ROOM, True) == b"Hello" * count
    assert whole.inflate(HELLO, ROOM, True) == b"Hello"
    cut = Deflate(agreed())
    found = b"".join(cut.inflate(packed[i : i + 1], ROOM, False) for i in range(len(packed)))
    assert found + cut.inflate(b"", ROOM, True) == b"Hello" * count


@pytest.mark.parametrize("size", [1, 10, 10_000])
def test_a_message_may_not_hold_thousands_of_them(size: int) -> None:
    # Each makes a new stream and a copy of the rest: quadratic work.
    packed = FINAL * 1000 + b"\x00"
    deflate = Deflate(agreed())
    pieces = [packed[start : start + size] for start in range(0, len(packed), size)]
    with pytest.raises(WebSocketError) as caught:
        b"".join(deflate.inflate(piece, ROOM, False) for piece in pieces)
    assert caught.value.status == 1008


def test_the_final_blocks_of_each_message_are_counted_anew() -> None:
    deflate = Deflate(agreed())
    for _ in range(5):
        assert deflate.inflate(FINAL * 100 + b"\x00", ROOM, True) == b"Hello" * 100


@pytest.mark.parametrize("size", [0, 1, 5, 1000, MIB])
@pytest.mark.parametrize("cut", [False, True])
def test_a_message_as_large_as_the_limit_is_inflated_and_a_larger_one_is_not(
    size: int, cut: bool
) -> None:
    packed = Client(NAME).compress(b"x" * size)
    assert inflated(packed, size, cut) == b"x" * size
    if size:
        with pytest.raises(WebSocketError) as caught:
            inflated(packed, size - 1, cut)
        assert caught.value.status == 1009


def inflated(packed: bytes, limit: int, cut: bool) -> bytes:
    deflate = Deflate(agreed())
    pieces = [packed[i : i + 1] for i in range(len(packed))] if cut else [packed]
    found = b""
    for number, piece in enumerate(pieces, 1):
        found += deflate.inflate(piece, limit - len(found), number == len(pieces))
    return found


@pytest.mark.parametrize("cut", [False, True])
def test_a_limit_passed_behind_a_final_block_is_noticed(cut: bool) -> None:
    assert inflated(FINAL * 2 + b"\x00", 10, cut) == b"HelloHello"
    with pytest.raises(WebSocketError) as caught:
        inflated(FINAL * 2 + b"\x00", 9, cut)
    assert caught.value.status == 1009


@pytest.mark.parametrize("packed", [b"\xff", b"\x07\x00", b"\x00\x05\x00\x05\x00hello"])
def test_what_is_not_deflate_is_refused(packed: bytes) -> None:
    with pytest.raises(WebSocketError) as caught:
        Deflate(agreed()).inflate(packed, ROOM, True)
    assert caught.value.status == 1007
