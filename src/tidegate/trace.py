"""How is a line in a log traced back to the request it was written for?

One id names a request, from the proxy to the log of the database; one context
variable makes it known to whatever runs on the request's behalf.  The server
and the framework both set these variables, so they agree on the names.
"""

from __future__ import annotations

import logging
import os
import re
from contextvars import ContextVar

__all__ = [
    "SANE_ID",
    "RequestIDFilter",
    "continued",
    "new_id",
    "request_id",
    "trace_of",
    "traceparent",
]

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The id of the request being served; ``-`` outside of one."""

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""What to send along to other services (W3C Trace Context); None if not traced."""

SANE_ID = r"[A-Za-z0-9._:+/=-]{1,128}"
"""Which ids of others are kept: nothing that could end a line or a field in somebody's log."""

# W3C Trace Context section 3.2: later versions may append more.
_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


class RequestIDFilter(logging.Filter):
    """Gives every record ``request_id`` and ``trace_id``, for ``%(request_id)s`` in a format."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids, ``-`` for one that there is not; no record is dropped."""
        # Who writes about a request from elsewhere has said which.
        known = vars(record)
        known.setdefault("request_id", request_id.get())
        known.setdefault("trace_id", trace_of(traceparent.get()))
        return True


def new_id() -> str:
    """Return an id that nothing else has: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def trace_of(parent: str | None) -> str:
    """Return the id of the trace that a ``traceparent`` belongs to; ``-`` without one."""
    return "-" if parent is None else parent[3:35]


def continued(given: bytes | None) -> str:
    """Return the traceparent of our part in a trace: the caller's, or a new one.

    ``given`` is the header that came with the request, None if none did.
    """
    found = None
    if given is not None:
        found = _TRACE.fullmatch(given)
        # Section 3.2.2.1: version 00 ends after the flags.
        if found is not None and given.startswith(b"00") and len(given) != found.end(3):
            found = None
    own = os.urandom(8).hex()
    if found is None or not found[1].strip(b"0") or not found[2].strip(b"0"):
        # Section 3.2.2.3: what is not valid is ignored, and a new trace begins.
        return f"00-{new_id()}-{own}-01"
    # The flags we know: whether the client records (section 3.2.2.5).
    return f"00-{found[1].decode()}-{own}-0{int(found[3], 16) & 1}"
