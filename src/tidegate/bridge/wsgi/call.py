"""One call of a WSGI application: the rules of PEP 3333, whatever carries it.

All of it happens in one thread, from the call to ``close()``.  What the
application produces goes into a ``Reply``; rules of HTTP that do not depend on
WSGI are left to who takes it from there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeAlias

from ...errors import AppError
from ...http import CODING, CONNECTION, field, phrase
from .environ import Environ, FileWrapper
from .reply import Reply, Start

__all__ = ["Application", "Call", "ExcInfo"]

logger = logging.getLogger("tidegate.error")

Application: TypeAlias = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
"""A WSGI application: ``application(environ, start_response)``."""

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

# Fields that are about the connection, which is not the application's (PEP 3333,
# "Other HTTP Features"); beside those that have a role of their own.
_HOP_BY_HOP = frozenset(
    (
        *(b"keep-alive", b"te", b"trailer", b"trailers", b"upgrade"),
        *(b"proxy-connection", b"proxy-authenticate", b"proxy-authorization"),
    )
)  # fmt: skip

# Applications send the same few again and again; long values rarely repeat.
_MAX_KNOWN = 1024
_MAX_KNOWN_VALUE = 128

_known_headers: dict[tuple[str, str], tuple[bytes, bytes]] = {}
_known_statuses: dict[str, tuple[int, bytes | None]] = {}
_complained: set[bytes] = set()


class Call:
    """Calls an application once.  ``serve`` is the only public method."""

    __slots__ = ("_head_only", "_remaining", "_reply", "_sent", "_start", "_started")

    def __init__(self, reply: Reply, head_only: bool) -> None:
        self._reply = reply
        self._head_only = head_only  # the answer to HEAD: nobody wants content
        self._started = False  # start_response was called, perhaps in vain
        self._start: Start | None = None  # None until it was called with success
        self._sent = False  # the head has been handed over
        self._remaining: int | None = None  # of the announced length; None if there is none

    def serve(self, application: Application, environ: Environ) -> None:
        """Call the application and hand over all it produces; raises nothing."""
        iterable: Any = None  # whatever it returns: nobody checked
        failure: BaseException | None = None
        start = None
        data = b""
        try:
            iterable = application(environ, self._start_response)
            if type(iterable) is list and len(iterable) == 1 and not self._sent:
                # Has no close(), so that the end of the call goes along.
                data = self._only(iterable[0])
                start = self._start
            else:
                self._iterate(iterable)
        except BaseException as error:
            # SystemExit too: a request must not be able to stop the server.
            failure = error
        failure = _close(iterable, failure)
        try:
            self._reply.finish(failure, start, data)
        finally:
            # Its traceback holds this frame, which must not hold it.
            del failure

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """PEP 3333, "The start_response() Callable"; checked here, so that the
        application can still do something about it."""
        try:
            if exc_info:
                if self._sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            elif self._started:
                raise AssertionError("start_response was called before; that needs exc_info")
            self._started = True
            self._start = None
            known = _known_statuses.get(status)
            code, reason = known or _read_status(status)
            checked, self._remaining = _read_headers(headers)
            self._start = (code, reason, checked)
        finally:
            exc_info = None
        return self._write

    def _write(self, data: bytes) -> None:
        """PEP 3333, "The write() Callable": the head goes out even with nothing."""
        if type(data) is not bytes:
            raise AppError(f"write() takes bytes, not {type(data).__name__}")
        self._put(data, False)

    def _iterate(self, iterable: Any) -> None:
        """Hand over each chunk before the next is asked for."""
        if isinstance(iterable, str | bytes | bytearray):
            kind = type(iterable).__name__
            raise AppError(f"the application returned {kind}; it must be [content]")
        if type(iterable) is FileWrapper and self._send_file(iterable):
            return
        last = _length(iterable) == 1
        for chunk in iterable:
            if type(chunk) is not bytes:
                raise AppError(f"the application yielded {type(chunk).__name__}, not bytes")
            # The head waits for content: until then it can be replaced.
            if chunk and self._put(chunk, last):
                return
        self._put(b"", True)

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Hand over a file as such, where that can be done (PEP 3333, file_wrapper)."""
        if self._start is None or self._head_only or not self._reply.takes_files:
            return False
        part = wrapper.part(self._remaining)
        if part is None:
            return False
        if self._remaining is not None:
            self._remaining -= part.size
        self._reply.put_file(None if self._sent else self._start, part)
        self._sent = True
        return True

    def _only(self, chunk: bytes) -> bytes:
        """Return what may be sent of the only chunk there is."""
        if type(chunk) is not bytes:
            raise AppError(f"the application returned a list of {type(chunk).__name__}, not bytes")
        if self._start is None:
            raise AppError("start_response was not called")
        return self._cut(chunk)

    def _put(self, data: bytes, ended: bool) -> bool:
        """Hand over content; True if there is no use for more."""
        start = self._start
        if start is None:
            raise AppError("start_response was not called before the first content")
        data = self._cut(data)
        if self._remaining == 0 and data:
            ended = True
        if self._head_only and data and not ended:
            # Only that there is content is known, not how much.
            data = b""
            ended = True
        self._reply.put(None if self._sent else start, data, ended)
        self._sent = True
        return ended

    def _cut(self, data: bytes) -> bytes:
        """Return what the announced length leaves room for."""
        remaining = self._remaining
        if remaining is None:
            return data
        if len(data) > remaining:
            if not self._head_only:
                logger.warning("Content past the Content-Length of a response was dropped")
            data = data[:remaining]
        self._remaining = remaining - len(data)
        return data


