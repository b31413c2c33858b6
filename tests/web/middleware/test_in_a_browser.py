"""What a browser makes of it: the other half of CORS, CSRF, CSP and cookies is in there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

HERE = Path(__file__).parent
# The launcher lives beside the tests of the frameworks.
sys.path.insert(0, str(HERE.parent.parent / "apps"))

from launcher import Launcher  # noqa: E402

pytestmark = pytest.mark.once


@pytest.fixture
def launch() -> Iterator[Launcher]:
    with Launcher(HERE / "applications").opened() as launcher:
        yield launcher


def test_a_browser_keeps_to_what_middleware_says(launch: Launcher, page: Page) -> None:
    own, peer = launch("wrapped_site:app"), launch("wrapped_site:app")
    page.goto(f"{own.base_url}/page?peer={peer.base_url}")
    page.wait_for_selector("#report.done", timeout=30_000)
    report = json.loads(page.inner_text("#report"))
    coding = report.pop("coding")
    assert coding in ("gzip", "br", "zstd")
    assert report == {
        "injected": False,
        "open": [200, "open"],
        "withCredentials": [200, "open"],
        "exposed": True,
        "put": [200, "open"],
        "otherHeader": "refused",
        "otherMethod": "refused",
        "fails": [500, "fails"],
        "closed": "refused",
        "closedPut": "refused",
        "star": [200, "star"],
        "starWithCredentials": "refused",
        "unmarked": "refused",
        "ownPost": [200, "in"],
        "ownSocket": "open",
        "peerSocket": "refused",
        "count": [[200, "1"], [200, "2"]],
        "text": [200, 45_000],
        "peerVisits": [200, ""],
        "ownVisits": [200, "http,websocket"],
    }
