"""Servers configure logging for the whole process; a test must not do so to the next."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

NAMES = ("", "tidegate", "tidegate.error", "tidegate.access")


@pytest.fixture(autouse=True)
def restored_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(one, one.level, one.propagate, one.handlers.copy()) for one in loggers]
    # Records must reach caplog.
    logging.getLogger("tidegate").propagate = True
    yield
    for one, level, propagate, handlers in before:
        one.setLevel(level)
        one.propagate = propagate
        for handler in one.handlers:
            if handler not in handlers:
                handler.close()
        one.handlers[:] = handlers
