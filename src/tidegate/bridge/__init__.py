"""Between synchronous and asynchronous Python: threads, processes, WSGI, blocking calls.

Public names are imported on first use: an application that never leaves the
event loop loads nothing of this.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .context import cancelled, check_cancelled, expose_loop
    from .django import django_threads
    from .lease import Lease
    from .ledger import Abandoned
    from .portal import Portal, from_thread
    from .threads import PoolMetrics, ThreadLimits, ThreadPool, pools, to_thread

__all__ = [
    "Abandoned",
    "Lease",
    "PoolMetrics",
    "Portal",
    "ThreadLimits",
    "ThreadPool",
    "cancelled",
    "check_cancelled",
    "django_threads",
    "expose_loop",
    "from_thread",
    "pools",
    "to_thread",
]

_PLACES = {
    "Abandoned": ".ledger",
    "Lease": ".lease",
    "Portal": ".portal",
    "cancelled": ".context",
    "check_cancelled": ".context",
    "django_threads": ".django",
    "expose_loop": ".context",
    "from_thread": ".portal",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, ".threads"), __name__), name)
