"""The transport of a TLS connection: what the event loop's own would do badly.

It encrypts what it is given at once, so that a large body would hold up
everybody else, and it forgets what is encrypted and not yet sent.  Here a large
body is encrypted slice by slice, a turn of the loop for each, and only while
the client takes it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ..exchange.service import Service

__all__ = ["SecureTransport"]

# Bytes encrypted in one turn of the loop: less than a millisecond of work.
_SLICE = 64 * 1024


class SecureTransport:
    """Stands between TLS and a connection: transport of the one, protocol of the other.

    What only passes through is the other's own method, so that it costs no
    further call.
    """

    data_received: Callable[[bytes], None]
    eof_received: Callable[[], bool | None]

    def __init__(
        self, secured: asyncio.Transport, raw: asyncio.Transport, service: Service
    ) -> None:
        self._secured = secured
        self._raw = raw
        self._service = service
        self._waiting: deque[memoryview] = deque()  # not encrypted yet
        self._size = 0  # bytes of that
        self._held = False  # the client takes less than it is sent
        self._paused = False  # the connection was told to write no more
        self._turn_due = False  # the next slice is a matter of the next turn
        self._closing = False  # when all is written
        self.pause_reading = secured.pause_reading
        self.resume_reading = secured.resume_reading
        self.can_write_eof = secured.can_write_eof
        self.get_extra_info = secured.get_extra_info
        self.set_write_buffer_limits = secured.set_write_buffer_limits

    # -- the transport of the connection -------------------------------------

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """Let ``protocol`` receive from now on."""
        self._protocol = protocol
        self.data_received = protocol.data_received
        self.eof_received = protocol.eof_received

    def write(self, data: bytes) -> None:
        """Encrypt and send, now or as soon as the client takes it."""
        if len(data) <= _SLICE and not self._waiting:
            self._secured.write(data)
        elif not self.is_closing():
            self._waiting.append(memoryview(data))
            self._size += len(data)
            self._pause()
            self._next_slice()

    def close(self) -> None:
        """Close when all is sent.  The second close of the loop's transport would break it."""
        if self._waiting:
            self._closing = True
        elif not self._secured.is_closing():
            self._secured.close()

    def abort(self) -> None:
        """Cut the connection; what is not sent is lost."""
        self._drop()
        self._secured.abort()

    def is_closing(self) -> bool:
        """Say whether the connection is being closed, or lost."""
        return self._closing or self._secured.is_closing()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait, encrypted or not."""
        below = self._secured.get_write_buffer_size() + self._raw.get_write_buffer_size()
        return below + self._size

    # -- the protocol above TLS ----------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._drop()
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        self._held = True
        self._pause()

    def resume_writing(self) -> None:
        """The client caught up."""
        self._held = False
        if self._waiting:
            self._next_slice()
        else:
            self._resume()

    # -- private -------------------------------------------------------------

    def _next_slice(self) -> None:
        if self._held or self._turn_due:
            return
        first = self._waiting.popleft()
        piece, rest = first[:_SLICE], first[_SLICE:]
        if rest:
            self._waiting.appendleft(rest)
        self._size -= len(piece)
        self._secured.write(piece)
        if self._waiting:
            self._turn_due = True
            self._service.loop.call_soon(self._on_turn, context=self._service.context)
        elif self._closing:
            self._secured.close()
        elif not self._held:
            self._resume()

    def _on_turn(self) -> None:
        self._turn_due = False
        if self._waiting:
            self._next_slice()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._protocol.resume_writing()

    def _drop(self) -> None:
        self._waiting.clear()
        self._size = 0
