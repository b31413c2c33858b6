"""What can go wrong with a request of the test client, besides the application's own errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import TidegateError

if TYPE_CHECKING:
    from .replies import Reply

__all__ = ["BrokenOff", "Disconnected", "HandshakeRefused", "StatusError", "TimedOut"]


class StatusError(TidegateError):
    """A reply whose status is not the wanted one; it is in ``reply``."""

    def __init__(self, text: str, reply: Reply) -> None:
        super().__init__(text)
        self.reply = reply


class HandshakeRefused(StatusError):
    """A WebSocket handshake was answered with a response; it is in ``reply``."""


class BrokenOff(TidegateError):
    """The server would have cut the connection in the middle of the response."""


class Disconnected(TidegateError):
    """The socket is closed: there is no message any more, and none can be sent.

    ``code`` and ``reason`` are those of the close (RFC 6455 section 7.4).
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the socket is closed: {code}" + (f" {reason!r}" if reason else ""))
        self.code = code
        self.reason = reason


class TimedOut(TidegateError, TimeoutError):
    """The application did not do in time what the client waited for."""
