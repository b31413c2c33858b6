"""Response events beyond start and body: files, early hints, trailers (ASGI items 97 to 100).

``HttpExchange`` inherits them; it offers in the scope what can be had.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable
from typing import Final

from ..asgi import Message
from ..errors import AppError
from ..http import NO_BODY, Field, Head
from .exchange import Exchange
from .fields import EARLY_HINT, TRAILERS, link_fields, trailer_fields
from .part import PATHSEND, ZEROCOPYSEND, Part
from .sent import SENT

__all__ = ["ANNOUNCED", "FILE", "LAST", "ExtendedExchange"]

# Below this a file is read and goes out with the head: that is one write.
_SMALL_FILE: Final = 64 * 1024

# What a response needs besides content events; usually nothing.
ANNOUNCED: Final = 1
"""Fields after the content."""
_OWED: Final = 2  # the content is over, and they are still to come
FILE: Final = 4
"""The end of a file that is on its way."""
LAST: Final = 8
"""Nothing after that."""


class ExtendedExchange(Exchange):
    """The part of an HTTP exchange that few responses need."""

    __slots__ = (
        *("_bodyless", "_declared", "_fields", "_needs", "_roles", "_sent", "_status"),
        *("_trailers", "complete", "head", "head_sent", "size"),
    )  # fmt: skip

    head: Head
    _status: int  # 0 until http.response.start
    _fields: list[Field]
    _roles: int
    _bodyless: bool  # the response cannot have content
    _declared: int | None  # content-length of the application
    _sent: int  # content accepted from the application
    _needs: int  # what is announced or on its way besides content events
    _trailers: list[Field]  # not before the content is over
    head_sent: bool
    complete: bool  # the response is over
    size: int  # content handed to the protocol

    @abstractmethod
    def send(self, message: Message) -> Awaitable[None]:
        """Take one event of the response."""

    def file_sent(self) -> None:
        """The protocol has sent the file it was given, and takes more."""
        last = self._needs & LAST
        self._needs &= ~(FILE | LAST)
        if last:
            self._complete()
        else:
            self._wake()

    async def _flushed(self) -> None:
        """Wait until the peer takes more; if the response is complete, that is not ours."""
        while not (self.complete or self.gone) and (self._needs & FILE or self.out.congested):
            await self._wait()
        if self.gone and not self.complete:
            await self._nobody_listens()

    def _log(self, status: int) -> None:
        """Write the access log."""

    def _extend(self, kind: str, message: Message) -> Awaitable[None]:
        """Take an event of an extension."""
        if kind == EARLY_HINT:
            return self._hint(message)
        if kind == TRAILERS:
            return self._trail(message)
        if kind in (PATHSEND, ZEROCOPYSEND) and self.out.sends_files:
            return self._send_file(kind, message)
        raise AppError(f"unknown or unsupported message type {kind!r}")

    def _hint(self, message: Message) -> Awaitable[None]:
        """Send 103 (Early Hints); too late it is no hint, and dropped."""
        fields = link_fields(message)
        if self.complete:
            raise AppError(f"{EARLY_HINT} after the response was complete")
        if self.gone:
            return self._nobody_listens()
        if fields and not self.head_sent and self.head.version != "1.0":
            self.out.informational(103, fields)
        return self._flushed() if self.out.congested else SENT

    def _check_order(self, kind: str) -> None:
        """Refuse content that comes too early or too late."""
        if self._needs & FILE:
            raise AppError(f"{kind} while a file is on its way: await send()")
        if self._needs & _OWED:
            raise AppError(f"{kind} after the last content: {TRAILERS} is due")

    def _held_open(self, kind: str, size: int, ended: bool) -> bool:
        """Judge content while there is more than content; never the end of the response."""
        self._check_order(kind)
        if ended:
            self._sent += size
            self._check_length(True)
            self._sent -= size
            self._owe()
        return False

    def _owe(self) -> None:
        """The content is over; what was announced is still to come."""
        self._needs = _OWED
        self._trailers = []

    def _trail(self, message: Message) -> Awaitable[None]:
        """Take fields after the content; drop them if the client does not understand them."""
        fields = trailer_fields(message)
        if self.gone:
            return self._nobody_listens()
        if not self._needs & _OWED or self._needs & FILE:
            raise AppError(f"{TRAILERS} before the last content, or not announced")
        self._trailers += fields
        if message.get("more_trailers", False):
            return SENT
        self._needs = 0
        if self.head.takes_trailers and not self._bodyless:
            self.out.trailers(self._trailers)
        else:
            self.out.send_body(b"", True)
        self._complete()
        return SENT

    def _send_file(self, kind: str, message: Message) -> Awaitable[None]:
        """Send a file, or a part of one, as content."""
        if not self._status:
            raise AppError(f"{kind} before http.response.start")
        if self.gone:
            return self._nobody_listens()
        if self.complete:
            raise AppError(f"{kind} after the response was complete")
        self._check_order(kind)
        if kind == PATHSEND and (self.head_sent or self._sent):
            raise AppError(f"{kind} must be all of the content")
        ended = kind == PATHSEND or not message.get("more_body", False)
        return self._send_part(Part.named_by(message), ended)

    def _send_part(self, part: Part, ended: bool) -> Awaitable[None]:
        size = part.size
        if size <= _SMALL_FILE and not self._bodyless:
            data = part.read()
            event = {"type": "http.response.body", "body": data, "more_body": not ended}
            return self.send(event)
        self._sent += size
        try:
            self._check_length(ended)
        except AppError:
            part.close()
            raise
        if ended and self._needs:
            ended = False
            self._owe()
        if self._bodyless:
            part.close()
            self._send_no_body(size, ended)
            if ended:
                self._complete()
            return SENT
        if not self.head_sent:
            self.head_sent = True
            length = size if ended else self._declared
            self.out.respond(self._status, self._fields, self._roles, length, b"", False)
        self.size += size
        self._needs |= FILE | LAST if ended else FILE
        self.out.file(part.descriptor, part.offset, size, ended)
        return self._flushed()

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
            self.out.abort()
        else:
            self._status = self._sent = 0
        raise AppError(f"the response has {problem}")

    def _send_no_body(self, size: int, ended: bool) -> None:
        """Send a response that has no content, whatever the application gave."""
        self.complete = ended
        if self.head_sent:
            self.out.send_body(b"", ended)
            return
        length = NO_BODY
        if self.head.method == "HEAD" and ended and size and self._declared is None:
            length = size
        self.head_sent = True
        self.out.respond(self._status, self._fields, self._roles, length, b"", ended)

    def _complete(self) -> None:
        self.complete = True
        self._wake()
        self._log(self._status)
