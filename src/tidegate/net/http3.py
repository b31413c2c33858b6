"""One HTTP/3 connection: QUIC below, and the exchanges of its streams above.

Datagrams come from an endpoint, which also sends ours; between them a timer of
the connection's own, because loss and pacing are a matter of milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

from ..errors import Http3Error
from ..exchange.forwarded import client_certificate
from ..wire.http2.limits import Http2Limits
from ..wire.http3.core import Http3Core
from ..wire.http3.frames import Code
from .clock import NEVER
from .multiplexed import Multiplexed
from .quic import Quic, StaticQpack, events
from .stream import MultiplexedStream
from .worker import Worker

__all__ = ["Endpoint", "Http3Connection"]

logger = logging.getLogger("tidegate.error")

# While requests are in progress and nothing else is heard: well within the time
# after which QUIC gives a silent peer up.
_PING_SECONDS = 10.0

_TLS_1_3 = 0x0304

# Bursts of what may be sent at once in one turn of the loop; then others have theirs.
_BURSTS = 4


class Endpoint(Protocol):
    """Who sends for connections, and finds them by their ids."""

    server: tuple[str, int] | None

    def send(self, data: bytes, address: Any) -> None:
        """Send a datagram."""

    def add_id(self, connection_id: bytes, connection: Http3Connection) -> None:
        """Datagrams for this id are the connection's."""

    def drop_id(self, connection_id: bytes) -> None:
        """They are nobody's any more."""

    def on_established(self, connection: Http3Connection) -> None:
        """The handshake is complete."""

    def on_end(self, connection: Http3Connection) -> None:
        """Nothing more comes of the connection."""

    def server_certificate(self, name: str) -> str:
        """Return the certificate shown to who asks for that name, as PEM."""


