"""Where does the text go that workers print?  Line by line into our log.

The logger is ``tidegate.pool``; its records carry ``pool``, ``worker_pid`` and
``stream``.  What is printed to standard error is a warning.
"""

from __future__ import annotations

import asyncio
import logging
import os

__all__ = ["Output", "logger"]

logger = logging.getLogger("tidegate.pool")

# Something that prints without end and without a line break is cut here.
_LONGEST_LINE = 16 * 1024

_LEVELS = {"stdout": logging.INFO, "stderr": logging.WARNING}


class Output:
    """One stream of one worker.  It owns the descriptor, the read end of a pipe."""

    def __init__(self, descriptor: int, stream: str, pool: str, pid: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._level = _LEVELS[stream]
        self._origin = {"pool": pool, "worker_pid": pid, "stream": stream}
        self._held = b""
        self._open = True
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._read)

    def _read(self) -> bool:
        """Log what is there; say whether there may be more."""
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return False
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            self._log(line)
        while len(self._held) > _LONGEST_LINE:
            self._log(self._held[:_LONGEST_LINE])
            self._held = self._held[_LONGEST_LINE:]
        if not data:
            self.close()
        return bool(data)

    def _log(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace").rstrip()
        pool, pid = self._origin["pool"], self._origin["worker_pid"]
        logger.log(self._level, "%s[%s] %s", pool, pid, text, extra=self._origin)

    def finish(self) -> None:
        """Log what the ended worker left behind, and close."""
        while self._open and self._read():
            pass
        self.close()

    def close(self) -> None:
        """Stop reading."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            if self._held:
                self._log(self._held)
