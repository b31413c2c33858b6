"""What a call has produced, on its way from its thread to the event loop.

However much a thread produces before the loop looks, the loop is woken once,
and takes all of it at once.
"""

from __future__ import annotations

import os
from _thread import LockType, allocate_lock
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from ...errors import ClientDisconnected

__all__ = ["HIGH_WATER", "FilePart", "Produced", "Reply", "Start"]

HIGH_WATER = 256 * 1024
"""Bytes that may wait for the loop before the thread is made to wait for it."""


Start: TypeAlias = tuple[int, bytes | None, list[tuple[bytes, bytes]]]
"""What ``start_response`` was told: status, reason (None if it is the usual one), headers."""


class FilePart(NamedTuple):
    """Bytes of an open file; who takes it closes the descriptor."""

    descriptor: int
    offset: int
    size: int


Produced: TypeAlias = tuple[
    Start | None, list[bytes], FilePart | None, bool, bool, BaseException | None
]
"""What was produced since the loop last looked.

The head (None if it was taken before, or never came), content, a file after
that, whether the response is complete, whether the call is over, and what it
ended with.
"""


class Reply:
    """A queue of one response: its thread puts, its loop takes.

    ``wake`` is called from the thread; it makes the loop call ``take``, or says
    False: there is no loop any more.  ``takes_files`` says whether ``put_file``
    may be called.
    """

    __slots__ = (
        *("_chunks", "_ended", "_error", "_file", "_gate", "_gone", "_lock", "_over", "_quiet"),
        *("_size", "_start", "_wake", "_woken", "takes_files"),
    )  # fmt: skip

    def __init__(self, wake: Callable[[], bool], takes_files: bool = False) -> None:
        self._wake = wake
        self.takes_files = takes_files
        self._lock = allocate_lock()
        self._woken = False  # the loop was told and has not looked yet
        self._start: Start | None = None
        self._chunks: list[bytes] = []
        self._size = 0  # bytes in _chunks
        self._file: FilePart | None = None  # after the chunks, and the last of the content
        self._ended = False
        self._over = False
        self._error: BaseException | None = None
        self._gone = False  # nobody listens
        self._quiet = False  # and the thread is not to notice
        self._gate: LockType | None = None  # held while the thread waits

    # -- the thread's side -----------------------------------------------------

    def put(self, start: Start | None, data: bytes, ended: bool = False) -> None:
        """Hand over content, with the head if it is the first; waits above the high-water mark.

        Raises ``ClientDisconnected`` if nobody listens any more.
        """
        gate = None
        with self._lock:
            if self._gone:
                self._refuse()
                return
            if start is not None:
                self._start = start
            if data:
                self._chunks.append(data)
                self._size += len(data)
            self._ended = ended
            wake = not self._woken
            self._woken = True
            if self._size > HIGH_WATER and not ended:
                gate = self._gate = allocate_lock()
                gate.acquire()
        if wake and not self._wake():
            raise ClientDisconnected("the server has stopped")
        if gate is not None:
            gate.acquire()

    def put_file(self, start: Start | None, part: FilePart) -> None:
        """Hand over the last of the content, with the head if it is the first.

        The thread need not wait for a slow client: the descriptor is not its own.
        Raises ``ClientDisconnected`` as ``put`` does.
        """
        with self._lock:
            if self._gone:
                os.close(part.descriptor)
                self._refuse()
                return
            if start is not None:
                self._start = start
            self._file = part
            self._ended = True
            wake = not self._woken
            self._woken = True
        if wake and not self._wake():
            self.lost()
            raise ClientDisconnected("the server has stopped")

    def finish(self, error: BaseException | None, start: Start | None, data: bytes) -> None:
        """The call is over; with a ``start``, ``data`` is its whole response."""
        with self._lock:
            if start is not None:
                self._start = start
                self._ended = True
                if data:
                    self._chunks.append(data)
            self._over = True
            self._error = error
            wake = not self._woken
            self._woken = True
        if wake:
            self._wake()

    # -- the loop's side -------------------------------------------------------

    def take(self) -> Produced:
        """Return what is there, and let a thread go on that waits."""
        with self._lock:
            produced = (
                *(self._start, self._chunks, self._file),
                *(self._ended, self._over, self._error),
            )  # fmt: skip
            self._start = self._error = self._file = None
            self._chunks = []
            self._size = 0
            self._woken = False
            gate, self._gate = self._gate, None
        if gate is not None:
            gate.release()
        return produced

    def lost(self, quietly: bool = False) -> None:
        """Nobody listens: what the thread puts next raises, or is dropped ``quietly``."""
        with self._lock:
            self._gone = True
            self._quiet = quietly
            if self._file is not None:
                os.close(self._file.descriptor)
                self._file = None
            gate, self._gate = self._gate, None
        if gate is not None:
            gate.release()

    def _refuse(self) -> None:
        if not self._quiet:
            raise ClientDisconnected("the client has disconnected")
