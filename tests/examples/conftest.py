"""Serves the examples as ``make serve`` does, and opens them in a browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browser import browser, page

ROOT = Path(__file__).parent.parent.parent
# The launcher lives beside the tests of the frameworks.
sys.path.insert(0, str(ROOT / "tests" / "apps"))

from launcher import Launcher, Server  # noqa: E402

__all__ = ["browser", "demo", "page"]


@pytest.fixture
def demo() -> Iterator[Server]:
    """The demo application, served."""
    with Launcher(ROOT / "examples").opened() as launch:
        yield launch("demo:app")
