"""Tidegate: a server, and more, for ASGI applications.

Public names are imported on first use, so that ``import tidegate`` costs next
to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._version import __version__
    from .errors import (
        AppError,
        ClientDisconnected,
        ConfigError,
        PeerError,
        TidegateError,
        UsageError,
    )
    from .server.config import Config
    from .server.run import run
    from .server.server import Server

__all__ = [
    "AppError",
    "ClientDisconnected",
    "Config",
    "ConfigError",
    "PeerError",
    "Server",
    "TidegateError",
    "UsageError",
    "__version__",
    "run",
]

_PLACES = {
    "__version__": "._version",
    "Config": ".server.config",
    "Server": ".server.server",
    "run": ".server.run",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, ".errors"), __name__), name)
