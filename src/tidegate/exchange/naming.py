"""What is this request called?  Its id, and its place in a trace.

Both are decided once, before the application is called, so that the response,
the application and every line of the log agree.  Whoever asked for neither
pays for neither.
"""

from __future__ import annotations

import re
from typing import Any

from ..http import Field
from ..trace import SANE_ID, continued, new_id, request_id, trace_of, traceparent

__all__ = ["Names", "Naming"]

_SANE = re.compile(SANE_ID.encode())


class Names:
    """The names of one request; None where it was not asked for one."""

    __slots__ = ("_prefix", "_told", "field", "request_id", "traceparent")

    def __init__(self) -> None:
        self.request_id: str | None = None
        self.traceparent: str | None = None
        self.field: Field | None = None  # of the response
        self._told: dict[str, Any] = {}  # whom we told; it may know better by now
        self._prefix = ""

    @property
    def trace_id(self) -> str:
        """The id of the trace, ``-`` without one; also of one that begins behind us."""
        return trace_of(self._told.get(self._prefix + "traceparent"))

    def put(self, state: dict[str, Any], prefix: str = "") -> None:
        """Tell the application: in ``scope["state"]``, or in the ``environ`` of WSGI."""
        self._told, self._prefix = state, prefix
        if self.request_id is not None:
            state[prefix + "request_id"] = self.request_id
        if self.traceparent is not None:
            state[prefix + "traceparent"] = self.traceparent

    def enter(self) -> None:
        """Set the context variables, in the request's own context."""
        if self.request_id is not None:
            request_id.set(self.request_id)
        if self.traceparent is not None:
            traceparent.set(self.traceparent)

    def fields(self) -> dict[str, Any]:
        """Return what a record of a log needs; it may be written outside of that context."""
        return {"request_id": self.request_id or "-", "trace_id": self.trace_id}

    def add_to(self, fields: list[Field]) -> None:
        """Tell the client, unless the application did."""
        own = self.field
        if own is not None and all(one.name.lower() != own.name for one in fields):
            fields.append(own)


class Naming:
    """Names requests: in the header ``header``, if any, and by ``traceparent`` if ``trace``.

    An id is kept if it is sane and its sender a trusted peer: it goes into
    logs.  A trace is continued whoever began it, as W3C Trace Context has it.
    """

    def __init__(self, header: str | None, trace: bool = False) -> None:
        self._header = header.lower().encode() if header is not None else None
        self._trace = trace

    def name(self, headers: list[tuple[bytes, bytes]], trusted: bool) -> Names:
        """Return the names of a request that came with ``headers``."""
        names = Names()
        header = self._header
        parents = []
        found = None
        for name, value in headers:
            if name == b"traceparent":
                parents.append(value)
            elif name == header and found is None:
                found = value
        if self._trace:
            # Section 3.2: one that is repeated is none.
            names.traceparent = continued(parents[0] if len(parents) == 1 else None)
        if header is not None:
            if trusted and found is not None and _SANE.fullmatch(found) is not None:
                names.request_id = found.decode("ascii")
            elif names.traceparent is not None:
                names.request_id = trace_of(names.traceparent)
            else:
                names.request_id = new_id()
            # Sane, so it needs no judging; and field() would keep what never comes again.
            names.field = Field(header, names.request_id.encode(), 0)
        return names
