"""Which colour has a log level on a terminal?"""

from __future__ import annotations

__all__ = ["coloured"]

_COLOURS = {"DEBUG": 36, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 91, "TRACE": 34}


def coloured(text: str, level: str) -> str:
    """Return ``text`` in the colour of a level, with ANSI escapes."""
    return f"\x1b[{_COLOURS.get(level, 0)}m{text}\x1b[0m"
