"""HTTP/2 over asyncio: one connection, one core, and an exchange for every stream.

More lines than most modules have: all of them change the state of one connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from ..errors import Http2Error
from ..wire.http2.core import Http2Core
from ..wire.http2.frames import Code
from ..wire.http2.limits import Http2Limits
from .clock import NEVER
from .connection import Connection, StreamConnection
from .multiplexed import Multiplexed
from .stream import MultiplexedStream
from .timeouts import Rate
from .worker import Worker

__all__ = ["Http2Connection", "SecureHttp2"]

# Bytes of output that are not kept for the end of the turn.
_ENOUGH = 64 * 1024

# Bursts of that size in one turn of the loop; then others have theirs.
_BURSTS = 4


class Http2Connection(Multiplexed, StreamConnection):
    """Sink of its core; each of its streams is the ``Out`` of an exchange."""

    core: Http2Core

    def __init__(self, worker: Worker, before: Connection | None = None) -> None:
        """``before`` has served the beginning of the connection, and hands it over."""
        super().__init__(worker)
        limits = worker.http2 or Http2Limits()
        self.core = Http2Core(self, limits, partial(MultiplexedStream, self))
        self.sockets: set[MultiplexedStream] = set()
        self._uploads: set[MultiplexedStream] = set()  # of which content is to come
        self._flush_due = False  # somebody will call flush()
        self._leaves_at = NEVER  # after the notice of our end, if nobody answers that
        self._last = False  # no new stream is served
        self._connection_rate = Rate(worker.timeouts, worker.timeouts.write_stall)
        self._seen_sent = 0  # of the core, when last looked at
        self._blocked = False  # the peer takes nothing of any stream
        self._idle_by = NEVER  # when a connection without streams is closed
        if before is not None:
            self._succeed(before)

    # -- called by the transport ---------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what we are."""
        super().connection_made(transport)
        self._idle_by = self.deadline
        self.flush_soon()

    def data_received(self, data: bytes) -> None:
        """Feed the core, and send at once what all the requests in ``data`` have led to."""
        if self.closing:
            self.discard(data)
            return
        self._flush_due = True
        core = self.core
        try:
            core.receive(data, self.worker.clock.now)
        except Http2Error as error:
            self.fail(error)
            return
        self.flush()
        if core.owed_since is not None:
            self.watch_soon()

    def eof_received(self) -> bool:
        """The client sends no more.  Return True to keep the sending half open."""
        self.peer_ended = True
        if self.closing or not self.core.streams:
            return False
        for stream in self._streams():
            if stream.exchange is not None:
                stream.exchange.peer_left()
        return self.tls is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every exchange."""
        super().connection_lost(exc)
        for stream in self._streams():
            stream.lost()
            stream.exchange = None
        self.sockets.clear()
        self._uploads.clear()
        self.core.release()

    def pause_writing(self) -> None:
        """The client takes less than we send: what is to be sent waits in its stream."""
        super().pause_writing()
        self.core.may_write = False

    def resume_writing(self) -> None:
        """The client caught up."""
        self.core.may_write = True
        super().resume_writing()
        self.flush_soon()

    # -- called by the core --------------------------------------------------

    def on_idle(self) -> None:
        """The last stream is closed: how long is the connection kept?"""
        self._idle_by = self.worker.clock.now + self.worker.timeouts.keep_alive
        if self.deadline > self._idle_by:
            self.deadline = self._idle_by

    def on_pong(self, payload: bytes) -> None:
        """The client has our notice, and what it sent before is here: say which is the last."""
        if self._leaves_at != NEVER:
            self._say_goodbye()

    # -- sending ---------------------------------------------------------------

    def flush_soon(self) -> None:
        """Send what there is at the end of this turn of the loop."""
        if not self._flush_due:
            self._flush_due = True
            self.service.loop.call_soon(self.flush, context=self.service.context)
        elif self.core.output_size >= _ENOUGH:
            self._write_output()

    def flush(self) -> None:
        """Send what there is, and what waits as far as the client takes it."""
        self._flush_due = False
        core = self.core
        for _ in range(_BURSTS):
            if core.waiting:
                core.pump()
            if not core.output_size:
                break
            self._write_output()
        else:
            self.flush_soon()
        if core.waiting and not self.closing:
            self.watch_soon()
        if not core.streams and (self._last or self.peer_ended) and not self.closing:
            self._finish()

    def _write_output(self) -> None:
        transport = self.transport
        transport.write(self.core.take_output())
        if transport.is_closing():
            # It takes everything and sends nothing: keep it, so that applications wait.
            self.core.may_write = False

    # -- deadlines ---------------------------------------------------------------

    def watch(self) -> None:
        """Set the deadline that fits the state."""
        if self.closing:
            self.wait_at_most(self.worker.timeouts.linger, Connection._cut)
        else:
            self.watch_soon()

    def watch_soon(self) -> None:
        """Look again within about a second."""
        if not self.closing:
            self.deadline = min(self.deadline, self.worker.clock.now)

    def on_deadline(self, now: float) -> None:
        """About a second has passed, or the time for something has."""
        if self.closing:
            super().on_deadline(now)
        else:
            if self._held_back:
                self._check_writing(now)
            self.deadline = NEVER
            self._tick(now)

    def _tick(self, now: float) -> None:
        """Is it the client that everything waits for, and for how long has it been?"""
        problem = self._overdue(now)
        if problem is not None:
            self.fail(problem)
            return
        if now >= self._leaves_at or (not self.core.streams and now >= self._idle_by):
            self._say_goodbye()
        for upload in list(self._uploads):
            self._check_upload(upload, now)
        if not self.congested:
            for download in cast(list[MultiplexedStream], self.core.waiting):
                self._check_download(download, now)
        for socket in list(self.sockets):
            self._check_socket(socket, now)
        self.flush()
        self._set_deadline(now)

    def _set_deadline(self, now: float) -> None:
        if self.closing:
            return
        core = self.core
        if self._held_back or self.sockets or self._uploads or core.owed_since is not None:
            self.watch_soon()
        elif not core.waiting:
            self.deadline = min(self._leaves_at, NEVER if core.streams else self._idle_by)

    def _overdue(self, now: float) -> Http2Error | None:
        """Return what the client takes too long for, if it is about the whole connection."""
        core, rate = self.core, self._connection_rate
        owed = core.owed_since
        if owed is not None and now - owed >= self.worker.timeouts.head:
            return Http2Error("a frame or a head took too long", Code.ENHANCE_YOUR_CALM)
        moved, self._seen_sent = core.sent - self._seen_sent, core.sent
        if not (core.blocked and core.waiting) or self.congested:
            self._blocked = False
            return None
        if not self._blocked:
            self._blocked = True
            rate.restart(now)
        rate.add(moved, now)
        problem = rate.too_slow(now)
        if problem is None:
            return None
        return Http2Error(f"takes the responses too slowly: {problem}", Code.ENHANCE_YOUR_CALM)

    # -- the end -----------------------------------------------------------------

    def drain(self) -> None:
        """Serve what has been asked, and nothing more (RFC 9113 section 6.8)."""
        if self.closing or self._last or self._leaves_at != NEVER:
            return
        if not self.core.streams:
            self._say_goodbye()
            return
        for stream in self.sockets:
            self._drain_socket(stream)
        # Requests may be on their way: those that come before the answer are served.
        self.core.notice()
        self._leaves_at = self.worker.clock.now + self.worker.timeouts.linger
        self.flush_soon()
        self.watch_soon()

    def _say_goodbye(self) -> None:
        self._leaves_at = NEVER
        self._last = True
        self.core.go_away()
        self.flush_soon()

    def _finish(self) -> None:
        """All is served."""
        if not self._last:
            self._last = True
            self.core.go_away()
        self._write_output()
        self.leave_gently()

    def fail(self, error: Http2Error) -> None:
        """The client broke the rules: tell it, and close."""
        self.service.complain(self.client, error.reason, Code(error.status).name.lower())
        for stream in self._streams():
            stream.lost()
        self.core.go_away(error.status, error.reason)
        self._write_output()
        self._flush_due = False
        self.leave_gently()

    # -- private -------------------------------------------------------------

    def _succeed(self, before: Connection) -> None:
        self.transport = before.transport
        self.scheme, self.client, self.server = before.scheme, before.client, before.server
        self.trusted, self.congested, self.tls = before.trusted, before.congested, before.tls
        self._held_back = before._held_back
        self.core.may_write = not before.congested
        worker = self.worker
        worker.connections.discard(before)
        worker.clock.watched.discard(before)
        worker.connections.add(self)
        worker.clock.watched.add(self)
        self._idle_by = worker.clock.now + worker.timeouts.first_byte
        self.deadline = self._idle_by
        self.flush_soon()
        if worker.draining:
            # The others were told before this one began.
            self.drain()


class SecureHttp2(Http2Connection):
    """HTTP/2 over TLS."""

    def __init__(self, worker: Worker, tls: Mapping[str, Any]) -> None:
        super().__init__(worker)
        self.scheme = "https"
        self.tls = tls
