"""What blocks the event loop: found while it runs, with the line and what to write instead."""

from __future__ import annotations

from .advice import Advice, AsyncMap, async_map
from .blocking import BlockingCall
from .guard import Guard, GuardSettings
from .heartbeat import Pace
from .stalls import Stall

__all__ = [
    "Advice",
    "AsyncMap",
    "BlockingCall",
    "Guard",
    "GuardSettings",
    "Pace",
    "Stall",
    "async_map",
]
