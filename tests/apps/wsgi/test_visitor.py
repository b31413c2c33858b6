"""Would the comparison notice a difference?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from visitor import ALLOWED, Answer, differences

ANSWER = Answer("GET /", 200, "OK", (("etag", '"1"'), ("set-cookie", "a=1")), b"content", True)


@pytest.mark.parametrize(
    "change",
    [
        {"status": 203},
        {"reason": "Fine"},
        {"body": b"contents"},
        {"headers": (("etag", '"1"'),)},
        {"headers": (*ANSWER.headers, ("vary", "cookie"))},
        {"headers": (*ANSWER.headers, ("set-cookie", "a=1"))},
        {"headers": (("etag", '"2"'), ("set-cookie", "a=1"))},
        {"sized": False},
    ],
)
def test_each_part_of_an_answer_counts(change: dict[str, object]) -> None:
    assert len(differences([replace(ANSWER, **change)], [ANSWER])) == 1  # type: ignore[arg-type]


def test_the_same_answers_do_not_differ_and_to_announce_more_is_no_difference() -> None:
    assert differences([ANSWER], [ANSWER]) == []
    assert differences([ANSWER], [replace(ANSWER, sized=False)]) == []


def test_what_may_differ_is_about_the_server_and_its_connection() -> None:
    assert set(ALLOWED) == {"connection", "date", "keep-alive", "server", "transfer-encoding"}
