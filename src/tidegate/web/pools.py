"""Named pools of an application: ``run=app.pool("db", threads=20)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Pool"]


@dataclass(frozen=True, slots=True)
class Pool:
    """Where plain handlers run: so many threads or processes, and no more for them together."""

    name: str
    kind: Literal["thread", "process"] = "thread"
    size: int = 40
    max_queue: int = 1000
