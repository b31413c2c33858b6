"""From an open file to a transport: by ``sendfile`` where that works, else in pieces.

``sendfile`` needs a plain socket with nothing before it in the transport's
buffer.  It is called on a duplicate of the socket's descriptor: event loops do
not let others wait for the original, and uvloop has no ``sendfile`` of its own.
"""

from __future__ import annotations

import asyncio
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from .worker import Worker

__all__ = ["FileSending", "Receiver"]

# In one turn of the loop: others want theirs.
_PIECE = 512 * 1024

# From a thread to the transport; more would only wait in its buffer.
_READ_SIZE = 256 * 1024

# What systems and file systems say that cannot do it.
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOTSOCK, errno.EOVERFLOW)

# Threads start when they are needed; reading never takes long.
_readers = ThreadPoolExecutor(4, "tidegate-files")


class Receiver(Protocol):
    """Who sends a file: a connection, or one stream of it."""

    worker: Worker

    @property
    def has_room(self) -> bool:
        """Whether a piece may be written; for ``sendfile``, whether all before it is out."""

    def write_piece(self, data: bytes) -> None:
        """Send a piece of the file."""

    def on_file_end(self, problem: str | None) -> None:
        """All of the file has been handed over; or no more of it can be.

        ``problem`` says why not; it is empty if the client has left.
        """


class FileSending:
    """Part of a file on its way.  ``may_write`` begins it, and goes on whenever there is room.

    ``socket`` is the descriptor of a plain socket, None to write through the
    receiver.  Closes the descriptor of the file when it is done, or by ``close``.
    """

    def __init__(
        self, receiver: Receiver, socket: int | None, descriptor: int, offset: int, size: int
    ) -> None:
        self._receiver = receiver
        self._loop = receiver.worker.service.loop
        self._descriptor = descriptor
        self._offset = offset
        self.remaining = size
        # A duplicate; None if the file is read.
        self._socket = None if socket is None else os.dup(socket)
        self._waiting = False  # for the socket
        self._reading = False  # a thread has the descriptor
        self._closed = False

    def may_write(self) -> None:
        """There may be room."""
        if self._closed or self._waiting or self._reading or not self._receiver.has_room:
            return
        if self._socket is None:
            self._read()
        else:
            self._send(self._socket)

    def close(self) -> None:
        """Let go of everything; what is not out stays unsent."""
        if self._closed:
            return
        self._closed = True
        self._let_go_of_socket()
        if not self._reading:
            os.close(self._descriptor)

    # -- by sendfile -----------------------------------------------------------

    def _send(self, socket: int) -> None:
        try:
            sent = os.sendfile(socket, self._descriptor, self._offset, min(self.remaining, _PIECE))
        except (BlockingIOError, InterruptedError):
            self._wait(socket)
            return
        except OSError as error:
            self._fail(error)
            return
        self._advance(sent)
        if not sent:
            self._end("it became shorter while it was sent")
        elif not self._closed:
            self._wait(socket)

    def _wait(self, socket: int) -> None:
        """Go on when the socket takes more, but not in this turn."""
        if not self._waiting:
            self._waiting = True
            self._loop.add_writer(socket, self._send, socket)

    def _fail(self, error: OSError) -> None:
        if error.errno in _UNABLE:
            self._let_go_of_socket()
            self.may_write()
            return
        # A client that has left is no news.
        self._end("" if isinstance(error, ConnectionError) else str(error))

    def _let_go_of_socket(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            if self._waiting:
                self._waiting = False
                # The selector would keep the duplicate of a closed descriptor.
                self._loop.remove_writer(socket)
            os.close(socket)

    # -- by reading ------------------------------------------------------------

    def _read(self) -> None:
        self._reading = True
        size = min(self.remaining, _READ_SIZE)
        reading = self._loop.run_in_executor(
            _readers, os.pread, self._descriptor, size, self._offset
        )
        reading.add_done_callback(self._on_read)

    def _on_read(self, reading: asyncio.Future[bytes]) -> None:
        self._reading = False
        error = None if reading.cancelled() else reading.exception()
        if self._closed:
            os.close(self._descriptor)
        elif error is not None or reading.cancelled():
            self._end(str(error))
        elif not reading.result():
            self._end("it became shorter while it was sent")
        else:
            data = reading.result()
            self._receiver.write_piece(data)
            self._advance(len(data))
            self.may_write()

    # -- both ------------------------------------------------------------------

    def _advance(self, size: int) -> None:
        self._offset += size
        self.remaining -= size
        if not self.remaining:
            self._end(None)

    def _end(self, problem: str | None) -> None:
        self.close()
        self._receiver.on_file_end(problem)
