"""One transport and its peer: addresses, back-pressure, deadlines, the ways to close.

Protocol versions inherit from it; what it knows of HTTP is nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from ..exchange.http import HttpExchange
from ..exchange.out import Address
from ..exchange.websocket import WebSocketExchange
from .clock import NEVER
from .timeouts import Rate
from .worker import Worker

__all__ = ["Connection"]

_WRITE_BUFFER = 64 * 1024

# Functions, not bound methods: a connection that refers to itself would live
# until the next garbage collection.
Otherwise: TypeAlias = "Callable[[Any, float], None]"


class Connection(asyncio.Protocol):
    """The parts of a connection that do not depend on the protocol."""

    transport: asyncio.Transport

    # A peer that we are leaving may still send this much into the void.
    max_discarded = 4 * 1024 * 1024

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.service = worker.service
        self.scheme = "http"
        self.tls: Mapping[str, Any] | None = None  # the ASGI extension; None without TLS
        self.client: Address | None = None
        self.server: Address | None = None
        self.trusted = False
        self.congested = False
        self.peer_ended = False  # the peer has closed its sending half
        self.closing = False  # we have decided to close; nothing new begins
        # None between requests.
        self.exchange: HttpExchange | WebSocketExchange | None = None
        self.deadline = NEVER
        self._on_deadline: Otherwise = type(self).leave
        self._discarded = 0
        self._unsent = 0  # bytes in the transport's buffer when last looked at
        self._writing = Rate(worker.timeouts, worker.timeouts.write_stall)

    # -- called by the transport ---------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of who is there."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self.client = _address(transport.get_extra_info("peername"))
        self.server = _address(transport.get_extra_info("sockname"))
        host = self.client[0] if self.client else None
        self.trusted = self.service.policy.proxies.trusts(host)
        self.worker.connections.add(self)
        self.worker.clock.watched.add(self)
        # One that slipped in as we stop must not hold that up.
        seconds = 0.0 if self.worker.draining else self.worker.timeouts.first_byte
        self.wait_at_most(seconds, Connection.leave)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange and let go of everything."""
        self.closing = True
        self.congested = False
        self.deadline = NEVER
        self.worker.connections.discard(self)
        self.worker.clock.watched.discard(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.peer_gone()
        self.service.on_change()

    def pause_writing(self) -> None:
        """The peer takes less than we send."""
        self.congested = True
        self._unsent = self.transport.get_write_buffer_size()
        self._writing.restart(self.worker.clock.now)
        self.wait_at_most(0, Connection._check_writing)

    def resume_writing(self) -> None:
        """The peer caught up."""
        self.congested = False
        self.deadline = NEVER
        self.watch()
        if self.exchange is not None:
            self.exchange.may_write()

    def write(self, data: bytes) -> None:
        """Send bytes, as part of a stream."""
        self.transport.write(data)
        if self.transport.is_closing():
            # It takes everything and sends nothing.  Let the application wait
            # for connection_lost(): one that sends in a loop would never let
            # the event loop get there.
            self.congested = True

    # -- deadlines -----------------------------------------------------------

    def wait_at_most(self, seconds: float, otherwise: Otherwise) -> None:
        """Call ``otherwise(self, now)`` when ``seconds`` have passed."""
        self.deadline = self.worker.clock.now + seconds
        self._on_deadline = otherwise

    def on_deadline(self, now: float) -> None:
        """Do what was agreed; but while bytes are on their way out, only see that they move."""
        self.deadline = NEVER
        if (
            self.transport.get_write_buffer_size()
            and self._on_deadline is not Connection._check_writing
        ):
            self._unsent = self.transport.get_write_buffer_size()
            self._writing.restart(now)
            self.wait_at_most(0, Connection._check_writing)
        else:
            self._on_deadline(self, now)

    def watch(self) -> None:
        """Set the deadline that fits the state; after writing no longer hides it."""

    def _check_writing(self, now: float) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._writing.add(self._unsent - unsent, now)
        self._unsent = unsent
        problem = self._writing.too_slow(now)
        if unsent and problem is not None:
            self.service.complain(self.client, f"takes the response too slowly: {problem}")
            self.transport.abort()
        elif unsent:
            self.wait_at_most(0, Connection._check_writing)
        else:
            self.watch()

    def drain(self) -> None:
        """Close now if idle, otherwise after the response in progress."""
        if self.exchange is None and not self.closing:
            self.leave()

    # -- closing -------------------------------------------------------------

    def leave(self, now: float = 0.0) -> None:
        """Close when everything written has been sent."""
        self.closing = True
        self.transport.close()
        # A peer that does not take the rest must not keep us.
        self.wait_at_most(self.worker.timeouts.linger, Connection._cut)

    def leave_gently(self) -> None:
        """Close, but first give the peer time to read: it may still be sending.

        Closing a socket with unread bytes resets the connection, and the reset
        overtakes our answer (RFC 9112 section 9.6).
        """
        self.closing = True
        if self.peer_ended or self.transport.is_closing() or not self.transport.can_write_eof():
            self.leave()
            return
        try:
            self.transport.write_eof()
        except OSError:
            # It was reset while we did not read.
            self.transport.abort()
            return
        self.transport.resume_reading()
        self.wait_at_most(self.worker.timeouts.linger, Connection._cut)

    def discard(self, data: bytes) -> None:
        """Throw away what a peer sends that we are leaving."""
        self._discarded += len(data)
        if self._discarded > self.max_discarded:
            self.transport.abort()

    def abort(self) -> None:
        """Cut the connection now; what was not sent is lost."""
        self.closing = True
        self.transport.abort()

    def _cut(self, now: float) -> None:
        self.transport.abort()


def _address(name: object) -> Address | None:
    """Return what getpeername or getsockname gave as ASGI has it."""
    if isinstance(name, tuple) and len(name) >= 2:
        return str(name[0]), int(name[1])
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    if isinstance(name, str) and name:
        return name, None
    return None
