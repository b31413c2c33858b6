"""Which object does ``package.module:attribute`` name?

A pool sends names of functions and context variables, and its workers look
them up, so both need modules that can be imported.
"""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from typing import Any

__all__ = ["resolve"]


def resolve(name: str) -> Any:
    """Return the object.

    Raises ``ImportError``, ``AttributeError``, or whatever the module raises
    while it is imported.
    """
    module, _, attribute = name.partition(":")
    return reduce(getattr, attribute.split("."), import_module(module))
