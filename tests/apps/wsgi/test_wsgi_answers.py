"""WSGI frameworks and applications answer as they do under gunicorn."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from conversations import CONVERSATIONS, DRAWN, IN_CHUNKS, chunked_uploads
from launcher import TRACEBACK, Server
from visitor import PARTS, Answer, Conversation, Visitor, differences


def hold(conversation: Conversation, server: Server, name: str, patient: bool) -> list[Answer]:
    visitor = Visitor(server.port, DRAWN.get(name, ()), patient)
    try:
        conversation(visitor)
    finally:
        visitor.close()
    return visitor.answers


@pytest.mark.parametrize(
    ("name", "conversation"),
    [
        pytest.param(name, conversation, id=f"{name}-{conversation.__name__}")
        for name, conversations in CONVERSATIONS.items()
        for conversation in conversations
    ],
)
def test_an_application_answers_as_it_does_under_gunicorn(
    pairs: Callable[[str], Any], name: str, conversation: Conversation
) -> None:
    pair = pairs(name)
    ours = hold(conversation, pair.tidegate, name, patient=False)
    # It closes connections on which content was left unread, without a word.
    theirs = hold(conversation, pair.gunicorn, name, patient=True)
    assert len(ours) == len(theirs)
    assert "\n".join(differences(ours, theirs)) == ""
    pair.tidegate.check()
    pair.gunicorn.check()


# Not compared for Bottle and Django: both need a length, and gunicorn has none
# to tell; it tells the coding instead, which Bottle then looks for in vain.
@pytest.mark.parametrize("name", ["bottle", "django", "flask", "pyramid"])
def test_an_upload_of_unknown_length_arrives_whole(pairs: Callable[[str], Any], name: str) -> None:
    ours = hold(chunked_uploads, pairs(name).tidegate, name, patient=False)
    found = [json.loads(answer.body) for answer in ours]
    sent = [b"".join(IN_CHUNKS), b"", b"x"]
    assert found == [{"size": len(data), "sha256": sha256(data).hexdigest()} for data in sent]


# Bottle, Django and Flask answer themselves what a view raises.  Pyramid leaves
# it to the server, whose page is its own.
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("bottle", PARTS),
        ("django", PARTS),
        ("flask", PARTS),
        ("pyramid", ("status", "reason")),
    ],
)
def test_what_a_view_raises_is_answered_with_500(
    pairs: Callable[[str], Any], name: str, parts: tuple[str, ...]
) -> None:
    def broken(visitor: Visitor) -> None:
        visitor.ask("GET", "/broken")

    pair = pairs(name)
    ours = hold(broken, pair.tidegate, name, patient=False)
    theirs = hold(broken, pair.gunicorn, name, patient=True)
    assert ours[0].status == 500
    assert "\n".join(differences(ours, theirs, parts)) == ""
    for server in (pair.tidegate, pair.gunicorn):
        if name != "django":  # which is silent outside its debug mode
            # The last line of the traceback.
            server.wait_for_log(f"(?s){re.escape(TRACEBACK)}.*RuntimeError: this view is broken")
        server.forgive()
