"""Somebody opens the demo and tries everything on it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcher import Server
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent.parent
expect.set_options(timeout=30_000)


@pytest.fixture
def opened(demo: Server, page: Page) -> Iterator[Page]:
    """The page of the demo; no script fails on it, and nothing is asked for elsewhere."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "warning" else None)
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    page.goto(demo.base_url)
    yield page
    assert wrong == []
    assert {url for url in asked if not url.startswith((demo.base_url, "data:"))} == set()


def test_notes_are_written_found_and_deleted(opened: Page) -> None:
    notes = opened.locator("#notes")
    expect(notes.locator("output")).to_have_text("0 notes")
    for text in ("Buy milk", "Call Ann", "50 % off"):
        notes.get_by_label("Text of the note").fill(text)
        if text == "Call Ann":
            notes.get_by_label("urgent").check()
        notes.get_by_role("button", name="Write").click()
        expect(notes.locator("li").first).to_contain_text(text)
    expect(notes.locator("output")).to_have_text("3 notes")
    expect(notes.locator("li.urgent span")).to_have_text("Call Ann")
    # A percent sign is what is searched for, not a pattern.
    notes.get_by_label("Search notes").fill("% ")
    expect(notes.locator("li span")).to_have_text(["50 % off"])
    notes.get_by_label("Search notes").fill("")
    expect(notes.locator("li")).to_have_count(3)
    notes.get_by_role("button", name="Delete Buy milk").click()
    expect(notes.locator("li span")).to_have_text(["50 % off", "Call Ann"])


def test_a_note_that_is_not_valid_is_explained(opened: Page) -> None:
    notes = opened.locator("#notes")
    notes.get_by_role("button", name="Write").click()
    expect(notes.locator("output")).to_have_text("422 #/text: Expected 'str' of length >= 1")


def test_two_people_talk(opened: Page, browser: BrowserContext) -> None:
    other = browser.new_page()
    other.goto(opened.url)
    for page, name in ((opened, "Ann"), (other, "Bob")):
        page.get_by_label("Your name").fill(name)
        page.get_by_role("button", name="Join").click()
        expect(page.locator("#chat output")).to_have_text("You are in the room")
    for page, text in ((opened, "Hello, Bob"), (other, "Hello, <b>Ann</b>")):
        page.get_by_label("What to say").fill(text)
        page.get_by_role("button", name="Say", exact=True).click()
        for each in (opened, other):
            expect(each.locator("#chat li").last).to_contain_text(text)
    lines = ["Bob is here", "Ann: Hello, Bob", "Bob: Hello, <b>Ann</b>"]
    expect(other.locator("#chat li")).to_have_text(lines)
    other.get_by_role("button", name="Leave").click()
    expect(other.locator("#chat output")).to_have_text("You have left")
    said = ["Ann is here", *lines, "Bob has left"]
    expect(opened.locator("#chat li")).to_have_text(said)


def test_what_happens_is_followed_by_all(opened: Page, browser: BrowserContext) -> None:
    other = browser.new_page()
    other.goto(opened.url)
    expect(other.locator("#happenings output")).to_have_text("Following")
    opened.get_by_label("Text of the note").fill("Buy milk")
    opened.get_by_role("button", name="Write").click()
    for page in (opened, other):
        expect(page.locator("#happenings li span")).to_have_text("note: 'Buy milk' was written")


def test_primes_are_found_while_others_are_answered(opened: Page) -> None:
    opened.get_by_role("button", name="Find primes").click()
    # Also if the process needs long to start.
    output = opened.locator("#primes output")
    expect(output).to_contain_text("148933 primes, the largest 1999993")
    found = re.search(r"(\d+) other requests", output.inner_text())
    assert found is not None
    assert int(found[1]) >= 1
    opened.get_by_label("Limit").fill("9000000")
    opened.get_by_role("button", name="Find primes").click()
    expect(output).to_have_text("422 limit: Expected 'int' <= 5000000")


def test_the_old_site_answers_in_its_threads(opened: Page) -> None:
    opened.get_by_label("Name for the greeting").fill("Ann")
    opened.get_by_role("button", name="Greet").click()
    expect(opened.locator("#old output")).to_contain_text("Hello, Ann (tidegate-wsgi-")
    opened.get_by_role("link", name="/old").click()
    opened.get_by_role("link", name="A greeting").click()
    expect(opened.locator("body")).to_contain_text("Hello, stranger")


def test_the_documentation_is_a_click_away(opened: Page) -> None:
    opened.get_by_role("link", name="/docs").click()
    expect(opened.locator("h1")).to_have_text("Tidegate demo 1.0")


def test_make_serves_the_demo() -> None:
    command = ["make", "--dry-run", "serve", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "tidegate run demo:app --app-dir examples --host 127.0.0.1 --port 8000" in done.stdout
