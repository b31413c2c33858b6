"""A file that is open: what it is, when it changed, its bytes."""

from __future__ import annotations

import os
import stat
from typing import IO

__all__ = ["Opened"]

# A named pipe would make open() wait until somebody writes.
_FLAGS = getattr(os, "O_NONBLOCK", 0)


class Opened:
    """A regular file, open for reading; for a thread, since a disk may be slow."""

    def __init__(self, path: str) -> None:
        """Raises ``OSError`` if it is not there or no regular file, ``ValueError`` for a NUL."""
        opener = lambda name, flags: os.open(name, flags | _FLAGS)  # noqa: E731
        self.path = path
        self.file: IO[bytes] = open(path, "rb", buffering=0, opener=opener)  # noqa: SIM115
        found = os.fstat(self.file.fileno())
        if not stat.S_ISREG(found.st_mode):
            self.file.close()
            raise OSError("not a regular file")
        self.size = found.st_size
        self.modified = found.st_mtime
        self.etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'

    def read(self, start: int, size: int) -> bytes:
        """Return ``size`` bytes from ``start``, or what there is of them."""
        self.file.seek(start)
        return self.file.read(size)

    def close(self) -> None:
        """Let go of it."""
        self.file.close()
