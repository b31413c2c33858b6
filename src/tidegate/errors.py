"""Every exception Tidegate raises on purpose, in one tree.

``ConfigError`` is the operator's, ``AppError`` the application's, ``PeerError``
the client's and ``UsageError`` the calling code's.  Anything else that escapes
is a defect of Tidegate.
"""

from __future__ import annotations

__all__ = [
    "AppError",
    "BadRequest",
    "ClientDisconnected",
    "ConfigError",
    "DeadlineExceeded",
    "Http2Error",
    "Http3Error",
    "PeerError",
    "PoolClosed",
    "PoolFull",
    "TidegateError",
    "Untransferable",
    "UsageError",
    "WebSocketError",
    "WorkerCrashed",
]


class TidegateError(Exception):
    """Root of the tree: catch it to catch everything Tidegate raises on purpose."""


class ConfigError(TidegateError):
    """A setting cannot be used.  The text names the option and the value found."""


class AppError(TidegateError):
    """The application broke the ASGI contract, in a call to ``send`` or by ending early."""


class UsageError(TidegateError):
    """A caller of a Tidegate object broke the order of calls its docstring states."""


class PeerError(TidegateError):
    """The peer broke a protocol.

    ``reason`` is one line for the log and the answer; ``status`` is the HTTP
    status code to answer with, if an answer can still be given.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class BadRequest(PeerError):
    """The request breaks HTTP's grammar or one of our limits."""


class WebSocketError(PeerError):
    """A WebSocket peer broke the protocol or one of our limits.

    ``status`` is the close code to answer with (RFC 6455 section 7.4.1).
    """


class Http2Error(PeerError):
    """An HTTP/2 peer broke the protocol, or one of our limits, for the whole connection.

    ``status`` is the error code to answer with (RFC 9113 section 7).
    """


class Http3Error(PeerError):
    """The same of an HTTP/3 peer; ``status`` is a code of RFC 9114 section 8.1."""


class ClientDisconnected(TidegateError, OSError):
    """``send()`` was called after the client had gone (ASGI HTTP spec 2.4).

    It is an ``OSError`` so that frameworks recognise it.  Tidegate ignores it
    when it escapes the application: nothing is logged.
    """


class PoolFull(TidegateError):
    """A pool has as many waiting calls as it may have.

    ``retry_after`` is after how many seconds there is likely to be room.
    """

    def __init__(self, text: str, retry_after: float = 1.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class PoolClosed(TidegateError):
    """A pool was closed before this call was done."""


class DeadlineExceeded(TidegateError, TimeoutError):
    """A call to a pool was not done in the time it was given."""


class WorkerCrashed(TidegateError):
    """The process that ran a call ended before the call did.

    ``exit_code`` is its exit status, or None if ``signal`` (a number) ended it.
    """

    def __init__(self, text: str, exit_code: int | None = None, signal: int | None = None) -> None:
        super().__init__(text)
        self.exit_code = exit_code
        self.signal = signal


class Untransferable(UsageError):
    """A function, an argument, a result or an exception cannot go to another process."""
