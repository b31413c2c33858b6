"""A browser, without a window, opens sockets to the server that served it the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launcher import Launcher
from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Whatever else it wanted to look up stays on this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A new page of a browser that has never run before."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=CHROMIUM, args=FLAGS, headless=True
        )
        with browser:
            yield browser.new_page()


@pytest.mark.parametrize("compressed", [True, False], ids=["deflate", "plain"])
def test_a_page_talks_to_the_server(launch: Launcher, page: Page, compressed: bool) -> None:
    server = launch(
        "websocket_plain:app",
        "--ws-per-message-deflate",
        str(compressed),
    )
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{server.base_url}/page")
    page.wait_for_selector("#report.done", timeout=30_000)
    report: dict[str, Any] = json.loads(page.inner_text("#report"))
    assert (errors, report.get("error")) == ([], None)

    echo = report["echo"]
    # The server answers with the code (RFC 6455 section 5.5.1); a reason is its own to give.
    del echo["closed"]["reason"]
    assert ("permessage-deflate" in echo.pop("extensions")) == compressed
    assert echo == {
        "protocol": "chat.v2",
        "text": True,
        "binary": True,
        "large": True,
        "many": True,
        "closed": {"code": 4001, "wasClean": True},
    }
    assert report["closedByServer"] == {"code": 4002, "reason": "bis bald", "wasClean": True}
    refused = {"opened": False, "closed": {"code": 1006, "reason": "", "wasClean": False}}
    assert report["refused"] == refused
