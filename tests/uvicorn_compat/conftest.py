"""These servers configure loggers, also uvicorn's; a test must not do so to the next."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from ..server.conftest import restored_loggers

__all__ = ["restored_loggers"]


@pytest.fixture(autouse=True)
def restored_process(restored_loggers: None) -> Iterator[None]:
    environment = os.environ.copy()
    for name in ("WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"):
        os.environ.pop(name, None)
    names = ("uvicorn", "uvicorn.error", "uvicorn.access")
    before = [(one, one.level, one.propagate) for one in map(logging.getLogger, names)]
    yield
    for one, level, propagate in before:
        one.setLevel(level)
        one.propagate = propagate
        one.handlers.clear()
        one.filters.clear()
    os.environ.clear()
    os.environ.update(environment)
