"""How much time is left for the request at hand?  For whoever calls others on its behalf."""

from __future__ import annotations

import time
from contextvars import ContextVar

__all__ = ["DEADLINE", "time_left"]

DEADLINE: ContextVar[float] = ContextVar("tidegate.deadline")
"""When the request must be answered, as ``time.monotonic()`` says it; unset without a limit."""


def time_left() -> float | None:
    """Return the seconds that are left, 0.0 when there are none, or None without a limit."""
    at = DEADLINE.get(None)
    return None if at is None else max(0.0, at - time.monotonic())
