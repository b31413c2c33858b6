"""The published cases through a whole connection: an echo answers as the suite expects."""

from __future__ import annotations

import pytest
from tests.exchange.sockets import echo
from tests.wire.websocket.cases import Call, Case, cases
from tests.wire.websocket.compression import OFFERS, Client, sample

from tidegate.testing.websocket import BINARY, CLOSE, PONG, TEXT, Frame, WebSocketPeer, closing

CASES = list(cases())


def answers(calls: list[Call]) -> list[tuple[int, bytes | int | None]]:
    """Return opcode and payload of the frames that answer; of a close frame only the code."""
    found: list[tuple[int, bytes | int | None]] = []
    for kind, content, *_ in calls:
        if kind == "message":
            text = isinstance(content, str)
            found.append((TEXT, content.encode()) if text else (BINARY, content))
        elif kind == "ping":
            found.append((PONG, content))
        elif kind != "pong":
            found.append((CLOSE, None if content == 1005 else content))
    return found


def seen(frame: Frame) -> tuple[int, bytes | int | None]:
    return frame.opcode, frame.close_code if frame.opcode == CLOSE else frame.payload


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_a_case_is_answered(case: Case) -> None:
    peer = WebSocketPeer(echo)
    await peer.open()
    # A frame at a time, so that the application can answer before what follows.
    # Those in pieces of a byte go in one: other tests cut them.
    pieces = case.pieces if len(case.pieces) < 50 else [case.input]
    for piece in pieces:
        await peer.send(piece)
    calls = case.calls
    if calls[-1][0] not in ("close", "error"):
        await peer.send(closing(1000))
        calls = [*calls, ("close", 1000, "")]
    expected = answers(calls)
    if pieces == [case.input]:
        # What is sent together with an error may be lost to it.
        assert sorted(map(repr, map(seen, peer.frames()))) == sorted(map(repr, expected))
    else:
        assert [seen(frame) for frame in peer.frames()] == expected
    assert peer.transport.eof_written
    await peer.half_close()
    assert peer.transport.closed
    assert not peer.transport.aborted


@pytest.mark.parametrize("offer", OFFERS)
async def test_compressed_messages_are_echoed(offer: str) -> None:
    peer = WebSocketPeer(echo)
    answer = await peer.open(headers=f"Sec-WebSocket-Extensions: {offer}\r\n")
    client = Client(answer.header("sec-websocket-extensions") or "")
    for kind in ("json", "prose", "archive"):
        for size, fragment_size in ((16, 0), (1000, 100), (20_000, 0)):
            message = sample(kind, size)
            (frame,) = await peer.ask(client.frames(message, fragment_size))
            assert client.read(frame) == message
