"""The web framework: routes to handlers by their types, on any ASGI server.

Many applications never need these modules, so they are imported when somebody
does: an application starts without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import asyncapi, cookies, failure, openapi, spelling

__all__ = ["asyncapi", "cookies", "failure", "openapi", "spelling"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)
