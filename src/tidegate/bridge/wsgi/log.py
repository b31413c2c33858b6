"""``wsgi.errors``: where an application writes what went wrong."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

__all__ = ["ErrorLog"]

logger = logging.getLogger("tidegate.error")


class ErrorLog:
    """A text stream whose lines become records of the logger ``tidegate.error``.

    Takes any text.  What one thread writes is never mixed with another's.
    """

    encoding = "utf-8"

    def __init__(self) -> None:
        self._begun = threading.local()  # each thread's unfinished line

    def write(self, text: str) -> int:
        """Log the lines that are complete, as one record."""
        lines, newline, rest = (getattr(self._begun, "line", "") + text).rpartition("\n")
        self._begun.line = rest
        if newline:
            self._log(lines)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of them; they end their lines themselves."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Log the line that was begun."""
        begun = getattr(self._begun, "line", "")
        if begun:
            self._begun.line = ""
            self._log(begun)

    def _log(self, text: str) -> None:
        if text.strip():
            # The log is a file in UTF-8, which has no lone surrogates.
            logger.error("%s", text.encode("utf-8", "backslashreplace").decode())
