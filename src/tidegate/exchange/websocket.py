"""One WebSocket as the application sees it, whatever carries it (ASGI items 59 to 82, 95).

Until it is accepted a socket is an HTTP request: its scope is made from one,
and a refusal is one's response.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Any

from ..asgi import Message
from ..errors import AppError
from ..http import CODING, CONNECTION, LENGTH, Field, Head, field
from .access import CLIENT_LEFT
from .disconnect import only_disconnected
from .exchange import Exchange
from .http import HttpExchange
from .out import NOWHERE, WebSocketOut
from .sent import SENT
from .service import Service

__all__ = ["WebSocketExchange"]

logger = logging.getLogger("tidegate.error")

_CONNECTING, _DENYING, _OPEN, _CLOSED = range(4)

# The handshake is ours; what an application may add is everything else.
_OURS = frozenset(
    (b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol", b"upgrade")
)


class WebSocketExchange(Exchange):
    """Joins one socket, one application call and one ``WebSocketOut``.

    The protocol below calls ``message_arrived``, ``peer_closed``,
    ``may_write``, ``drain`` and ``peer_gone``.
    """

    __slots__ = (
        *("_close", "_connected", "_denial", "_drains", "_inbox", "_paused", "_size", "_socket"),
        *("_state", "_subprotocols", "names", "ping_interval", "scope", "started_at", "target"),
    )

    def __init__(
        self, out: WebSocketOut, service: Service, head: Head, subprotocols: list[str]
    ) -> None:
        self.out = out
        self._socket = out
        self.service = service
        self.task = None
        self.gone = False
        self._grace = None
        self._told = False
        self._waiters = None
        # Until it is accepted; an idle socket is to be cheap.
        self._denial: HttpExchange | None = HttpExchange(out, service, head, b"", True)
        self.target = head.target
        self.names = self._denial.names
        self.scope = _websocket_scope(self._denial.scope, subprotocols)
        self.started_at = time.perf_counter()
        self._state = _CONNECTING
        self._connected = False  # the application was told of the handshake
        self._subprotocols = subprotocols  # the client offers; empty once it is accepted
        self._drains = False  # the application wants to hear of a shutdown
        self.ping_interval: float | None = None  # seconds; None if the application did not say
        # Short, and nearly always empty: an empty deque would take 700 bytes more.
        self._inbox: list[Message] = []
        self._size = 0  # of the messages in the inbox
        self._paused = False  # we asked the protocol to stop reading
        # Code and reason for websocket.disconnect; None while the socket lives.
        self._close: tuple[int, str] | None = None

    # -- the application's side ----------------------------------------------

    async def run(self) -> None:
        """Call the application and see to it that its socket ends with it."""
        if self.names is not None:
            self.names.enter()
        try:
            await self.service.application(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._end(1012, failed=True)
            raise
        except (Exception, SystemExit, BaseExceptionGroup) as error:
            if self._state != _CLOSED or not only_disconnected(error):
                self.log_failure(error, f"WebSocket {self.scope['path']}")
            self._end(1011, failed=True)
        else:
            self._end(1000, failed=False)
        finally:
            if self.task is not None:
                self._finished()
            if self.complete:
                self.detach()

    async def receive(self) -> Message:
        """Return the next event; after the last message ``websocket.disconnect`` for ever."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        while not self._inbox:
            if self._close is not None:
                self._told = True
                code, reason = self._close
                return {"type": "websocket.disconnect", "code": code, "reason": reason}
            await self._wait()
        message = self._inbox.pop(0)
        content = message.get("bytes") or message.get("text") or b""
        self._size -= len(content)
        policy = self.service.policy
        if (
            self._paused
            and self._size <= policy.max_read_ahead // 2
            and len(self._inbox) <= policy.max_queue // 2
        ):
            self._paused = False
            self.out.resume_reading()
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Take one event.

        Nothing has been sent of an event that raises: ``AppError`` if it is
        not allowed here, ``ClientDisconnected`` if the socket is closed.
        """
        event = message if type(message) is dict else dict(message)
        kind = event["type"]
        if kind == "websocket.send":
            return self._send(event)
        if kind == "websocket.accept":
            return self._accept(event)
        if kind == "websocket.close":
            return self._close_by_application(event)
        if kind in ("websocket.http.response.start", "websocket.http.response.body"):
            return self._deny(kind, event)
        raise AppError(f"unknown or unsupported message type {kind!r}")

    # -- the protocol's side -------------------------------------------------

    def may_write(self) -> None:
        """The peer takes data again: of the socket, or of the response that denies it."""
        if self._denial is not None:
            self._denial.may_write()
        self._wake()

    def message_arrived(self, message: str | bytes) -> None:
        """A message arrived."""
        key = "text" if isinstance(message, str) else "bytes"
        self._inbox.append({"type": "websocket.receive", key: message})
        self._size += len(message)
        policy = self.service.policy
        if not self._paused and (
            self._size > policy.max_read_ahead or len(self._inbox) >= policy.max_queue
        ):
            self._paused = True
            self.out.pause_reading()
        self._wake()

    def peer_closed(self, code: int, reason: str) -> None:
        """The socket is closed; nothing can be sent any more."""
        if self._close is None:
            self._close = (code, reason)
        if not self.gone:
            self.gone = True
            if self._state == _OPEN:
                self._log("closed", self._close[0])
            self._state = _CLOSED
            self._on_loss()

    @property
    def complete(self) -> bool:
        """Whether the handshake was answered with a response, and that is over."""
        return self._denial is not None and self._denial.complete

    @property
    def head_sent(self) -> bool:
        """Whether the handshake was answered with a response, at least in part."""
        return self._denial is not None and self._denial.head_sent

    def peer_left(self) -> None:
        """A client that closes its half has no use for a socket, nor for a denial."""
        self.peer_gone()
        self.out.abort()

    def peer_gone(self, status: int = CLIENT_LEFT) -> None:
        """The client cannot be reached any more, and did not say good-bye."""
        if self._denial is not None and self._state in (_CONNECTING, _DENYING):
            self._denial.peer_gone(status)
        self.peer_closed(1006, "")

    def detach(self) -> None:
        """Let go of the protocol below, which refers to us."""
        self.out = self._socket = NOWHERE
        if self._denial is not None:
            self._denial.out = NOWHERE

    def drain(self, seconds: float) -> bool:
        """The server shuts down; True if the application wants ``seconds`` for its last words."""
        if self._state == _OPEN and self._drains:
            self._inbox.append({"type": "websocket.drain", "seconds": seconds})
            self._wake()
            return True
        return False

    # -- private -------------------------------------------------------------

    def _accept(self, message: Message) -> Awaitable[None]:
        if self._denial is not None and self._denial.gone:
            return self._nobody_listens()
        if self._state != _CONNECTING:
            raise AppError("websocket.accept: the handshake is over")
        subprotocol = message.get("subprotocol")
        if subprotocol is not None and subprotocol not in self._subprotocols:
            # RFC 6455 section 4.2.2: the client would have to fail the connection.
            raise AppError(f"subprotocol {subprotocol!r} is not among the client's")
        fields = _accept_fields(message.get("headers") or ())
        if self.names is not None:
            self.names.add_to(fields)
        interval = message.get("ping_interval")
        if interval is not None and not (isinstance(interval, int | float) and interval > 0):
            raise AppError(f"ping_interval must be seconds, not {interval!r}")
        self.ping_interval = interval
        self._state = _OPEN
        self._denial = None
        self._subprotocols = []
        self._drains = bool(message.get("drain"))
        self._socket.accept(subprotocol, fields)
        self._log("accepted", None)
        return SENT

    def _send(self, message: dict[str, Any]) -> Awaitable[None]:
        text, data = message.get("text"), message.get("bytes")
        if (text is None) == (data is None):
            raise AppError("websocket.send needs either text or bytes")
        content: str | bytes
        if text is not None:
            if not isinstance(text, str):
                raise AppError(f"text must be str, not {type(text).__name__}")
            content = text
        elif isinstance(data, bytes | bytearray | memoryview):
            content = data if type(data) is bytes else bytes(data)
        else:
            raise AppError(f"bytes must be bytes, not {type(data).__name__}")
        if self._state == _OPEN:
            try:
                self._socket.send_message(content)
            except UnicodeEncodeError as error:
                raise AppError(f"text cannot be sent as UTF-8: {error}") from None
            return self._flushed() if self.out.congested else SENT
        if self._state == _CONNECTING:
            raise AppError("websocket.send before websocket.accept")
        if self._state == _DENYING:
            raise AppError("websocket.send after the handshake was denied")
        return self._nobody_listens()

    def _close_by_application(self, message: Message) -> Awaitable[None]:
        code = message.get("code", 1000)
        code = 1000 if code is None else code
        reason = message.get("reason") or ""
        if not isinstance(code, int) or not 1000 <= code <= 4999 or code in (1005, 1006, 1015):
            raise AppError(f"{code!r} is not a close code one can send")
        if not _is_reason(reason):
            raise AppError("reason must be str of at most 123 bytes in UTF-8")
        if self._denial is not None and self._state == _CONNECTING:
            # ASGI: refused before it was accepted, so HTTP says no.
            self._refuse(self._denial, 403, b"Forbidden")
        elif self._state == _OPEN:
            self._close_now(code, reason)
        elif self._state == _DENYING:
            raise AppError("websocket.close after the handshake was denied")
        else:
            return self._nobody_listens()
        return SENT

    def _close_now(self, code: int, reason: str) -> None:
        self._close_without(code)
        self._close = (code, reason)
        self._log("closed", code)
        self._socket.close(code, reason)

    def _deny(self, kind: str, message: Message) -> Awaitable[None]:
        """Answer the handshake with a response of the application's (item 95)."""
        denial = self._denial
        if denial is not None and denial.gone:
            return self._nobody_listens()
        if denial is None or self._state not in (_CONNECTING, _DENYING):
            raise AppError(f"{kind}: the handshake is over")
        done = denial.send({**message, "type": kind.removeprefix("websocket.")})
        self._state = _DENYING
        if denial.complete:
            self._close_without(1006)
        return done

    def _refuse(self, denial: HttpExchange, status: int, text: bytes) -> None:
        """Answer the handshake in the application's place."""
        self._close_without(1006)
        denial.answer(status, text)

    def _close_without(self, code: int) -> None:
        """Take the socket for closed, without a word to the peer."""
        self._state = _CLOSED
        self._close = (code, "")
        # It was the application's doing: no need to cancel it for not noticing.
        self._told = True
        self._wake()

    def _end(self, code: int, failed: bool) -> None:
        """The application returned or failed (items 65 and 66)."""
        if self._state == _OPEN:
            self._close_now(code, "")
        elif self._denial is not None and self._state in (_CONNECTING, _DENYING):
            if not failed:
                path = self.scope["path"]
                logger.error("The application returned without accepting WebSocket %s", path)
            self._refuse(self._denial, 500, b"Internal Server Error")

    def _log(self, what: str, code: int | None) -> None:
        journal = self.service.journal
        if journal is not None:
            journal.write_socket(self, what, code)


