"""Handshakes byte by byte: what is refused, and what the refusal says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from launcher import Launcher, Server
from websocket_wire import ACCEPT, CLOSE, PONG, TEXT, Wire, frame, handshake

APPLICATIONS = Path(__file__).parent / "applications"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Launcher(APPLICATIONS).opened() as launch:
        yield launch("websocket_plain:app", "--ws-allowed-origins", "http://a.example,http://b")


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    running.check()


def fields_of(head: str) -> dict[str, str]:
    _, *lines = head.rstrip().split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    assert len({name.lower() for name, _, _ in pairs}) == len(pairs)
    return {name.lower(): value for name, _, value in pairs}


def test_the_example_of_the_standard_is_answered_as_it_says(server: Server) -> None:
    with Wire(server) as wire:
        fields = fields_of(wire.open("/echo"))
        assert fields["sec-websocket-accept"] == ACCEPT
        assert fields["upgrade"].lower() == "websocket"
        assert fields["connection"].lower() == "upgrade"
        assert not {"content-length", "transfer-encoding"} & set(fields)
        assert "sec-websocket-protocol" not in fields
        assert "sec-websocket-extensions" not in fields


@pytest.mark.parametrize(
    "fields",
    [
        {"Upgrade": "WebSocket", "Connection": "keep-alive, UPGRADE"},
        {"Upgrade": "h2c, websocket"},
        {"Origin": "http://a.example"},
    ],
)
def test_a_handshake_may_be_written_in_several_ways(server: Server, fields: dict[str, str]) -> None:
    with Wire(server) as wire:
        wire.open("/echo", fields)
        wire.send(frame(TEXT, b"hello"))
        assert wire.frame() == (TEXT, b"hello")


@pytest.mark.parametrize("version", ["8", "0", "14", "13, 8", "x", "", None])
def test_another_version_is_a_426_that_names_ours(server: Server, version: str | None) -> None:
    with Wire(server) as wire:
        wire.send(handshake("/echo", {"Sec-WebSocket-Version": version}))
        head = wire.head()
        assert head.startswith("HTTP/1.1 426 ")
        assert fields_of(head)["sec-websocket-version"] == "13"
        assert fields_of(head)["upgrade"] == "websocket"
        assert "upgrade" in fields_of(head)["connection"].lower()
        assert len(wire.rest()) == int(fields_of(head)["content-length"])


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "short",
        "dGhlIHNhbXBsZSBub25jZQ",  # no padding
        "dGhlIHNhbXBsZSBub25jZSE=",  # 17 bytes
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ],
)
def test_a_bad_key_is_a_400(server: Server, key: str | None) -> None:
    with Wire(server) as wire:
        wire.send(handshake("/echo", {"Sec-WebSocket-Key": key}))
        head = wire.head()
        assert head.startswith("HTTP/1.1 400 ")
        assert len(wire.rest()) == int(fields_of(head)["content-length"])


@pytest.mark.parametrize("origin", ["http://c.example", "null", "http://a.example:8080", ""])
def test_another_origin_is_a_403(server: Server, origin: str) -> None:
    with Wire(server) as wire:
        wire.send(handshake("/echo", {"Origin": origin}))
        assert wire.head().startswith("HTTP/1.1 403 ")
        wire.rest()


def test_frames_after_a_refusal_are_no_request(server: Server, key: str) -> None:
    """A client that does not wait for the answer must not smuggle a request in."""
    hidden = b"GET /scope HTTP/1.1\r\nHost: x\r\n\r\n"
    with Wire(server) as wire:
        wire.send(handshake(f"/refuse/{key}") + hidden)
        assert wire.head().startswith("HTTP/1.1 403 ")
        assert wire.rest().count(b"HTTP/1.1") == 0


def test_frames_that_came_with_the_handshake_are_heard(server: Server) -> None:
    with Wire(server) as wire:
        messages = [b"message %d" % number for number in range(100)]
        wire.send(handshake("/echo") + b"".join([frame(TEXT, one) for one in messages]))
        assert wire.head().startswith("HTTP/1.1 101 ")
        assert [wire.frame() for _ in messages] == [(TEXT, one) for one in messages]


@pytest.mark.parametrize("size", [10_000, 300_000, 2_000_000])
def test_a_large_message_that_came_with_the_handshake_is_heard(server: Server, size: int) -> None:
    message = bytes(range(97, 123)) * (size // 26)
    with Wire(server) as wire:
        wire.send(handshake("/echo") + frame(TEXT, message) + frame(TEXT, b"last"))
        assert wire.head().startswith("HTTP/1.1 101 ")
        assert wire.frame() == (TEXT, message)
        assert wire.frame() == (TEXT, b"last")


def test_without_websocket_the_request_is_answered_as_any_other(launch: Launcher) -> None:
    server = launch("plain:app", "--ws", "none")
    with Wire(server) as wire:
        wire.send(handshake("/scope"))
        assert wire.head().startswith("HTTP/1.1 200 ")


def test_a_close_frame_is_answered_and_the_connection_closed(server: Server) -> None:
    with Wire(server) as wire:
        wire.open("/echo")
        payload = (4321).to_bytes(2, "big") + b"enough"
        wire.send(frame(CLOSE, payload))
        assert wire.frame() == (CLOSE, payload[:2])
        assert wire.rest() == b""


def test_a_close_frame_without_a_code_is_answered_without(server: Server, key: str) -> None:
    with Wire(server) as wire:
        wire.open(f"/listen/{key}")
        wire.send(frame(CLOSE))
        assert wire.frame() == (CLOSE, b"")
        assert wire.rest() == b""


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (frame(TEXT, b"x", rsv1=True), 1002),
        (frame(3), 1002),
        (frame(0), 1002),
        (frame(TEXT, b"one", fin=False) + frame(TEXT, b"two"), 1002),
        (frame(9, b"x", fin=False), 1002),
        (frame(9, bytes(126)), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
        (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xf0\x9f", fin=False) + frame(0, b"\x41"), 1007),
        (frame(TEXT, b"\xf0\x9f\x8c"), 1007),
    ],
)
def test_what_breaks_the_protocol_closes_with_the_code_for_it(
    server: Server, frames: bytes, code: int
) -> None:
    with Wire(server) as wire:
        wire.open("/echo")
        wire.send(frame(9, b"before") + frames)
        assert wire.frame() == (PONG, b"before")
        assert wire.close_frame()[0] == code
        assert wire.rest() == b""
