"""Every case of the corpus, cut in every way and answered early or late."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain
from zlib import crc32

import pytest

from tidegate.testing.wire import cuts

from .corpus import Case, Driver, load_cases, outcome, selected

CASES = load_cases()
ALL_CASES = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)

KEYS = {
    *("method", "target", "path", "query", "version", "headers", "body", "trailers"),
    *("keep_alive", "expects_continue", "upgrade"),
}


@ALL_CASES
def test_a_case_has_the_outcome_it_states(case: Case) -> None:
    found = outcome([case.input], case.limits, eof=case.eof)
    assert selected(found, case.expect) == case.expect


@ALL_CASES
def test_a_case_has_one_outcome_however_it_is_cut(case: Case) -> None:
    whole = outcome([case.input], case.limits, eof=case.eof)
    for pieces in cuts(case.input, crc32(case.id.encode()), randoms=5):
        assert outcome(pieces, case.limits, eof=case.eof) == whole, pieces[:20]


@ALL_CASES
def test_a_case_has_one_outcome_however_late_it_is_answered(case: Case) -> None:
    whole = outcome([case.input], case.limits, eof=case.eof)
    for pieces in cuts(case.input, crc32(case.id.encode()), randoms=2):
        assert outcome(pieces, case.limits, eof=case.eof, late=True) == whole, pieces[:20]


@pytest.mark.parametrize(
    "case", [case for case in CASES if "error" in repr(case.expect)], ids=lambda case: case.id
)
def test_a_core_that_refused_a_case_ignores_what_follows(case: Case) -> None:
    driver = Driver(case.limits)
    driver.run([case.input], eof=case.eof)
    driver.feed_after_error([b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\n", case.input])


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 600


def test_every_case_has_a_name_of_its_own() -> None:
    counts = Counter(case.name for case in CASES)
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_case_has_an_input_of_its_own() -> None:
    counts = Counter((case.input, repr(case.limits), case.eof) for case in CASES)
    assert [key for key, count in counts.items() if count > 1] == []


def test_every_case_cites_the_section_it_comes_from() -> None:
    cited = re.compile(r"RFC (3986|6585|9110|9112|9113) section [0-9]+(\.[0-9]+)*")
    assert [case.id for case in CASES if not cited.fullmatch(case.source)] == []


def test_cases_expect_only_what_the_driver_reports() -> None:
    for case in CASES:
        *requests, last = case.expect or [{}]
        if last.keys() not in ({"error"}, {"waiting"}):
            requests.append(last)
        assert set(chain.from_iterable(requests)) <= KEYS, case.id