def _websocket_scope(scope: dict[str, Any], subprotocols: list[str]) -> dict[str, Any]:
    """Turn the scope of the request into that of the socket (item 59)."""
    scope["type"] = "websocket"
    scope["scheme"] = {"http": "ws", "https": "wss"}[scope["scheme"]]
    scope["subprotocols"] = list(subprotocols)
    # On top of what the request has, save for what is about responses.
    # The extension tidegate.drain is there already.  It also says that the extra key
    # "ping_interval" of websocket.accept is heeded: the seconds between two pings.
    offered = scope["extensions"].items()
    scope["extensions"] = {name: each for name, each in offered if name[:5] != "http."}
    scope["extensions"]["websocket.http.response"] = {}
    del scope["method"]
    return scope


def _is_reason(reason: object) -> bool:
    try:
        return isinstance(reason, str) and len(reason.encode()) <= 123
    except UnicodeEncodeError:
        return False


def _accept_fields(headers: Any) -> list[Field]:
    """Check the headers that the application adds to the handshake."""
    fields = []
    try:
        for name, value in headers:
            checked = field(name, value)
            if checked.role & (LENGTH | CODING | CONNECTION) or name.lower() in _OURS:
                raise AppError(f"header {name!r} is the server's in a handshake")
            fields.append(checked)
    except (TypeError, ValueError) as error:
        raise AppError(f"headers must be pairs of bytes: {error}") from error
    return fields
