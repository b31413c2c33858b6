"""The web framework: routes to handlers by their types, on any ASGI server.

These modules serve no ordinary request, so they are imported when somebody
needs them: an application starts without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import asyncapi, failure, openapi, spelling

__all__ = ["asyncapi", "failure", "openapi", "spelling"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)
