"""Stalls of one line are one record, and few lines of the log."""

from __future__ import annotations

import logging

import pytest

from tidegate.bridge.guard import stalls as module
from tidegate.bridge.guard.frames import Line
from tidegate.bridge.guard.stalls import Sighting, Stalls


class Book:
    """Stalls on a clock of the test's own."""

    def __init__(self) -> None:
        self.time = 0.0
        self.stalls = Stalls(lambda: self.time)

    def add(
        self, line: int = 7, seconds: float = 0.25, computed: bool = False, **more: object
    ) -> None:
        place = Line("shop.py", line, "view")
        sighting = Sighting(place, place, ("time.sleep",), "GET /", samples=3)
        for name, value in more.items():
            setattr(sighting, name, value)
        self.stalls.add(sighting, seconds, 4, computed)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages so far; ``tidegate`` may have been cut off from the root logger."""
    monkeypatch.setattr(logging.getLogger("tidegate"), "propagate", True)
    caplog.set_level(logging.WARNING, "tidegate")
    messages: list[str] = []
    monkeypatch.setattr(caplog.handler, "emit", lambda record: messages.append(record.getMessage()))
    return messages


def test_stalls_of_one_line_are_one_record(book: Book) -> None:
    book.add(seconds=0.25)
    book.add(seconds=0.5, computed=True, request="GET /b")
    book.add(line=8, seconds=0.3)
    first, second = book.stalls.report()
    assert (str(first), first.count, first.seconds, first.longest) == (
        "shop.py:7 in view()",
        2,
        0.75,
        0.5,
    )
    assert (first.request, first.samples, first.computed, first.waited) == (
        "GET /b",
        8,
        True,
        False,
    )
    assert (second.line, second.count) == (8, 1)
    assert second.waited


def test_the_report_is_a_copy(book: Book) -> None:
    book.add()
    book.stalls.report()[0].count = 99
    assert book.stalls.report()[0].count == 1


def test_a_new_line_is_logged_once_with_all_there_is_to_know(book: Book, log: list[str]) -> None:
    for _ in range(3):
        book.add(innermost=Line("lib.py", 1, "read"))
    assert log == [
        "Event loop blocked 250 ms at shop.py:7 in view() while serving GET /: (no source)"
        " [in lib.py:1 in read()] [waited; 3 of 4 samples] Advice: time.sleep -> asyncio.sleep"
    ]


def test_what_no_row_knows_is_advised_by_what_it_did(book: Book) -> None:
    book.add(line=1, names=("shop.count",), computed=True)
    book.add(line=2, names=("shop.count",), computed=False)
    advice = {stall.line: stall.advice for stall in book.stalls.report()}
    assert advice == {
        1: "call it in a process pool",
        2: "call it in a thread: await to_thread(...)",
    }


def test_advice_comes_with_the_note_of_its_row(book: Book) -> None:
    book.add(names=("redis.client.Redis.get",))
    (stall,) = book.stalls.report()
    assert stall.call == "redis.client.Redis.get"
    assert stall.advice.endswith("(In the same package)")


def test_known_lines_are_summed_up_once_a_minute(book: Book, log: list[str]) -> None:
    book.add()
    for seconds in (0.25, 0.5):
        book.add(seconds=seconds)
        book.add(line=8, seconds=0.125)
    log.clear()
    book.time = 59.0
    book.stalls.sum_up()
    assert log == []
    book.time = 61.0
    book.stalls.sum_up()
    book.stalls.sum_up()
    assert log == [
        "Event loop blocked 3 more times, 0.9 s in all; most at shop.py:7 (2 times, 0.8 s)"
    ]
    book.time = 200.0
    book.stalls.sum_up()
    assert len(log) == 1


def test_records_are_bounded_and_the_cheapest_goes_first(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_LINES", 3)
    for line, seconds in ((1, 0.5), (2, 0.2), (3, 0.9), (4, 0.1), (5, 0.6)):
        book.add(line=line, seconds=seconds)
    assert [stall.line for stall in book.stalls.report()] == [3, 5, 1]
