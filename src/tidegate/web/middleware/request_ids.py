"""How is a line in a log traced back to the request it was written for?

One id names a request, from the proxy to the log of the database; one context
variable makes it known to whatever runs on the request's behalf.
"""

from __future__ import annotations

import logging
import os
import re
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass

from ...asgi import Application, Receive, Scope, Send
from ...errors import ConfigError
from .fields import at_start, value_of
from .settings import checked_field

__all__ = ["RequestID", "RequestIDFilter", "request_id", "traceparent"]

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The id of the request being served; ``-`` outside of one."""

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""What to send along to other services (W3C Trace Context); None if not traced."""

# W3C Trace Context section 3.2: later versions may append more.
_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True)
class RequestID:
    """Gives every request an id, and tells the client in the response.

    An id that comes with the request is kept if the whole of it matches
    ``accept``; None never keeps one.  ``trace`` continues the client's trace in
    ``traceparent``, or begins one; then a new id is the id of the trace.  Both
    are also in ``scope["state"]``.  Raises ``ConfigError``.
    """

    header: str = "x-request-id"
    _: KW_ONLY
    # Nothing that could end a line or a field in somebody's log.
    accept: str | None = r"[A-Za-z0-9._:+/=-]{1,128}"
    trace: bool = False

    def __post_init__(self) -> None:
        self._pattern()
        checked_field("RequestID: header", self.header, "")

    def _pattern(self) -> re.Pattern[bytes] | None:
        try:
            return None if self.accept is None else re.compile(self.accept.encode())
        except re.error as error:
            raise ConfigError(f"RequestID: accept {self.accept!r}: {error}") from None

    def __call__(self, app: Application) -> Application:
        """Return ``app`` with this around it."""
        header = self.header.lower().encode()
        pattern = self._pattern()
        trace = self.trace

        async def identified(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in ("http", "websocket"):
                await app(scope, receive, send)
                return
            state = scope.setdefault("state", {})
            traced = None
            if trace:
                trace_id, state["traceparent"] = _continued(value_of(scope, b"traceparent"))
                traced = traceparent.set(state["traceparent"])
            found = None if pattern is None else value_of(scope, header)
            if found is None or pattern is None or pattern.fullmatch(found) is None:
                found = trace_id if trace else os.urandom(16).hex().encode()
            state["request_id"] = text = found.decode("latin-1")
            token = request_id.set(text)
            added = (header, found)
            try:
                await app(scope, receive, at_start(send, lambda headers: [*headers, added]))
            finally:
                request_id.reset(token)
                if traced is not None:
                    traceparent.reset(traced)

        return identified


class RequestIDFilter(logging.Filter):
    """Gives every record ``request_id``, for ``%(request_id)s`` in a format."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id; no record is dropped."""
        record.request_id = request_id.get()
        return True


def _continued(given: bytes | None) -> tuple[bytes, str]:
    """Return the id of the trace, and the traceparent of our part in it."""
    found = None if given is None else _TRACE.fullmatch(given)
    own = os.urandom(8).hex()
    if found is None or not found[1].strip(b"0") or not found[2].strip(b"0"):
        # Section 3.2.2.3: what is not valid is ignored, and a new trace begins.
        trace_id = os.urandom(16).hex()
        return trace_id.encode(), f"00-{trace_id}-{own}-01"
    # The flags we know: whether the client records (section 3.2.2.5).
    return found[1], f"00-{found[1].decode()}-{own}-0{int(found[3], 16) & 1}"