class Http3Connection(Multiplexed):
    """Sink of its core; each of its streams is the ``Out`` of an exchange."""

    core: Http3Core

    def __init__(self, worker: Worker, endpoint: Endpoint, quic: Quic, address: Any) -> None:
        """``address`` is where the client is now; it may move (RFC 9000 section 9)."""
        self.worker = worker
        self.service = worker.service
        self.scheme = "https"
        self.tls = None
        self.client = (str(address[0]), int(address[1]))
        self.server = endpoint.server
        self.basis = None
        self.trusted = self.service.policy.proxies.trusts(self.client[0])
        self.quic = quic
        limits = worker.http3 or Http2Limits()
        make = partial(MultiplexedStream, self)
        self.core = Http3Core(self, quic, StaticQpack(), limits, make)
        self.sockets = set()
        self._uploads = set()
        self.closing = False  # nothing new begins
        self._endpoint = endpoint
        self._flush_due = False  # somebody will call flush()
        self._timer: asyncio.TimerHandle | None = None  # None while none is needed
        self._timer_at = NEVER
        self._established = False
        self._last = False  # no new request is served
        self._leaves_at = NEVER  # after the notice of our end, if nobody answers that
        self._closes_at = NEVER  # after the last response, if it is not confirmed
        self._idle_by = NEVER  # when a connection without streams is closed
        self._pinged = worker.clock.now
        self.deadline = worker.clock.now + worker.timeouts.tls_handshake
        worker.connections.add(self)
        worker.clock.watched.add(self)

    # -- called by the endpoint ------------------------------------------------

    def received(self, data: bytes, address: Any) -> None:
        """Take a datagram; what it leads to is sent at the end of this turn of the loop."""
        try:
            self.quic.receive_datagram(data, address, self.service.loop.time())
        except Exception:
            # Not of ours, and on bytes of strangers: others must not suffer.
            logger.exception(
                "QUIC could not read what %s sent; the connection is dropped", self.client
            )
            self.forget()
            self._endpoint.on_end(self)
            return
        self._take_events()
        self.flush_soon()

    # -- called by the core ----------------------------------------------------

    def on_idle(self) -> None:
        """The last stream is closed: how long is the connection kept?"""
        self._idle_by = self.worker.clock.now + self.worker.timeouts.keep_alive
        self.deadline = min(self.deadline, self._idle_by)

    def on_pong(self, payload: bytes) -> None:
        """Pings are a matter of QUIC."""

    # -- what QUIC says --------------------------------------------------------

    def _take_events(self) -> None:
        core = self.core
        core.advance(self.worker.clock.now)
        try:
            while (event := self.quic.next_event()) is not None:
                self._take_event(event)
        except Http3Error as error:
            self.fail(error)
            return
        if core.owed_since is not None:
            self.watch_soon()

    def _take_event(self, event: events.QuicEvent) -> None:
        kind = type(event)
        handler = (_AT_THE_END if self.closing else _HANDLERS).get(kind)
        if handler is not None:
            handler(self, event)

    def _on_data(self, event: events.StreamDataReceived) -> None:
        self.core.receive(event.stream_id, event.data, event.end_stream)

    def _on_reset(self, event: events.StreamReset) -> None:
        self.core.on_reset(event.stream_id, event.error_code)

    def _on_stopped(self, event: events.StopSendingReceived) -> None:
        self.core.on_stopped(event.stream_id, event.error_code)

    def _on_negotiated(self, event: events.ProtocolNegotiated) -> None:
        self.core.begin()

    def _on_established(self, event: events.HandshakeCompleted) -> None:
        self._established = True
        self._endpoint.on_established(self)
        schedule = self.quic.tls.key_schedule
        self.tls = {
            "server_cert": self._endpoint.server_certificate(self.quic.server_name),
            **client_certificate(()),
            "tls_version": _TLS_1_3,
            "cipher_suite": None if schedule is None else int(schedule.cipher_suite),
        }
        self._idle_by = self.worker.clock.now + self.worker.timeouts.first_byte
        self.deadline = self._idle_by
        if self.worker.draining:
            # The others were told before this one began.
            self.drain()

    def _on_pong(self, event: events.PingAcknowledged) -> None:
        """The client has our notice, and what it sent before is here: say which is the last."""
        if self._leaves_at != NEVER:
            self._say_goodbye()

    def _on_id(self, event: events.ConnectionIdIssued) -> None:
        self._endpoint.add_id(event.connection_id, self)

    def _on_id_retired(self, event: events.ConnectionIdRetired) -> None:
        self._endpoint.drop_id(event.connection_id)

    def _on_terminated(self, event: events.ConnectionTerminated) -> None:
        if not self.closing and not self._established:
            # The reason may be the client's own words.
            reason = repr(event.reason_phrase)[:200]
            self.service.complain(self.client, f"TLS: handshake failed: {reason}", "tls")
        self.forget()
        self._endpoint.on_end(self)

    # -- sending ---------------------------------------------------------------

    def flush_soon(self) -> None:
        """Send what there is at the end of this turn of the loop."""
        if not self._flush_due:
            self._flush_due = True
            self.service.loop.call_soon(self.flush, context=self.service.context)

    def flush(self) -> None:
        """Send what QUIC lets go."""
        self._flush_due = False
        self._transmit()
        if self.closing:
            return
        core = self.core
        for _ in range(_BURSTS):
            core.settle()
            if not self._flush_due:
                break
            self._flush_due = False
            self._transmit()
        else:
            self.flush_soon()
        if core.waiting:
            self.watch_soon()
        if self._last and not core.streams:
            self._finish()

    def _transmit(self) -> None:
        now = self.service.loop.time()
        for data, address in self.quic.datagrams_to_send(now):
            self._endpoint.send(data, address)
        # Issued connection ids are told while datagrams are made.
        self._take_events()
        self._set_timer()

    def _set_timer(self) -> None:
        at = self.quic.get_timer()
        if at is None or self._timer_at <= at:
            return  # too early is no harm: it looks again
        if self._timer is not None:
            self._timer.cancel()
        loop = self.service.loop
        self._timer = loop.call_at(at, self._on_timer, context=self.service.context)
        self._timer_at = at

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, NEVER
        now = self.service.loop.time()
        at = self.quic.get_timer()
        if at is not None and at > now + 0.0005:
            self._set_timer()
            return
        self.quic.handle_timer(now if at is None else max(now, at))
        self._take_events()
        self.flush()

    # -- deadlines -------------------------------------------------------------

    def watch_soon(self) -> None:
        """Look again within about a second."""
        if not self.closing:
            self.deadline = min(self.deadline, self.worker.clock.now)

    def on_deadline(self, now: float) -> None:
        """About a second has passed, or the time for something has."""
        self.deadline = NEVER
        core = self.core
        owed = core.owed_since
        if not self._established:
            self.service.complain(self.client, "TLS: the handshake took too long", "tls")
            self.abort()
        elif owed is not None and now - owed >= self.worker.timeouts.head:
            self.fail(Http3Error("a head took too long", Code.EXCESSIVE_LOAD))
        else:
            self._tick(now)

    def _tick(self, now: float) -> None:
        core = self.core
        is_idle = now >= self._idle_by and not core.streams and core.owed_since is None
        if now >= self._leaves_at or (is_idle and not self._last):
            self._say_goodbye()
        for upload in list(self._uploads):
            self._check_upload(upload, now)
        for download in cast(list[MultiplexedStream], core.waiting):
            self._check_download(download, now)
        for socket in list(self.sockets):
            self._check_socket(socket, now)
        if core.streams and now - self._pinged >= _PING_SECONDS:
            self._pinged = now
            self.quic.send_ping(0)
        self.flush()
        self._set_deadline(now)

    def _set_deadline(self, now: float) -> None:
        if self.closing:
            return
        core = self.core
        if self.sockets or self._uploads or core.waiting or core.owed_since is not None:
            self.watch_soon()
            return
        at = now + _PING_SECONDS if core.streams else self._idle_by
        self.deadline = min(self.deadline, at, self._leaves_at, self._closes_at)

    # -- the end ---------------------------------------------------------------

    def drain(self) -> None:
        """Serve what has been asked, and nothing more (RFC 9114 section 5.2)."""
        if self.closing or self._last or self._leaves_at != NEVER:
            return
        if not self._established:
            self.deadline = min(self.deadline, self.worker.clock.now + self.worker.timeouts.linger)
            return
        if not self.core.streams:
            self._say_goodbye()
            return
        for stream in self.sockets:
            self._drain_socket(stream)
        # Requests may be on their way: those that come before the answer are served.
        self.core.notice()
        self.quic.send_ping(0)
        self._leaves_at = self.worker.clock.now + self.worker.timeouts.linger
        self.flush_soon()
        self.watch_soon()

    def abort(self) -> None:
        """Cut the connection; what was not sent is lost."""
        self._close(Code.NO_ERROR, "")

    def forget(self) -> None:
        """Let go of a connection that never began; the client hears nothing."""
        self._let_go()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, NEVER

    def fail(self, error: Http3Error) -> None:
        """The client broke the rules: tell it, and close."""
        self.service.complain(self.client, error.reason, Code(error.status).name.lower())
        self._close(error.status, error.reason)

    def _say_goodbye(self) -> None:
        self._leaves_at = NEVER
        self._last = True
        self.core.go_away()
        self.flush_soon()

    def _finish(self) -> None:
        """All is served: close as soon as the client has it, or has had the time."""
        now = self.worker.clock.now
        if self.quic.is_delivered or now >= self._closes_at:
            self._close(Code.NO_ERROR, "")
            return
        self._closes_at = min(self._closes_at, now + self.worker.timeouts.linger)
        self.deadline = min(self.deadline, self._closes_at)

    def _close(self, code: int, reason: str) -> None:
        if not self.closing:
            self._let_go()
            self.quic.close(error_code=code, reason_phrase=reason)
            self._transmit()

    def _let_go(self) -> None:
        """Tell every exchange; what QUIC still has to say is no concern of theirs."""
        self.deadline = NEVER
        self.worker.connections.discard(self)
        self.worker.clock.watched.discard(self)
        if self.closing:
            return
        self.closing = True
        for stream in self._streams():
            stream.lost()
            stream.exchange = None
        self.sockets.clear()
        self._uploads.clear()
        self.core.release()
        self.service.on_change()


_Handlers = dict[type[events.QuicEvent], Callable[[Http3Connection, Any], None]]

_AT_THE_END: _Handlers = {
    events.ConnectionIdIssued: Http3Connection._on_id,
    events.ConnectionIdRetired: Http3Connection._on_id_retired,
    events.ConnectionTerminated: Http3Connection._on_terminated,
}

_HANDLERS: _Handlers = {
    events.StreamDataReceived: Http3Connection._on_data,
    events.StreamReset: Http3Connection._on_reset,
    events.StopSendingReceived: Http3Connection._on_stopped,
    events.ProtocolNegotiated: Http3Connection._on_negotiated,
    events.HandshakeCompleted: Http3Connection._on_established,
    events.PingAcknowledged: Http3Connection._on_pong,
    **_AT_THE_END,
}
