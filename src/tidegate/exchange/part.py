"""Which bytes of which file does an event name?  (ASGI items 97 and 98)

What cannot be read is refused while the application can still be told: after
the head, only the end of the connection could say so.
"""

from __future__ import annotations

import io
import os
import stat
from typing import Any

from ..asgi import Message
from ..errors import AppError

__all__ = ["PATHSEND", "ZEROCOPYSEND", "Part"]

PATHSEND = "http.response.pathsend"
ZEROCOPYSEND = "http.response.zerocopysend"

# A named pipe would make open() wait until somebody writes.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Part:
    """Consecutive bytes of an open file; the descriptor is its own.

    Who holds it calls ``read`` or ``close``, or passes the descriptor on.
    """

    __slots__ = ("descriptor", "offset", "size")

    def __init__(self, descriptor: int, offset: int, count: int | None) -> None:
        """Take ``count`` bytes from ``offset``, or what there is of them; None for the rest.

        Raises ``AppError``, and closes the descriptor, if it is no regular file.
        """
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise AppError("it is not a regular file")
        self.descriptor = descriptor
        self.offset = offset
        rest = max(0, found.st_size - offset)
        self.size = rest if count is None else min(count, rest)

    @classmethod
    def named_by(cls, message: Message) -> Part:
        """Return what a pathsend or zerocopysend event names.  Raises ``AppError``."""
        kind = message["type"]
        try:
            return cls._opened(message) if kind == PATHSEND else cls._of_file(message)
        except (AppError, OSError, ValueError) as error:
            raise AppError(f"{kind}: {error}") from error

    @classmethod
    def _opened(cls, message: Message) -> Part:
        path = message.get("path")
        if not isinstance(path, str) or not os.path.isabs(path):
            raise AppError(f"path must be an absolute path, not {path!r}")
        return cls(os.open(path, _FLAGS), 0, None)

    @classmethod
    def _of_file(cls, message: Message) -> Part:
        file, offset, count = (message.get(name) for name in ("file", "offset", "count"))
        for name, value in (("offset", offset), ("count", count)):
            if not (value is None or (type(value) is int and value >= 0)):
                raise AppError(f"{name} must be a number of bytes, not {value!r}")
        descriptor = _descriptor(file)
        if offset is not None:
            return cls(os.dup(descriptor), offset, count)
        # From where the file stands; and it stands behind what was sent, afterwards.
        part = cls(os.dup(descriptor), _position(file), count)
        _seek(file, part.offset + part.size)
        return part

    def read(self) -> bytes:
        """Return all of it, and let go of the file; short if that became shorter.

        Raises ``AppError`` if it cannot be read.
        """
        try:
            return _read(self.descriptor, self.size, self.offset)
        except OSError as error:
            # Not an OSError: that would mean that the client has left.
            raise AppError(f"a file cannot be read: {error}") from error
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)


def _descriptor(file: Any) -> int:
    if type(file) is int:
        return file
    try:
        number: int = file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        raise AppError(f"file must be an open file of the system, not {file!r}") from None
    return number


def _position(file: Any) -> int:
    # What a file object has read ahead its descriptor is past already.
    place: int = os.lseek(file, 0, os.SEEK_CUR) if type(file) is int else file.tell()
    return place


def _seek(file: Any, place: int) -> None:
    if type(file) is int:
        os.lseek(file, place, os.SEEK_SET)
    else:
        file.seek(place)


def _read(descriptor: int, size: int, offset: int) -> bytes:
    pieces = []
    while size:
        piece = os.pread(descriptor, size, offset)
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
        offset += len(piece)
    return b"".join(pieces)
