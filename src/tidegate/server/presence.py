"""How does the rest of the machine know of us?  The pid file and the service manager."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfigError
from .notify import notify

__all__ = ["appear", "vanish"]


def appear(path: str | None, workers: int) -> None:
    """Tell that we serve; ``path`` is that of the pid file, if one is wanted.

    Raises ``ConfigError`` if it cannot be written.
    """
    if path is not None:
        try:
            Path(path).write_text(f"{os.getpid()}\n")
        except OSError as error:
            raise ConfigError(f"pid: cannot write {path!r}: {error.strerror}") from None
    notify("READY=1", f"MAINPID={os.getpid()}", f"STATUS=workers: {workers}")


def vanish(path: str | None) -> None:
    """Delete the pid file, unless it is of another server by now."""
    if path is not None:
        try:
            if Path(path).read_text().strip() == str(os.getpid()):
                Path(path).unlink()
        except OSError:
            pass  # somebody else has deleted it
