"""Messages that wait, unpacked, in what was received."""

from __future__ import annotations

from tidegate.wire.websocket.core import WebSocketCore
from tidegate.wire.websocket.limits import WebSocketLimits


class Sink:
    def __init__(self) -> None:
        self.messages: list[str | bytes] = []

    def on_message(self, message: str | bytes) -> None:
        self.messages.append(message)

    def on_ping(self, payload: bytes) -> None: ...

    def on_pong(self, payload: bytes) -> None: ...

    def on_close(self, code: int, reason: str) -> None: ...


def test_what_arrives_while_the_core_is_held_waits() -> None:
    sink = Sink()
    core = WebSocketCore(sink, WebSocketLimits())
    core.held = True
    # A masked binary frame of one byte; the key is all zeros.
    core.receive(b"\x82\x81\x00\x00\x00\x00a")
    core.receive(b"\x82\x81\x00\x00\x00\x00b")
    assert sink.messages == []
    core.held = False
    core.receive(b"")
    assert sink.messages == [b"a", b"b"]
