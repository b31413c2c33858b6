"""What tests of ASGI applications and of Tidegate itself stand on.

The names for tests of applications are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clients import AsyncClient, Client, Opening, client
    from .failures import BrokenOff, Disconnected, HandshakeRefused, StatusError, TimedOut
    from .replies import Reply
    from .sent_events import SentEvent

__all__ = [
    "AsyncClient",
    "BrokenOff",
    "Client",
    "Disconnected",
    "HandshakeRefused",
    "Opening",
    "Reply",
    "SentEvent",
    "StatusError",
    "TimedOut",
    "client",
]

_PLACES = {"Reply": ".replies", "SentEvent": ".sent_events"} | dict.fromkeys(
    ("AsyncClient", "Client", "Opening", "client"), ".clients"
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, ".failures"), __name__), name)
