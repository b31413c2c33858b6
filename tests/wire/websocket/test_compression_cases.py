"""Groups 12 and 13 of the published suite: permessage-deflate, sent and echoed."""

from __future__ import annotations

from itertools import product
from zlib import crc32

import pytest

from tidegate.testing.websocket import TEXT, frames_in
from tidegate.wire.websocket.deflate import negotiate

from .compression import DATA, OFFERS, Client, sample
from .driver import Driver
from .test_cases import random_cut

# Length of the messages and of their fragments; 0 for one frame.
SIZES = [
    *((16, 0), (64, 0), (256, 0), (1024, 0), (4096, 0), (8192, 0), (16384, 0), (32768, 0)),
    *((65536, 0), (131072, 0), (8192, 256), (16384, 256), (32768, 256), (65536, 256)),
    *((131072, 256), (131072, 1024), (131072, 4096), (131072, 32768)),
]

CASES = {
    f"{group}.{which}.{number}": (offer, kind, size, fragment_size)
    for group, variants in (
        (12, [(OFFERS[0], kind) for kind in DATA]),
        (13, [(offer, "json") for offer in OFFERS]),
    )
    for (which, (offer, kind)), (number, (size, fragment_size)) in product(
        enumerate(variants, 1), enumerate(SIZES, 1)
    )
}

# The suite sends a thousand; the third shows what the second left behind.
REPETITIONS = 3

SHORT = 500


@pytest.mark.parametrize("number", CASES)
def test_compressed_messages_are_read_and_echoed(number: str) -> None:
    offer, kind, size, fragment_size = CASES[number]
    parameters = negotiate(offer.encode())
    assert parameters is not None
    client = Client(parameters.response)
    driver = Driver(parameters=parameters)
    message = sample(kind, size)
    data = b"".join(client.frames(message, fragment_size) for _ in range(REPETITIONS))
    expected = [("message", message)] * REPETITIONS
    assert driver.feed([data]) == expected

    again = Driver(parameters=parameters)
    assert again.feed(random_cut(data, crc32(number.encode()))) == expected
    if len(data) < SHORT:
        again = Driver(parameters=parameters)
        assert again.feed(data[place : place + 1] for place in range(len(data))) == expected

    core = driver.core
    echo = core.text if isinstance(message, str) else core.binary
    echoes = list(frames_in(b"".join(echo(message) for _ in range(REPETITIONS))))
    assert [client.read(frame) for frame in echoes] == [message] * REPETITIONS
    if kind != "archive" and size >= 256:
        assert all(len(frame.payload) < size for frame in echoes)
    assert all(frame.reserved == (4 if size >= 64 else 0) for frame in echoes)
    assert all((frame.opcode == TEXT) == isinstance(message, str) for frame in echoes)


@pytest.mark.parametrize("number", range(len(OFFERS)))
def test_the_answer_gives_what_the_offer_asks_for(number: int) -> None:
    offer = OFFERS[number]
    parameters = negotiate(offer.encode())
    assert parameters is not None
    agreed = Client(parameters.response).parameters
    first = offer.split(",")[0]
    assert ("server_no_context_takeover" in agreed) == ("server_no_context_takeover" in first)
    limit = 9 if "server_max_window_bits=9" in first else 15
    assert 9 <= int(agreed["server_max_window_bits"]) <= limit
    assert 9 <= int(agreed["client_max_window_bits"]) <= 15
    assert set(agreed) <= {
        *("server_no_context_takeover", "client_no_context_takeover"),
        *("server_max_window_bits", "client_max_window_bits"),
    }


def test_the_cases_are_as_many_as_the_suite_has() -> None:
    assert len(CASES) == 90 + 126
