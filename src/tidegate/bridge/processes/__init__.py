"""Pools that run plain functions in other processes, or wherever an executor runs them.

Names are imported on first use: a worker imports this package too, and needs
none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backends import open_pool
    from .context import trace_id
    from .executor import ExecutorPool
    from .interface import Pool
    from .limits import CallOptions, PoolMetrics, ProcessLimits
    from .pool import ProcessPool

__all__ = [
    "CallOptions",
    "ExecutorPool",
    "Pool",
    "PoolMetrics",
    "ProcessLimits",
    "ProcessPool",
    "open_pool",
    "trace_id",
]

_PLACES = {
    "CallOptions": ".limits",
    "ExecutorPool": ".executor",
    "Pool": ".interface",
    "PoolMetrics": ".limits",
    "ProcessLimits": ".limits",
    "ProcessPool": ".pool",
    "open_pool": ".backends",
    "trace_id": ".context",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name], __name__), name)
