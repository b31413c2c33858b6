"""The page at ``/docs`` in a browser: it shows everything, tries everything, and stays at home."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.once

HERE = Path(__file__).parent
# The launcher lives beside the tests of the frameworks.
sys.path.insert(0, str(HERE.parent / "apps"))

from launcher import Launcher  # noqa: E402

expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Where the application is served."""
    with Launcher(HERE / "applications").opened() as launch:
        yield launch("documented:app").base_url


@pytest.fixture
def docs(site: str, page: Page) -> Iterator[Page]:
    """The page, below a mount; it asks nobody else, and breaks no rule of its own."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # A breach of the content security policy is told on the console.
    page.on("console", lambda said: wrong.append(said.text) if "Policy" in said.text else None)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto(f"{site}/api/v1/docs")
    assert answer is not None
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    expect(page.locator("section").first).to_be_visible()
    yield page
    assert wrong == []
    assert [url for url in asked if not url.startswith(f"{site}/")] == []


def send(docs: Page, name: str) -> Locator:
    """Press the button of an operation; return where the answer appears."""
    docs.locator(f"[data-send={name}]").click()
    return docs.locator(f"#{name} [role=status]")


def answer(place: Locator) -> object:
    """What was answered, once it is there."""
    expect(place.locator("pre")).to_be_visible()
    return json.loads(place.locator("pre").inner_text())


def test_everything_is_listed(docs: Page) -> None:
    expect(docs).to_have_title("<b>Shop</b> 3")
    expect(docs.locator("#description")).to_have_text("Things & <i>more</i>")
    links = [link.inner_text() for link in docs.locator("#index a").all()]
    assert links == [
        *("GET /items/{id}", "POST /items", "GET /large", "QUERY /found", "GET /events"),
        *("/events", "/chat/{room}"),
    ]
    expect(docs.locator("#show p")).to_have_text("All of <script>it</script>.")
    expect(docs.locator("#create")).to_contain_text("string, minLength 1")
    expect(docs.locator("#large h3.deprecated")).to_be_visible()


def test_channels_say_what_they_carry(docs: Page) -> None:
    chat = docs.locator("#channel-chat")
    expect(chat).to_contain_text("SOCKET/chat/{room}Talk.")
    expect(chat).to_contain_text("incoming: ")
    expect(chat).to_contain_text("price")
    expect(chat).to_contain_text("outgoing: Said")
    expect(docs.locator("#channel-events")).to_contain_text("EVENTS/eventsFollow.")
    expect(docs.locator("#channel-events td").first).to_have_text("who *")


def test_search_leaves_what_fits(docs: Page) -> None:
    docs.get_by_label("Search operations").fill("chat")
    expect(docs.locator("section:visible")).to_have_count(1)
    expect(docs.locator("#index a:visible")).to_have_text(["/chat/{room}"])
    docs.get_by_label("Search operations").fill("")
    expect(docs.locator("section:visible")).to_have_count(7)


def test_parameters_are_sent_where_they_belong(docs: Page) -> None:
    section = docs.locator("#show")
    expect(section.get_by_label("query word")).to_have_value("a b")
    section.get_by_label("path id").fill("ä $& b")
    section.get_by_label("query many").fill("1, 2")
    section.get_by_label("header x-agent").fill("me")
    expect(section.get_by_label("cookie session")).to_be_disabled()
    place = send(docs, "show")
    found = answer(place)
    assert found == {
        "id": "ä $& b",
        "many": [1, 2],
        "word": "a b",
        "agent": "me",
        "path": "/api/v1/items/ä $& b",
    }
    expect(place.locator("p.good")).to_contain_text("200 OK in")


def test_content_is_sent_as_it_was_written(docs: Page) -> None:
    content = docs.locator("#create").get_by_label("content")
    assert json.loads(content.input_value()) == {"name": "text", "price": 1.5}
    content.fill('{"name": "Lamp"}')
    place = send(docs, "create")
    assert answer(place) == {"name": "Lamp", "price": 1.5}
    expect(place.locator("p")).to_contain_text("201 Created")


def test_a_problem_is_shown(docs: Page) -> None:
    docs.locator("#create").get_by_label("content").fill('{"name": ""}')
    place = send(docs, "create")
    expect(place.locator("p.bad")).to_contain_text("422")
    expect(place.locator("pre")).to_contain_text('"pointer": "#/name"')


def test_large_numbers_are_shown_as_they_came(docs: Page) -> None:
    expect(send(docs, "large").locator("pre")).to_have_text('{"id":9007199254740993}')


def test_the_query_method_can_be_tried(docs: Page) -> None:
    expect(send(docs, "found").locator("pre")).to_have_text("text was found")


def test_events_are_shown_as_they_come(docs: Page) -> None:
    expect(send(docs, "events").locator("pre")).to_contain_text('data: {"who":"ann"')


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(docs: Page, scheme: str) -> None:
    docs.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    # WCAG 2.2, success criterion 1.4.3: 4.5 to 1.
    assert docs.evaluate(CONTRASTS) == []


# Answers what is too faint: class and ratio.
CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const light = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const ground = light(dark ? "#121212" : "#ffffff");
  return ["quiet", "good", "bad", "method"].flatMap((name) => {
    const probe = document.createElement("span");
    probe.className = name;
    document.body.append(probe);
    const found = light(getComputedStyle(probe).color);
    probe.remove();
    const ratio = (Math.max(found, ground) + 0.05) / (Math.min(found, ground) + 0.05);
    return ratio >= 4.5 ? [] : [[name, ratio]];
  });
}"""
