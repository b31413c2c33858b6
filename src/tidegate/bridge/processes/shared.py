"""Where do large messages travel?  Through memory that two processes see and nobody names.

A segment is an anonymous file that the worker inherits.  It has no name in
``/dev/shm``, so nothing is left behind whatever kills either process, and no
tracker has to watch it.  One segment serves both directions, because a worker
never answers before it has read the question.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable

__all__ = ["Segment"]

# Growth is in powers of two from here on, so that a reader seldom maps anew.
_SMALLEST_SIZE = 4 * 1024 * 1024

# What stays allocated between two calls.  More is given back to the system.
_KEPT_SIZE = 64 * 1024 * 1024


class Segment:
    """One end's view of the shared file; it owns the descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._used = False

    def write(self, parts: Iterable[bytes | memoryview]) -> None:
        """Replace the contents by these parts.  Raises ``OSError`` if there is no room."""
        self._used = True
        # Written, not mapped: a full file system is an error then, not SIGBUS.
        pieces = [memoryview(part) for part in parts]
        needed = sum(piece.nbytes for piece in pieces)
        if os.fstat(self._descriptor).st_size < needed:
            os.ftruncate(self._descriptor, max(_SMALLEST_SIZE, 1 << (needed - 1).bit_length()))
        offset = 0
        for piece in pieces:
            while piece.nbytes:
                written = os.pwrite(self._descriptor, piece, offset)
                offset += written
                piece = piece[written:]

    def view(self, size: int) -> memoryview:
        """Return the first ``size`` bytes that the other end wrote, until it writes again.

        Release the view before that.
        """
        self._used = True
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self._descriptor, 0, prot=mmap.PROT_READ)
        return memoryview(self._map)[:size]

    def give_back(self) -> None:
        """Free memory that only an unusually large message needed.  Nobody may be reading."""
        if self._used:
            self._used = False
            if os.fstat(self._descriptor).st_size > _KEPT_SIZE:
                os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        """Let go of the memory at this end."""
        self._map = None
        os.close(self._descriptor)
