"""The command line changes the process: loggers, environment, import path."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from ..server.conftest import restored_loggers

__all__ = ["restored_loggers"]


@pytest.fixture(autouse=True)
def restored_process(restored_loggers: None) -> Iterator[None]:
    """Put the environment and the import path back, and begin without settings of the shell."""
    environment, path, modules = os.environ.copy(), sys.path.copy(), set(sys.modules)
    for name in environment:
        if name.startswith(("TIDEGATE_", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS")):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("served_"):
            del sys.modules[name]
