"""A transport without a network: what was written can be read, and the peer can stall."""

from __future__ import annotations

import asyncio
from typing import Any, cast

__all__ = ["FakeTransport"]


class FakeTransport(asyncio.Transport):
    """Stands in for a socket's transport in tests of connections.

    ``stall()`` makes it behave as if the peer took nothing: writes pile up and
    the protocol is asked to pause; ``flow()`` takes everything.
    """

    def __init__(
        self, peername: object = ("127.0.0.1", 50000), sockname: object = ("127.0.0.1", 8000)
    ) -> None:
        super().__init__({"peername": peername, "sockname": sockname})
        self.output = b""  # what the peer has received
        self.writes = 0
        self.eof_written = False
        self.aborted = False
        self.closed = False
        self.reading = True
        self._protocol: asyncio.Protocol | None = None
        self._stalled = False
        self._pending = b""
        self._high = 64 * 1024
        self._paused = False

    def connect(self, protocol: asyncio.Protocol) -> None:
        """Play the part of an event loop that accepted a connection."""
        self._protocol = protocol
        protocol.connection_made(self)

    def stall(self) -> None:
        """From now on the peer takes nothing."""
        self._stalled = True

    def flow(self, size: int | None = None) -> None:
        """The peer takes ``size`` bytes, or everything and all that follows."""
        if size is None:
            self._stalled = False
            size = len(self._pending)
        self.output += self._pending[:size]
        self._pending = self._pending[size:]
        if self._paused and len(self._pending) <= self._high // 4 and self._protocol is not None:
            self._paused = False
            self._protocol.resume_writing()
        if self.closed and not self._pending:
            self._lose(None)

    def lose(self, error: Exception | None = None) -> None:
        """The connection is gone, as after a reset."""
        self.closed = True
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            asyncio.get_running_loop().call_soon(protocol.connection_lost, error)

    # -- what a protocol may call --------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Take data."""
        if self.closed:
            return
        self.writes += 1
        if not self._stalled:
            self.output += bytes(data)
            return
        self._pending += bytes(data)
        if len(self._pending) > self._high and not self._paused and self._protocol is not None:
            self._paused = True
            self._protocol.pause_writing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol go on."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that is called."""
        return cast(asyncio.BaseProtocol, self._protocol)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the mark above which the protocol is paused."""
        self._high = 64 * 1024 if high is None else high

    def get_write_buffer_size(self) -> int:
        """Return how much the peer has not taken."""
        return len(self._pending)

    def can_write_eof(self) -> bool:
        """A plain socket can close one half."""
        return True

    def write_eof(self) -> None:
        """Close the sending half."""
        self.eof_written = True

    def pause_reading(self) -> None:
        """Stop receiving."""
        self.reading = False

    def resume_reading(self) -> None:
        """Receive again."""
        self.reading = True

    def is_closing(self) -> bool:
        """Say whether the connection is being closed."""
        return self.closed

    def close(self) -> None:
        """Close when everything has been taken."""
        self.closed = True
        if not self._pending:
            self._lose(None)

    def abort(self) -> None:
        """Close now."""
        self.aborted = self.closed = True
        self._pending = b""
        self._lose(None)
