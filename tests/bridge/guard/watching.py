"""What the tests of the guard share: a log to wait for."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Far more than it takes: only a test that fails waits so long.
SECONDS = 20.0


class Log(logging.Handler):
    """Notes messages; any thread may wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self._news = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._news:
            self.messages.append(record.getMessage())
            self._news.notify_all()

    def holds(self, pattern: str) -> str | None:
        """Return the first message that matches."""
        return next((text for text in list(self.messages) if re.search(pattern, text)), None)

    def wait_for(self, pattern: str) -> str:
        """Block until a message matches, and return it."""
        with self._news:
            self._news.wait_for(lambda: self.holds(pattern) is not None, SECONDS)
        text = self.holds(pattern)
        assert text is not None, self.messages
        return text


@contextmanager
def logged() -> Iterator[Log]:
    """Hear what the guard logs."""
    logger = logging.getLogger("tidegate.error")
    log = Log()
    level = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.DEBUG)
    try:
        yield log
    finally:
        logger.removeHandler(log)
        logger.setLevel(level)
