"""Each flood ends the connection with ENHANCE_YOUR_CALM; an honest client never meets that."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.wire.http2 import frames
from tidegate.wire.http2.frames import Code
from tidegate.wire.http2.hpack import Pair

from .client import GET, POST, Client, respond

Flood = Callable[[Client, int], None]


def rapid_reset(client: Client, number: int) -> None:
    client.request(2 * number + 1)
    client.feed(frames.reset(2 * number + 1, Code.CANCEL))


def malformed(client: Client, number: int) -> None:
    client.feed(frames.headers(2 * number + 1, client.encoder.encode(GET[1:]), True))


def made_us_reset(client: Client, number: int) -> None:
    """Each request is broken in a way that makes us reset it (MadeYouReset)."""
    client.request(2 * number + 1, POST, ended=False)
    client.update(2 * number + 1, 0)


def settings(client: Client, number: int) -> None:
    client.feed(frames.settings([(4, number)]))


def pings(client: Client, number: int) -> None:
    client.frame(frames.PING, 0, 0, bytes(8))


def pongs(client: Client, number: int) -> None:
    client.frame(frames.PING, frames.ACK, 0, bytes(8))


def priorities(client: Client, number: int) -> None:
    client.frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\0")


def priority_updates(client: Client, number: int) -> None:
    client.frame(frames.PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=0")


def unknown(client: Client, number: int) -> None:
    client.frame(0xBB, 0, 0)


def empty_data(client: Client, number: int) -> None:
    if not number:
        client.request(1, POST, ended=False)
    client.data(1)


def empty_heads(client: Client, number: int) -> None:
    client.frame(frames.HEADERS, 0, 2 * number + 1, b"")
    client.frame(frames.CONTINUATION, frames.END_HEADERS, 2 * number + 1, b"\x82")


def updates(client: Client, number: int) -> None:
    client.update(0, 1)


def late_data(client: Client, number: int) -> None:
    if not number:
        client.core.reset(client.request(1, POST, ended=False).stream, Code.CANCEL)
    client.data(1, b"late" * (number % 2))


def goaways(client: Client, number: int) -> None:
    client.frame(frames.GOAWAY, 0, 0, bytes(8))


FLOODS = [
    *(rapid_reset, malformed, made_us_reset, settings, pings, pongs, priorities),
    *(priority_updates, unknown, empty_data, empty_heads, updates, goaways),
    late_data,
]


def is_over(client: Client) -> bool:
    return client.core._dead


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_ends_the_connection(flood: Flood) -> None:
    client = Client()
    for number in range(20_000):
        flood(client, number)
        if is_over(client):
            break
    assert number < 2000
    assert client.went_away() == Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("flood", [pings, settings, rapid_reset])
def test_the_same_frames_over_a_long_time_are_no_flood(flood: Flood) -> None:
    client = Client()
    now = 0.0
    for number in range(1000):
        now += 1.0
        client.feed(b"", now)
        flood(client, number)
    assert not is_over(client)


def test_a_head_in_too_many_pieces_ends_the_connection() -> None:
    client = Client()
    client.frame(frames.HEADERS, 0, 1, b"\x82")
    for _ in range(17):
        client.frame(frames.CONTINUATION, 0, 1, b"\x82")
    assert client.went_away() == Code.ENHANCE_YOUR_CALM


def test_a_head_that_does_not_end_ends_the_connection() -> None:
    client = Client()
    client.frame(frames.HEADERS, 0, 1, b"\x82" * 16000)
    for _ in range(10):
        client.frame(frames.CONTINUATION, 0, 1, b"\x82" * 16000)
    assert client.went_away() == Code.ENHANCE_YOUR_CALM


def test_a_bomb_is_answered_and_costs_no_memory() -> None:
    client = Client()
    bomb: list[Pair] = [(b"x", b"v" * 400)]
    client.request(1, [*GET, *bomb])
    client.feed(frames.headers(3, client.encoder.encode([*GET, *bomb * 10000]), True))
    assert client.sink.requests[3].refused == 431


def test_who_is_served_much_may_cancel_much() -> None:
    client = Client()
    number = 0
    for _ in range(2000):
        for _ in range(10):
            respond(client, client.request(2 * number + 1).stream, b"x")
            number += 1
        client.request(2 * number + 1)
        client.feed(frames.reset(2 * number + 1, Code.CANCEL))
        number += 1
    assert not is_over(client)


def test_a_client_with_tiny_buffers_may_say_often_that_it_took_something() -> None:
    client = Client(settings=[(4, 1000)])
    stream = client.request(1).stream
    respond(client, stream, b"x" * 4_000_000)
    while not stream.closed:
        client.sent()
        client.update(0, 1000)
        client.update(1, 1000)
    assert not is_over(client)
