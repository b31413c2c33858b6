"""How blocking code is run, and watched."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ..options import option

__all__ = ["GuardSettings", "WsgiSettings"]


@dataclasses.dataclass(kw_only=True)
class WsgiSettings:
    """WSGI applications and their threads."""

    threads: int = option(16, "Threads for a WSGI application.", group="WSGI", least=1)
    threads_queue: int = option(
        1000, "Requests that may wait for a thread; more are answered 503.", group="WSGI", least=0
    )
    wsgi_chunked: Literal["auto", "stream", "spool"] = option(
        "auto",
        "Bodies without a length: stream, spool (the length is known then), or by framework.",
        group="WSGI",
    )


@dataclasses.dataclass(kw_only=True)
class GuardSettings:
    """The watch over the event loop."""

    guard: bool = option(True, "Watch for calls that block the event loop.", group="Guard")
    guard_threshold: float = option(
        0.1,
        "Seconds the event loop may be blocked before it is reported.",
        group="Guard",
        least=0.001,
    )
    guard_sites: bool = option(
        False, "Also watch the calls that are known to block, and name their lines.", group="Guard"
    )
