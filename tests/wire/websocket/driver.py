"""Feeds a core and writes down what it calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidegate.errors import WebSocketError
from tidegate.wire.websocket.core import WebSocketCore
from tidegate.wire.websocket.deflate import Deflate, DeflateParameters
from tidegate.wire.websocket.limits import WebSocketLimits

__all__ = ["Call", "Driver", "Recorder", "calls"]

Call = tuple[Any, ...]


class Recorder:
    """A sink that keeps each call as a tuple, and holds the core to its promises."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.closed = False
        # A core that is to wait after each message; None if it is not.
        self.holds: WebSocketCore | None = None

    def _add(self, *call: Any) -> None:
        assert not self.closed, call
        self.calls.append(call)

    def on_message(self, message: str | bytes) -> None:
        assert type(message) in (str, bytes)
        self._add("message", message)
        if self.holds is not None:
            assert not self.holds.held
            self.holds.held = True

    def on_ping(self, payload: bytes) -> None:
        assert type(payload) is bytes
        self._add("ping", payload)

    def on_pong(self, payload: bytes) -> None:
        assert type(payload) is bytes
        self._add("pong", payload)

    def on_close(self, code: int, reason: str) -> None:
        self._add("close", code, reason)
        self.closed = True


class Driver:
    """One core and its sink; an error counts as a call."""

    def __init__(
        self,
        limits: WebSocketLimits | None = None,
        parameters: DeflateParameters | None = None,
    ) -> None:
        self.sink = Recorder()
        deflate = None if parameters is None else Deflate(parameters)
        self.core = WebSocketCore(self.sink, limits or WebSocketLimits(), deflate)
        self.reason = ""  # of the error

    @property
    def calls(self) -> list[Call]:
        """What the core has called so far."""
        return self.sink.calls

    def feed(self, pieces: Iterable[bytes]) -> list[Call]:
        """Feed the pieces, also those after an error, and return all calls so far."""
        for piece in pieces:
            self._receive(piece)
            while self.core.waiting and not self.core.held:
                self._receive(b"")
        return self.calls

    def feed_slowly(self, pieces: Iterable[bytes], late: bool) -> list[Call]:
        """Do so, but let the core wait after each message; if ``late``, for the last piece."""
        self.sink.holds = self.core
        for piece in pieces:
            self.feed([piece])
            if not late:
                self._go_on()
        self._go_on()
        return self.calls

    def _receive(self, piece: bytes) -> None:
        try:
            self.core.receive(piece)
        except WebSocketError as error:
            assert not self.reason, "a second error"
            self.reason = error.reason
            self.sink._add("error", error.status)
            self.sink.closed = True
        assert self.core.closed == self.sink.closed
        # Otherwise somebody waits for ever.
        assert not (self.core.closed and self.core.waiting)

    def _go_on(self) -> None:
        while self.core.held:
            self.core.held = False
            self.feed([b""])


def calls(
    pieces: Iterable[bytes],
    limits: WebSocketLimits | None = None,
    parameters: DeflateParameters | None = None,
) -> list[Call]:
    """Return what a fresh core makes of ``pieces``."""
    return Driver(limits, parameters).feed(pieces)
