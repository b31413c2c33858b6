"""A browser, without a window, whose page follows the code."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ..server.process import launched

pytestmark = pytest.mark.once

APPLICATION = """
async def app(scope, receive, send):
    headers = [(b"content-type", b"text/html"), (b"content-security-policy", b"default-src 'self'")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"<h1>WORD</h1>"})
"""


def test_a_page_loads_again_when_the_code_changed(tmp_path: Path, page: Page) -> None:
    def write(word: str, before: str = "") -> None:
        (tmp_path / "new").write_text(before + APPLICATION.replace("WORD", word))
        (tmp_path / "new").replace(tmp_path / "page_of_words.py")

    write("first")
    options = ("--reload", "--live-reload", "--lifespan", "off")
    with launched(tmp_path, "page_of_words:app", *options) as process:
        page.goto(f"http://127.0.0.1:{process.port()}/")
        heading = page.locator("h1")
        expect(heading).to_have_text("first")
        write("second")
        expect(heading).to_have_text("second", timeout=30_000)
        write("broken", before="1 / 0\n")
        expect(page.locator(".reason")).to_contain_text("ZeroDivisionError", timeout=30_000)
        write("third")
        expect(heading).to_have_text("third", timeout=30_000)
        assert process.stop() == 0
