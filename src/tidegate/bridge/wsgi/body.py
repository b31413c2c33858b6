"""``wsgi.input``: the content of a request, read by a thread as a loop receives it.

The thread asks only when it needs more, so a client is held back by an
application that does not read, and is told to go on (100) by one that does.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Callable
from typing import Any

from ...errors import ClientDisconnected

__all__ = ["Body", "open_input", "spool"]

# More than any head read brings along; the buffer of one upload.
_BUFFER_SIZE = 64 * 1024

# Of a spooled body, this much stays in memory.
_MAX_IN_MEMORY = 1024 * 1024


class Body(io.RawIOBase):
    """Joins the loop that receives content and the thread that reads it.

    ``want`` is called from the thread when it has to wait; it makes the loop call
    ``arrived`` or ``lost``, or says False: there is no loop any more.
    """

    def __init__(
        self, want: Callable[[Body], bool], first: bytes = b"", ended: bool = False
    ) -> None:
        self._want = want
        # Views, so that taking a little of much copies little.
        self._pieces = deque([memoryview(first)] if first else ())
        self._lock = allocate_lock()
        self._gate: LockType | None = None  # held while the thread waits
        self._ended = ended
        self._lost = False

    # -- the loop's side -------------------------------------------------------

    def arrived(self, data: bytes, ended: bool) -> None:
        """Take content; ``ended`` says that it was the last."""
        with self._lock:
            if data:
                self._pieces.append(memoryview(data))
            self._ended = ended
            gate, self._gate = self._gate, None
        if gate is not None:
            gate.release()

    def lost(self) -> None:
        """The rest will not come."""
        with self._lock:
            self._lost = True
            gate, self._gate = self._gate, None
        if gate is not None:
            gate.release()

    # -- the thread's side -----------------------------------------------------

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what is there, or wait.

        Raises ``ClientDisconnected`` if the client left before the end: a body
        that was cut off must not look like a short one.
        """
        while True:
            with self._lock:
                if self._pieces:
                    return self._take(buffer)
                if self._ended:
                    return 0
                if self._lost:
                    raise ClientDisconnected("the client left before its content was complete")
                gate = self._gate = allocate_lock()
                gate.acquire()
            if not self._want(self):
                raise ClientDisconnected("the server has stopped")
            gate.acquire()

    def _take(self, buffer: Any) -> int:
        piece = self._pieces.popleft()
        size = len(buffer)
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
            piece = piece[:size]
        buffer[: len(piece)] = piece
        return len(piece)


def open_input(body: Body) -> io.BufferedReader:
    """Return a file to read ``body`` from, with every method that the PEP names."""
    return io.BufferedReader(body, _BUFFER_SIZE)


def spool(body: Body) -> tuple[Any, int]:
    """Read all of ``body``; return a file that holds it and its size in bytes.

    The caller closes the file.  Raises ``ClientDisconnected``.
    """
    file = tempfile.SpooledTemporaryFile(max_size=_MAX_IN_MEMORY)  # noqa: SIM115  # returned
    try:
        shutil.copyfileobj(open_input(body), file, _BUFFER_SIZE)
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    return file, size
