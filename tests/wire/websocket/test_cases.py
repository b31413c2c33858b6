"""Every case of the published suite, cut in every way."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from zlib import crc32

import pytest

from .cases import COUNTS, Case, cases, large_cases
from .driver import Driver, calls

CASES = list(cases())
LARGE = dict(large_cases())
ALL_CASES = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
FAILING_FAST = pytest.mark.parametrize(
    "case", [case for case in CASES if case.refused_at], ids=lambda case: case.id
)

# Longer ones are not fed byte by byte.
SHORT = 2000


def random_cut(data: bytes, seed: int) -> list[bytes]:
    """Cut data in up to thirty places."""
    chooser = random.Random(seed)
    places = {chooser.randrange(len(data)) for _ in range(chooser.randint(1, 30))}
    edges = sorted({0, *places, len(data)})
    return [data[start:end] for start, end in pairwise(edges)]


@ALL_CASES
def test_a_case_leads_to_the_calls_it_states(case: Case) -> None:
    assert calls(case.pieces) == case.calls
    assert calls([case.input]) == case.calls


@pytest.mark.parametrize("number", LARGE)
def test_a_large_case_leads_to_the_calls_it_states(number: str) -> None:
    case = LARGE[number]()
    assert calls(case.pieces) == case.calls
    assert calls(random_cut(case.input, crc32(case.id.encode()))) == case.calls


@ALL_CASES
def test_a_case_leads_to_the_same_calls_however_it_is_cut(case: Case) -> None:
    data = case.input
    seed = crc32(case.id.encode())
    for number in range(5 if len(data) < SHORT else 1):
        pieces = random_cut(data, seed + number)
        assert calls(pieces) == case.calls, list(map(len, pieces))
    if len(data) < SHORT:
        assert calls(data[place : place + 1] for place in range(len(data))) == case.calls


@ALL_CASES
@pytest.mark.parametrize("late", [False, True])
def test_a_case_leads_to_the_same_calls_when_every_message_waits(case: Case, late: bool) -> None:
    for pieces in (case.pieces, [case.input], random_cut(case.input, crc32(case.id.encode()))):
        assert Driver().feed_slowly(pieces, late) == case.calls


@FAILING_FAST
def test_a_case_is_refused_with_the_byte_that_makes_it_wrong(case: Case) -> None:
    driver = Driver()
    end = case.refused_at or 0
    before = driver.feed([case.input[: end - 1]])
    assert before == case.calls[:-1]
    assert driver.feed([case.input[end - 1 : end]]) == case.calls


def test_the_cases_are_all_there_and_each_has_its_number() -> None:
    numbers = [case.id for case in CASES] + list(LARGE)
    assert Counter(int(number.partition(".")[0]) for number in numbers) == COUNTS
    assert len(set(numbers)) == len(numbers)


def test_the_cases_of_utf8_are_as_many_valid_as_the_suite_has() -> None:
    sequences = [case for case in CASES if case.group == 6 and case.id.count(".") == 2]
    valid = [case for case in sequences if case.calls[0][0] == "message"]
    assert (len(sequences), len(valid)) == (145, 70)
