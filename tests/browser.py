"""A browser without a window, for tests of what only a browser does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright

__all__ = ["CHROMIUM", "browser", "chromium", "page"]

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Whatever else it wanted to look up stays on this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextmanager
def chromium(folder: Path, *flags: str) -> Iterator[BrowserContext]:
    """Chromium, with a profile in ``folder`` that has never been used."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    kept = [each for each in FLAGS if each.replace("disable", "enable") not in flags]
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder / "profile", executable_path=CHROMIUM, args=[*kept, *flags], headless=True
        )
        with context:
            # The machine may be busy with other tests.
            context.set_default_timeout(30_000)
            yield context


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[BrowserContext]:
    """A browser that has never run before."""
    with chromium(tmp_path) as context:
        yield context


@pytest.fixture
def page(browser: BrowserContext) -> Page:
    """A new page of a browser that has never run before."""
    return browser.new_page()
