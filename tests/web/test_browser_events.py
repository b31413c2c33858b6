"""A browser listens to a stream of events, comes back when it ends, and misses nothing."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page
from tests.apps.launcher import Launcher, eventually

pytestmark = pytest.mark.once

APPLICATIONS = Path(__file__).parent / "applications"


@pytest.mark.timeout(120)
def test_an_event_source_comes_back_and_misses_nothing(page: Page) -> None:
    with Launcher(APPLICATIONS).opened() as launch:
        server = launch("sample:app")
        page.goto(f"{server.base_url}/page")
        page.wait_for_selector("#log[data-opened]", state="attached", timeout=30_000)
        # The stream ends after each three: most are published while nobody listens.
        words = [f"n{number}" for number in range(20)]
        with httpx.Client(base_url=server.base_url, timeout=30) as client:
            for word in words:
                client.post(f"/number/{word}")

        def heard() -> list[str]:
            return page.inner_text("#log").split()

        eventually(lambda: len(heard()) >= len(words), 40, "all events")
        assert heard() == words
        assert int(page.get_attribute("#log", "data-opened") or 0) >= len(words) // 3
