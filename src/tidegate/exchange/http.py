"""One request and its response as the application sees them, on every protocol.

The rules of RFC 9110 about responses in general live here and nowhere else:
one start, no content where none may be, lengths that hold, an error that
becomes 500 or an abort, and what becomes of the application when the client
leaves.  Framing is the business of each protocol's core.

The head is held back until the first content event, so whatever goes wrong
before that can still be answered properly.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from typing import Any, ClassVar

from ..asgi import Message
from ..errors import AppError
from ..http import CODING, KNOWN_FIELDS, LENGTH, Field, Head, field
from .access import CLIENT_LEFT
from .extended import ANNOUNCED, FILE, LAST, ExtendedExchange
from .fields import EARLY_HINT, TRAILERS
from .out import Address, Out
from .part import PATHSEND, ZEROCOPYSEND
from .scope import apply_policy, basis_of, decode_path
from .sent import SENT
from .service import Service

__all__ = ["DRAIN", "HttpExchange"]

logger = logging.getLogger("tidegate.error")

_FRAMING = CODING | LENGTH

# As a number: for ``b"%" in path`` an exception is made and dropped first.
_PERCENT = ord("%")

# An extension of ours, advertised in the scope: an application that adds the key
# "drain" to the start of its response hears of a shutdown while it can still
# send.  For sockets the key belongs in websocket.accept.
DRAIN = "tidegate.drain"

_ERROR_BODY = b"Internal Server Error"


class HttpExchange(ExtendedExchange):
    """Joins one request, one application call and one ``Out``.

    The protocol below calls ``body_arrived``, ``may_write``, ``peer_left`` and
    ``peer_gone``; the application calls ``receive`` and ``send``.
    """

    __slots__ = (
        *("_buffered", "_delivered", "_drain", "_drains", "_ended", "_left", "_paused", "_pieces"),
        *("_received", "first_at", "names", "scope", "started_at"),
    )  # fmt: skip

    # True where a thread makes the call: then there is neither a scope nor a Task.
    in_thread: ClassVar[bool] = False

    scope: dict[str, Any]

    def __init__(self, out: Out, service: Service, head: Head, body: bytes, ended: bool) -> None:
        self.out = out
        self.service = service
        self.head = head
        self.names = service.naming.name(head.headers, out.trusted) if service.naming else None
        if not self.in_thread:
            self.scope = self._make_scope(head, service)
            if self.names is not None:
                self.names.put(self.scope["state"])
        self.task = self._grace = self._waiters = None
        self.gone = self._told = False
        self.started_at = 0.0 if service.journal is None else time.perf_counter()
        self.first_at = 0.0  # when a stream began
        # Receiving.
        self._pieces = [body] if body else []  # content the application has not taken
        self._buffered = self._received = len(body)
        self._ended = ended  # nothing more will arrive
        self._delivered = False  # the application was told so
        self._paused = False  # we asked the protocol to stop reading
        self._left = False  # the client sends no more, perhaps still listens
        self._drains = False  # the application wants to hear of a shutdown
        self._drain: float | None = None  # seconds that it is yet to hear of
        # Sending.
        self._status = self._roles = self._needs = self._sent = self.size = 0
        self._bodyless = self.head_sent = self.complete = False
        self._fields = []
        self._declared = None

    # -- the application's side ----------------------------------------------

    async def run(self) -> None:
        """Call the application and see to it that its response ends, one way or another."""
        if self.names is not None:
            self.names.enter()
        try:
            await self.service.application(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._give_up(None)
            raise
        except (Exception, SystemExit, BaseExceptionGroup) as error:
            # SystemExit too: a request must not be able to stop the server.
            self._give_up(error)
        else:
            if not self.complete and not self.gone:
                self.ended_early()
        finally:
            if self.task is not None:
                self._finished()

    async def receive(self) -> Message:
        """Return the next event: content as it arrived, then ``http.disconnect`` for ever."""
        while not self.complete:
            if self._pieces or (self._ended and not self._delivered):
                return self._take()
            if self.gone or self._left:
                self._told = True
                break
            if self._drain is not None:
                seconds, self._drain = self._drain, None
                return {"type": "http.drain", "seconds": seconds}
            self.out.want_body()
            await self._wait()
        return {"type": "http.disconnect"}

    def send(self, message: Message) -> Awaitable[None]:
        """Take one event of the response.

        Nothing has been sent of an event that raises: ``AppError`` if it is
        not allowed here, ``ClientDisconnected`` if nobody listens any more.
        """
        event = message if type(message) is dict else dict(message)
        kind = event["type"]
        if kind == "http.response.start":
            self._start(event)
            return SENT
        if kind != "http.response.body":
            return self._extend(kind, event)
        content = event.get("body", b"")
        body = content if type(content) is bytes else _as_bytes(content)
        ended = not event.get("more_body", False)
        if not self._status:
            raise AppError("http.response.body before http.response.start")
        if self.gone:
            return self._nobody_listens()
        if self.complete:
            raise AppError("http.response.body after the response was complete")
        if self._needs:
            ended = self._held_open(kind, len(body), ended)
        self._sent += len(body)
        if self._declared is not None:
            self._check_length(ended)
        if self._bodyless:
            self._send_no_body(len(body), ended)
        elif self.head_sent:
            self.size += len(body)
            self.complete = ended
            self.out.send_body(body, ended)
        else:
            self.head_sent = True
            self.size = len(body)
            self.complete = ended
            length = len(body) if ended else self._declared
            self.out.respond(self._status, self._fields, self._roles, length, body, ended)
            if self.started_at and not ended:
                self.first_at = time.perf_counter()
        if ended:
            if self._waiters or self.service.journal is not None:
                self._complete()
        elif self.out.congested:
            return self._flushed()
        return SENT

    @property
    def fields(self) -> Sequence[Field]:
        """The response fields, once the application has given them."""
        return self._fields

    # -- the protocol's side -------------------------------------------------

    def body_arrived(self, data: bytes, ended: bool) -> None:
        """Content arrived; ``ended`` says that it was the last."""
        self._ended = ended
        if data:
            self._received += len(data)
            limit = self.service.policy.max_body_size
            if limit is not None and self._received > limit:
                self.refuse_content(limit)
                return
            self._pieces.append(data)
            self._buffered += len(data)
            if self._buffered > self.service.policy.max_read_ahead and not ended:
                self._paused = True
                self.out.pause_reading()
        self._wake()

    def expects_more_than(self, limit: int) -> bool:
        """Say whether more than so many bytes of content have come or are announced."""
        return self._received > limit or (self.head.body_length or 0) > limit

    def refuse_content(self, limit: int) -> None:
        """Answer that there is more content than may be."""
        text = f"413 Content Too Large: content larger than the limit of {limit} bytes\n"
        self.answer(413, text.encode())

    def peer_left(self) -> None:
        """The client closed its sending side; perhaps it still waits for the answer."""
        self._left = True
        self._on_loss()

    def peer_gone(self, status: int = CLIENT_LEFT) -> None:
        """The client cannot be reached any more.

        ``status`` is what it was told instead of a response, for the log.
        """
        if not self.gone:
            self.gone = True
            if not self._left:
                self._on_loss()
            self._wake()
            if not self.complete:
                self._log(self._status if self.head_sent else status)

    def answer(self, status: int, text: bytes, more: Sequence[Field] = ()) -> None:
        """Answer in the application's place, or abort what it has begun (ASGI item 50)."""
        if self.head_sent:
            self._abort()
            return
        body = b"" if self.head.method == "HEAD" else text
        self._status = status
        self.head_sent = self.complete = True
        self.size = len(body)
        self._fields = fields = [field(b"content-type", b"text/plain; charset=utf-8"), *more]
        if self.names is not None:
            self.names.add_to(fields)
        self.out.respond(status, fields, 0, len(text), body, True)
        self._wake()
        self._log(status)

    @property
    def is_stream(self) -> bool:
        """Whether it has begun a response that says nothing of where it ends."""
        return self._declared is None and self._is_idle()

    def on_drain(self, seconds: float) -> None:
        """The server shuts down; tell an application that asked to hear of it."""
        if self._drains and not self.complete:
            self._drain = seconds
            self._wake()

    # -- private -------------------------------------------------------------

    def _is_idle(self) -> bool:
        # Only a stream: an application that has not begun to answer may be in
        # the middle of work that should not be torn.
        return self.head_sent and not self.complete and not self._needs & FILE

    def _make_scope(self, head: Head, service: Service) -> dict[str, Any]:
        """Return what the application is told of the request."""
        out = self.out
        tls = out.tls
        raw_path = head.path
        # Only what can be used here (ASGI item 18).
        extensions: dict[str, Any] = {DRAIN: {}}
        if out.sends_files:
            extensions[PATHSEND] = {}
            extensions[ZEROCOPYSEND] = {}
        if head.version != "1.0":
            extensions[EARLY_HINT] = {}
            if head.takes_trailers:
                extensions[TRAILERS] = {}
        if tls is not None:
            extensions["tls"] = dict(tls)
        # Every mutable value is this request's own (ASGI items 3 to 11, 20 to 36).
        basis = out.basis
        scope = basis_of(out) if basis is None else basis.copy()
        scope["asgi"] = {"version": "3.0", "spec_version": service.spec_version}
        if head.version != "1.1":
            scope["http_version"] = head.version
        scope["method"] = head.method
        if head.scheme:
            scope["scheme"] = head.scheme
        path = decode_path(raw_path) if _PERCENT in raw_path else raw_path.decode("ascii")
        scope["path"] = path
        scope["raw_path"] = raw_path
        scope["query_string"] = head.query
        scope["headers"] = head.headers
        scope["state"] = service.state.copy()
        scope["extensions"] = extensions
        if head.forwarded or service.policy.root_path:
            apply_policy(scope, service.policy, head, out)
        return scope

    def _start(self, message: dict[str, Any]) -> None:
        if self._status:
            raise AppError("http.response.start was sent before")
        if self.gone and self.service.policy.on_disconnect != "ignore":
            self._nobody_listens()
        status = message.get("status")
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise AppError(f"the status must be an int from 200 to 999, not {status!r}")
        fields = []
        known = KNOWN_FIELDS
        roles = 0
        self._declared = declared = None
        try:
            # Any iterable will do, but only once: it may be a generator.
            for name, value in message.get("headers", ()):
                checked = known.get((name, value)) or field(name, value)
                role = checked.role
                if role:
                    if role == LENGTH and declared is None and status != 204:
                        self._declared = declared = checked.length
                    elif role & _FRAMING:
                        # Framing is ours; this one is redundant, or wrong.
                        self._check_framing(checked)
                        continue
                    roles |= role
                fields.append(checked)
        except (TypeError, ValueError) as error:
            raise AppError(f"headers must be pairs of bytes: {error}") from error
        if self.names is not None:
            self.names.add_to(fields)
        self._fields = fields
        self._roles = roles
        self._needs = ANNOUNCED if message.get("trailers", False) else 0
        self._drains = bool(message.get("drain", False))
        # RFC 9110 section 6.4.1.
        self._bodyless = self.head.method == "HEAD" or status == 204 or status == 304
        self._status = status

    def _check_framing(self, given: Field) -> None:
        if given.role == LENGTH and self._declared not in (None, given.length):
            raise AppError("content-length given twice, with two values")

    def _take(self) -> Message:
        """Return what has arrived as one event."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._buffered = 0
        self._delivered = self._ended
        if self._paused:
            self._paused = False
            self.out.resume_reading()
        return {"type": "http.request", "body": body, "more_body": not self._ended}

    def _log(self, status: int) -> None:
        journal = self.service.journal
        if journal is not None:
            journal.write(self, self._client(), status)

    def _client(self) -> Address | None:
        client: Address | None = self.scope["client"]
        return client

    def _give_up(self, error: BaseException | None) -> None:
        """The application failed or was cancelled."""
        if error is not None:
            self.log_failure(error, f"{self.head.method} {self.head.path.decode('ascii')}")
        if not self.complete and not self.gone:
            self.answer(500, _ERROR_BODY)

    def ended_early(self) -> None:
        """The application returned and owes a response, or the end of one."""
        if self._needs & LAST:
            return
        what = "ending" if self.head_sent else "sending"
        where = f"{self.head.method} {self.head.path.decode('ascii')}"
        logger.error("The application returned without %s a response, %s", what, where)
        self.answer(500, _ERROR_BODY)

    def _abort(self) -> None:
        # The log is written by peer_gone(), which the loss of the connection brings.
        self.out.abort()


def _as_bytes(body: object) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise AppError(f"body must be bytes, not {type(body).__name__}")
