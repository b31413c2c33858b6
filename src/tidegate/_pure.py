"""Which speed is this: compiled modules, or the same files interpreted?

``TIDEGATE_PURE=1`` forces the interpreted files even where compiled ones exist.
"""

from __future__ import annotations

__all__ = ["COMPILED_MODULES", "speed"]

COMPILED_MODULES: tuple[str, ...] = ()
"""Modules that have a compiled twin.  Empty: every module runs as written."""


def speed() -> str:
    """Return ``"compiled"`` or ``"pure"``."""
    return "compiled" if COMPILED_MODULES else "pure"
