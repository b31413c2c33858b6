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
from ..http import CODING, KNOWN_FIELDS, LENGTH, NO_BODY, Field, Head, field
from .access import CLIENT_LEFT
from .exchange import Exchange
from .out import Address, Out
from .scope import apply_policy, decode_path
from .sent import SENT
from .service import Service

__all__ = ["HttpExchange"]

logger = logging.getLogger("tidegate.error")

_FRAMING = CODING | LENGTH

_ERROR_BODY = b"Internal Server Error"


class HttpExchange(Exchange):
    """Joins one request, one application call and one ``Out``.

    The protocol below calls ``body_arrived``, ``may_write``, ``peer_left`` and
    ``peer_gone``; the application calls ``receive`` and ``send``.
    """

    __slots__ = (
        *("_bodyless", "_buffered", "_declared", "_delivered", "_ended", "_fields", "_left"),
        *("_paused", "_pieces", "_roles", "_sent", "_status", "complete"),
        *("head", "head_sent", "scope", "size", "started_at"),
    )  # fmt: skip

    # True where a thread makes the call: then there is neither a scope nor a Task.
    in_thread: ClassVar[bool] = False

    scope: dict[str, Any]

    def __init__(self, out: Out, service: Service, head: Head, body: bytes, ended: bool) -> None:
        self.out = out
        self.service = service
        self.head = head
        if not self.in_thread:
            raw_path = head.path
            # Every mutable value is this request's own (ASGI items 3 to 11, 20 to 36).
            self.scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": service.spec_version},
                "http_version": head.version,
                "method": head.method,
                "scheme": head.scheme or out.scheme,
                "path": decode_path(raw_path) if b"%" in raw_path else raw_path.decode("ascii"),
                "raw_path": raw_path,
                "query_string": head.query,
                "root_path": "",
                "headers": head.headers,
                "client": out.client,
                "server": out.server,
                "state": service.state.copy(),
                "extensions": {},
            }
            if out.tls is not None:
                self.scope["extensions"]["tls"] = dict(out.tls)
            policy = service.policy
            if policy.root_path or (head.forwarded and out.trusted):
                apply_policy(self.scope, policy, head, out)
        self.task: asyncio.Task[None] | None = None  # None until started
        self.started_at = 0.0 if service.access_log is None else time.perf_counter()
        # Receiving.
        self._pieces = [body] if body else []  # content the application has not taken
        self._buffered = len(body)
        self._ended = ended  # nothing more will arrive
        self._delivered = False  # the application was told so
        self._paused = False  # we asked the protocol to stop reading
        self._left = False  # the client sends no more, perhaps still listens
        self._grace = None
        self._told = False  # the application knows that the client has gone
        self._waiters: list[asyncio.Future[None]] | None = None  # None while nobody waits
        self.gone = False  # the client cannot be reached
        # Sending.
        self._status = 0  # 0 until http.response.start
        self._fields: list[Field] = []
        self._roles = 0
        self._bodyless = False  # the response cannot have content
        self._declared: int | None = None  # content-length of the application
        self._sent = 0  # content accepted from the application
        self.head_sent = False
        self.complete = False  # the response is over
        self.size = 0  # content handed to the protocol

    # -- the application's side ----------------------------------------------

    async def run(self) -> None:
        """Call the application and see to it that its response ends, one way or another."""
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
                self._ended_early()
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
            self.out.want_body()
            await self._wait()
        return {"type": "http.disconnect"}

    def send(self, message: Message) -> Awaitable[None]:
        """Take one event of the response.

        Nothing has been sent of an event that raises: ``AppError`` if it is
        not allowed here, ``ClientDisconnected`` if nobody listens any more.
        """
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
            return SENT
        if kind != "http.response.body":
            raise AppError(f"unknown or unsupported message type {kind!r}")
        body = message.get("body", b"")
        if type(body) is not bytes:
            body = _as_bytes(body)
        ended = not message.get("more_body", False)
        if not self._status:
            raise AppError("http.response.body before http.response.start")
        if self.gone:
            return self._nobody_listens()
        if self.complete:
            raise AppError("http.response.body after the response was complete")
        self._sent += len(body)
        if self._declared is not None:
            self._check_length(ended)
        if self._bodyless:
            self._send_no_body(body, ended)
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
        if ended:
            if self._waiters:
                self._wake()
            if self.service.access_log is not None:
                self._log(self._status)
        elif self.out.congested:
            return self._flushed()
        return SENT

    # -- the protocol's side -------------------------------------------------

    def body_arrived(self, data: bytes, ended: bool) -> None:
        """Content arrived; ``ended`` says that it was the last."""
        self._ended = ended
        if data:
            self._pieces.append(data)
            self._buffered += len(data)
            if self._buffered > self.service.policy.max_read_ahead and not ended:
                self._paused = True
                self.out.pause_reading()
        self._wake()

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
        fields = [field(b"content-type", b"text/plain; charset=utf-8"), *more]
        self.out.respond(status, fields, 0, len(text), body, True)
        self._wake()
        self._log(status)

    # -- private -------------------------------------------------------------

    def _is_idle(self) -> bool:
        # Only a stream: an application that has not begun to answer may be in
        # the middle of work that should not be torn.
        return self.head_sent and not self.complete

    def _start(self, message: Message) -> None:
        if self._status:
            raise AppError("http.response.start was sent before")
        if self.gone and self.service.policy.on_disconnect != "ignore":
            self._nobody_listens()
        status = message.get("status")
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise AppError(f"the status must be an int from 200 to 999, not {status!r}")
        fields = []
        roles = 0
        self._declared = declared = None
        try:
            # Any iterable will do, but only once: it may be a generator.
            for name, value in message.get("headers", ()):
                checked = KNOWN_FIELDS.get((name, value)) or field(name, value)
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
        self._fields = fields
        self._roles = roles
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

    def _check_length(self, ended: bool) -> None:
        """Hold the application to its content-length (ASGI item 48)."""
        declared = self._declared
        if declared is None or self._bodyless:
            return
        if self._sent > declared:
            problem = f"more than the {declared} bytes that content-length announced"
        elif ended and self._sent < declared:
            problem = f"{self._sent} bytes where content-length announced {declared}"
        else:
            return
        if self.head_sent:
            # The client waits for the rest or would misread it: only the end
            # of the connection can tell it that something is wrong.
            self._abort()
        else:
            self._status = self._sent = 0
        raise AppError(f"the response has {problem}")

    def _send_no_body(self, body: bytes, ended: bool) -> None:
        """Send a response that has no content, whatever the application gave."""
        self.complete = ended
        if self.head_sent:
            self.out.send_body(b"", ended)
            return
        length = NO_BODY
        if self.head.method == "HEAD" and ended and body and self._declared is None:
            length = len(body)
        self.head_sent = True
        self.out.respond(self._status, self._fields, self._roles, length, b"", ended)

    def _log(self, status: int) -> None:
        access_log = self.service.access_log
        if access_log is not None:
            seconds = time.perf_counter() - self.started_at
            request = (self.head.method, self.head.target, self.head.version)
            access_log.write(self._client(), request, status, seconds, self.size)

    def _client(self) -> Address | None:
        client: Address | None = self.scope["client"]
        return client

    def _give_up(self, error: BaseException | None) -> None:
        """The application failed or was cancelled."""
        if error is not None:
            self._log_failure(error, f"{self.head.method} {self.head.path.decode('ascii')}")
        if not self.complete and not self.gone:
            self.answer(500, _ERROR_BODY)

    def _ended_early(self) -> None:
        """The application returned and owes a response, or the end of one."""
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
