"""One transport and its peer: addresses, back-pressure, deadlines, the ways to close.

Protocol versions inherit from it; what it knows of HTTP is nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from ..exchange.forwarded import client_certificate
from ..exchange.http import HttpExchange
from ..exchange.out import Address
from ..exchange.websocket import WebSocketExchange
from ..wire.proxy import ProxyHeader
from .clock import NEVER
from .file import FileSending
from .proxied import client_tls
from .timeouts import Rate
from .worker import Worker

__all__ = ["Connection", "StreamConnection"]

logger = logging.getLogger("tidegate.error")

_WRITE_BUFFER = 64 * 1024

# Functions, not bound methods: a connection that refers to itself would live
# until the next garbage collection.
Otherwise: TypeAlias = "Callable[[Any, float], None]"


class Connection:
    """The parts of a connection that do not depend on the protocol.

    It may be compiled, so the base class of asyncio comes with ``StreamConnection``.
    """

    transport: asyncio.Transport

    sends_files = hasattr(os, "pread")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.service = worker.service
        self.scheme = "http"
        self.tls: Mapping[str, Any] | None = None  # the ASGI extension; None without TLS
        self.client: Address | None = None
        self.server: Address | None = None
        self.trusted = False
        self.basis: dict[str, Any] | None = None  # of scopes; None before the first request
        self.congested = False
        self.peer_ended = False  # the peer has closed its sending half
        self.closing = False  # we have decided to close; nothing new begins
        # None between requests.
        self.exchange: HttpExchange | WebSocketExchange | None = None
        self.deadline = NEVER
        self._on_deadline: Otherwise = type(self).leave
        self._discarded = 0
        # A peer that we are leaving may still send this much into the void.
        self.max_discarded = 4 * 1024 * 1024
        self._file: FileSending | None = None  # None unless a file is on its way
        self._held_back = False  # the transport has asked us to pause
        self._unsent = 0  # bytes not sent when last looked at
        self._writing = Rate(worker.timeouts, worker.timeouts.write_stall)

    # -- called by the transport ---------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of who is there."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self.client = _address(transport.get_extra_info("peername"))
        self.server = _address(transport.get_extra_info("sockname"))
        host = self.client[0] if self.client else None
        proxies = self.service.policy.proxies
        self.trusted = proxies.trusts(host)
        if self.tls is not None and self.trusted and proxies.relays_certificates:
            # What was shown is the proxy's own, and no client's.
            self.tls = {**self.tls, **client_certificate(())}
        self.worker.connections.add(self)
        self.worker.clock.watched.add(self)
        # One that slipped in as we stop must not hold that up.
        seconds = 0.0 if self.worker.draining else self.worker.timeouts.first_byte
        self.wait_at_most(seconds, Connection.leave)
        if self.worker.crowd is not None and not self.worker.has_room_for(self):
            self.abort()

    def introduce(self, header: ProxyHeader) -> None:
        """Take over what a proxy said before the first byte of its client."""
        if header.local:
            return
        # What follows is not the proxy's own: X-Forwarded-For may be the client's invention.
        self.trusted = False
        if header.known:
            self.worker.connections.discard(self)
            self.client, self.server = header.client, header.server
            self.worker.connections.add(self)
            if header.client is not None and header.client[1] is not None:
                self.trusted = self.service.policy.proxies.trusts(header.client[0])
            if not self.closing and not self.worker.has_room_for(self):
                self.abort()
        if header.tls is not None:
            self.scheme = "https"
            self.tls = client_tls(header.tls)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange and let go of everything."""
        self.closing = True
        self.congested = False
        self.deadline = NEVER
        self.worker.connections.discard(self)
        self.worker.clock.watched.discard(self)
        exchange, self.exchange = self.exchange, None
        unsent = self._drop_file()
        if exchange is not None:
            if isinstance(exchange, HttpExchange):
                exchange.size -= unsent
            exchange.peer_gone()
        self.service.on_change()

    def pause_writing(self) -> None:
        """The peer takes less than we send."""
        self._held_back = True
        if self._file is None:
            self.congested = True
            self._watch_writing()

    def resume_writing(self) -> None:
        """The peer caught up."""
        self._held_back = False
        if self._file is not None:
            self._file.may_write()
            return
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

    # -- files ---------------------------------------------------------------

    def send_file(self, descriptor: int, offset: int, size: int) -> None:
        """Send part of a file; ``after_file`` is called when it is out.

        Until then the connection is congested.  Takes over the descriptor.
        """
        self.congested = True
        if self.transport.is_closing():
            os.close(descriptor)
            return
        socket = self._plain_socket()
        if socket is not None:
            # What is in the buffer must be out before: ask to be told.
            self.transport.set_write_buffer_limits(high=0)
        self._file = sending = FileSending(self, socket, descriptor, offset, size)
        self._watch_writing()
        sending.may_write()

    def after_file(self) -> None:
        """A file is out."""

    @property
    def has_room(self) -> bool:
        """Whether the transport takes more of a file."""
        return not self._held_back

    def write_piece(self, data: bytes) -> None:
        """Send a piece of a file."""
        self.transport.write(data)

    def on_file_end(self, problem: str | None) -> None:
        """A file is out, or no more of it can be."""
        self._file = None
        if problem is not None:
            if problem:
                logger.error("A file could not be sent to its end: %s", problem)
            # Only this can tell the client.
            self.abort()
            return
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self.congested = self._held_back
        if not self.congested:
            self.deadline = NEVER
            self.watch()
        self.after_file()

    def _plain_socket(self) -> int | None:
        """Return what ``sendfile`` may write to, if anything."""
        socket = self.transport.get_extra_info("socket")
        if self.tls is not None or socket is None or not hasattr(os, "sendfile"):
            return None
        descriptor: int = socket.fileno()
        return descriptor

    def _drop_file(self) -> int:
        """Send no more of a file; return how many bytes of it are not out."""
        file, self._file = self._file, None
        if file is None:
            return 0
        file.close()
        return file.remaining

    # -- deadlines -----------------------------------------------------------

    def wait_at_most(self, seconds: float, otherwise: Otherwise) -> None:
        """Call ``otherwise(self, now)`` when ``seconds`` have passed."""
        self.deadline = self.worker.clock.now + seconds
        self._on_deadline = otherwise

    def on_deadline(self, now: float) -> None:
        """Do what was agreed; but while bytes are on their way out, only see that they move."""
        self.deadline = NEVER
        if self._waiting() and self._on_deadline is not Connection._check_writing:
            self._watch_writing()
        else:
            self._on_deadline(self, now)

    def watch(self) -> None:
        """Set the deadline that fits the state; after writing no longer hides it."""

    def _waiting(self) -> int:
        """Return how many bytes are to be taken by the peer, of what we know."""
        size = self.transport.get_write_buffer_size()
        return size if self._file is None else size + self._file.remaining

    def _watch_writing(self) -> None:
        """See to it that the peer takes what it is sent."""
        self._unsent = self._waiting()
        self._writing.restart(self.worker.clock.now)
        self.wait_at_most(0, Connection._check_writing)

    def _check_writing(self, now: float) -> None:
        unsent = self._waiting()
        self._writing.add(self._unsent - unsent, now)
        self._unsent = unsent
        problem = self._writing.too_slow(now)
        if unsent and problem is not None:
            reason = f"takes the response too slowly: {problem}"
            self.service.complain(self.client, reason, "slow_reader")
            self.transport.abort()
        elif unsent:
            self.wait_at_most(0, Connection._check_writing)
        else:
            self.watch()

    def drain(self) -> None:
        """Close soon if idle, otherwise after the response in progress."""
        if self.exchange is not None or self.closing:
            return
        soon = min(self.worker.drain_linger, self.deadline - self.worker.clock.now)
        if soon <= 0 or self.congested:
            self.leave()
        else:
            # A request may be on its way already: the answer to it will say that we close.
            self.wait_at_most(soon, Connection.leave)

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
        if self._file is not None and isinstance(self.exchange, HttpExchange):
            self.exchange.size -= self._drop_file()
        self.transport.abort()

    def _cut(self, now: float) -> None:
        self.transport.abort()


class StreamConnection(Connection, asyncio.Protocol):
    """A connection with the base class that event loops expect."""

    __slots__ = ()


def _address(name: object) -> Address | None:
    """Return what getpeername or getsockname gave as ASGI has it."""
    if isinstance(name, tuple) and len(name) >= 2:
        return str(name[0]), int(name[1])
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    if isinstance(name, str) and name:
        return name, None
    return None
