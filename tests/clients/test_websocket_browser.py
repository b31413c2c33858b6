"""A browser, without a window, opens sockets to the server that served it the page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from launcher import Launcher
from playwright.sync_api import Page

pytestmark = pytest.mark.once


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
