"""One request of an ASGI application under a WSGI server: two threads, one queue each way.

The application runs on the loop.  The thread of the server waits for what it
wants: content of the request, or that a piece of the response be taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, TypeAlias
from urllib.parse import quote

from ...asgi import Application, Message
from ...errors import AppError, ClientDisconnected
from ...http import CODING, CONNECTION, field, phrase
from ..mailbox import Mailbox
from .environ import Environ

__all__ = ["Visit"]

logger = logging.getLogger("tidegate.error")

_READ_SIZE = 64 * 1024

# Content that may wait for the server's thread before send() waits too.
_HIGH_WATER = 256 * 1024

Wish: TypeAlias = Message | BaseException | None
"""A response event; ``http.request`` to be filled; how the call ended, None if well."""


class Visit:
    """``run`` on the loop, ``respond`` in the thread of the server."""

    def __init__(self, environ: Environ, mailbox: Mailbox, state: dict[str, Any]) -> None:
        self.scope = make_scope(environ)
        self.scope["state"] = state.copy()
        self._input = environ["wsgi.input"]
        self._remaining = _content_length(environ)  # bytes; None: until the end of the file
        self._mailbox = mailbox
        self._wishes: SimpleQueue[Wish] = SimpleQueue()
        self._change = asyncio.Event()  # something arrived, was taken or was lost
        self._content: list[Message] = []  # what the thread has read
        self._asked = False  # it has been asked to
        self._received_all = False  # the application knows the end of its content
        self._unsent = 0  # bytes the thread has not taken
        self._begun = self._complete = False  # the response
        self._gone = False  # nobody takes it any more

    # -- on the loop -----------------------------------------------------------

    async def run(self, application: Application) -> None:
        """Call the application."""
        try:
            await application(self.scope, self._receive, self._send)
        except Exception as error:
            self._end(error)
        except BaseException as error:
            self._end(AppError(f"the application was ended by {error!r}"))
            raise
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if not self._complete:
            problem = AppError("the application returned without a complete response")
            self._wishes.put(error or problem)
        elif error is not None and not isinstance(error, ClientDisconnected):
            logger.error("Exception in the application", exc_info=error)

    async def _receive(self) -> Message:
        while not (self._content or self._gone or self._complete):
            if self._received_all:
                # There is nothing but the end to wait for.
                await self._changed()
                continue
            if not self._asked:
                self._asked = True
                self._wishes.put({"type": "http.request"})
            await self._changed()
        if self._content:
            message = self._content.pop(0)
            self._received_all = not message["more_body"]
            return message
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._gone:
            raise ClientDisconnected("the client has disconnected")
        if kind == "http.response.start" and not self._begun:
            self._begun = True
        elif kind == "http.response.body" and self._begun and not self._complete:
            self._complete = not message.get("more_body", False)
            self._unsent += len(message.get("body", b""))
        else:
            raise AppError(f"message type {kind!r} is unknown or not expected now")
        self._wishes.put(message)
        if self._complete:
            self._change.set()
        while self._unsent > _HIGH_WATER and not (self._gone or self._complete):
            await self._changed()

    async def _changed(self) -> None:
        self._change.clear()
        await self._change.wait()

    def _on_content(self, message: Message) -> None:
        self._asked = False
        self._content.append(message)
        self._change.set()

    def _on_taken(self, size: int) -> None:
        self._unsent -= size
        self._change.set()

    def _on_loss(self) -> None:
        self._gone = True
        self._change.set()

    # -- in the server's thread --------------------------------------------------

    def respond(self, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Wait for the head and the first content; return the content."""
        first = self._next_response()
        status = first["status"]
        headers = [_checked(name, value) for name, value in first.get("headers", ())]
        start_response(
            f"{status} {phrase(status) or 'Unknown'}", [pair for pair in headers if pair]
        )
        message = self._next_response()
        if not message.get("more_body", False):
            # Servers announce the length of an only chunk.
            return [bytes(message.get("body", b""))]
        return _Content(self, message)

    def next_content(self) -> Message:
        """Wait for more content."""
        return self._next_response()

    def leave(self) -> None:
        """The server takes no more."""
        self._mailbox.post(self._on_loss)

    def _next_response(self) -> Message:
        """Do what the application wishes until it sends something; raise how it ended."""
        while True:
            wish = self._wishes.get()
            if isinstance(wish, BaseException):
                raise wish
            if wish is None or wish["type"] != "http.request":
                break
            self._read()
        if wish is None:
            raise AppError("the application returned without a response")
        size = len(wish.get("body", b""))
        if size:
            self._mailbox.post(self._on_taken, size)
        return wish

    def _read(self) -> None:
        """Read content for the application; if that fails, the client is gone."""
        remaining = self._remaining
        size = _READ_SIZE if remaining is None else min(_READ_SIZE, remaining)
        try:
            data = self._input.read(size) if size else b""
        except OSError:
            data = b""
            remaining = 1
        if remaining is not None:
            self._remaining = remaining = remaining - len(data)
        if remaining and not data:
            # A body that was cut off must not look like a short one.
            self._mailbox.post(self._on_loss)
            return
        more = bool(remaining) if remaining is not None else bool(data)
        message = {"type": "http.request", "body": data, "more_body": more}
        self._mailbox.post(self._on_content, message)


class _Content:
    """The content of a response, as the server iterates over it."""

    def __init__(self, visit: Visit, first: Message) -> None:
        self._visit = visit
        self._message: Message | None = first  # None once it was yielded

    def __iter__(self) -> Iterator[bytes]:
        message = self._message
        while message is not None:
            self._message = message
            body = message.get("body", b"")
            if body:
                yield bytes(body)
            more = message.get("more_body", False)
            message = self._visit.next_content() if more else None
        self._message = None

    def close(self) -> None:
        """The end, or the server has given up before it."""
        if self._message is not None:
            self._visit.leave()


def make_scope(environ: Environ) -> dict[str, Any]:
    """Return the scope of a request (ASGI HTTP connection scope)."""
    root_path = _text(environ.get("SCRIPT_NAME", ""))
    path = root_path + _text(environ.get("PATH_INFO", ""))
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    raw_path = target.partition("?")[0] if target.startswith("/") else quote(path)
    client = environ.get("REMOTE_ADDR")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2],
        "method": environ["REQUEST_METHOD"].upper(),
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": path,
        "raw_path": raw_path.encode("latin-1"),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": root_path,
        "headers": list(_headers(environ)),
        "client": (client, int(environ.get("REMOTE_PORT") or 0)) if client else None,
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
        "extensions": {},
    }


def _headers(environ: Environ) -> Iterator[tuple[bytes, bytes]]:
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            name = key[5:]
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            name = key
        else:
            continue
        yield name.replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")


def _content_length(environ: Environ) -> int | None:
    length = environ.get("CONTENT_LENGTH")
    if length:
        return int(length)
    # Otherwise to read to the end could mean to wait for ever.
    return None if environ.get("wsgi.input_terminated") else 0


def _text(native: str) -> str:
    return native.encode("latin-1").decode("utf-8", "replace")


def _checked(name: bytes, value: bytes) -> tuple[str, str] | None:
    """Return a header as WSGI wants it; None if it is the server's business."""
    one = field(name, value)
    if one.role & (CODING | CONNECTION):
        return None
    return name.decode("latin-1"), value.decode("latin-1")
