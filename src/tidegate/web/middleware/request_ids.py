"""How is a line in a log traced back to the request it was written for?

One id names a request, from the proxy to the log of the database; one context
variable makes it known to whatever runs on the request's behalf.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass

from ...asgi import Application, Receive, Scope, Send
from ...errors import ConfigError
from ...trace import (
    SANE_ID,
    RequestIDFilter,
    continued,
    new_id,
    request_id,
    trace_of,
    traceparent,
)
from .fields import at_start, value_of
from .settings import checked_field

__all__ = ["RequestID", "RequestIDFilter", "request_id", "traceparent"]


@dataclass(frozen=True)
class RequestID:
    """Gives every request an id, and tells the client in the response.

    An id that comes with the request is kept if the whole of it matches
    ``accept``; None never keeps one.  ``trace`` continues the client's trace in
    ``traceparent``, or begins one; then a new id is the id of the trace.  Both
    are also in ``scope["state"]``.  What the server named already keeps its
    names.  Raises ``ConfigError``.
    """

    header: str = "x-request-id"
    _: KW_ONLY
    accept: str | None = SANE_ID
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
            if trace and not _is_known(state.get("traceparent"), traceparent):
                state["traceparent"] = continued(value_of(scope, b"traceparent"))
                traced = traceparent.set(state["traceparent"])
            if not _is_known(state.get("request_id"), request_id):
                found = None if pattern is None else value_of(scope, header)
                if found is None or pattern is None or pattern.fullmatch(found) is None:
                    text = trace_of(state["traceparent"]) if trace else new_id()
                else:
                    text = found.decode("latin-1")
                state["request_id"] = text
            token = request_id.set(state["request_id"])
            added = (header, state["request_id"].encode("latin-1"))
            try:
                await app(scope, receive, at_start(send, lambda headers: [*headers, added]))
            finally:
                request_id.reset(token)
                if traced is not None:
                    traceparent.reset(traced)

        return identified


def _is_known(name: object, variable: ContextVar[str] | ContextVar[str | None]) -> bool:
    """Say whether whoever called us has named the request already."""
    return name is not None and name == variable.get()