def _close(iterable: Any, failure: BaseException | None) -> BaseException | None:
    """Call ``close()``, whatever happened before; return what went wrong first."""
    try:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()
    except BaseException as error:
        if failure is None:
            return error
        logger.error("Exception in close() of a response", exc_info=error)
    return failure


def _length(iterable: Any) -> int | None:
    """Return how many chunks there are, if the iterable knows."""
    try:
        return len(iterable)
    except TypeError:
        return None


def _read_status(status: str) -> tuple[int, bytes | None]:
    """Return the code, and the reason if it is not the usual one."""
    if not isinstance(status, str):
        raise AppError(f"the status must be a str such as '200 OK', not {status!r}")
    code, _, reason = status.partition(" ")
    if not (code.isascii() and code.isdigit() and len(code) == 3 and code >= "200"):
        raise AppError(f"the status must be like '200 OK', from 200 to 999, not {status!r}")
    try:
        encoded = field(b"reason", reason.strip().encode("latin-1")).value
    except (AppError, UnicodeEncodeError):
        raise AppError(f"the status holds what cannot be sent: {status!r}") from None
    usual = not encoded or reason == phrase(int(code))
    read = int(code), None if usual else encoded
    if len(_known_statuses) >= _MAX_KNOWN:
        _known_statuses.clear()
    _known_statuses[status] = read
    return read


def _read_headers(
    headers: list[tuple[str, str]],
) -> tuple[list[tuple[bytes, bytes]], int | None]:
    """Return the headers as bytes, and the length they announce."""
    if not isinstance(headers, list):
        raise AppError(f"the headers must be a list, not {type(headers).__name__}")
    known_headers = _known_headers
    checked = []
    length = None
    for pair in headers:
        try:
            known = known_headers.get(pair) or _read_header(pair)
        except (TypeError, ValueError) as error:
            raise AppError(f"{pair!r} is not a header, a tuple of two str: {error}") from None
        if known is None:
            continue
        checked.append(known)
        if known[0] == b"content-length":
            length = int(known[1])
    return checked, length


def _read_header(pair: tuple[str, str]) -> tuple[bytes, bytes] | None:
    """Check one header; None if it is none of the application's business."""
    name, value = pair
    one = field(name.encode("latin-1"), value.encode("latin-1"))
    lower = one.name.lower()
    if one.role & (CODING | CONNECTION) or lower in _HOP_BY_HOP:
        if lower not in _complained:
            _complained.add(lower)
            logger.warning("Dropped the header %s of a WSGI application: it is the server's", name)
        return None
    known = (lower, one.value)
    if len(value) <= _MAX_KNOWN_VALUE:
        if len(_known_headers) >= _MAX_KNOWN:
            _known_headers.clear()
        _known_headers[pair] = known
    return known
