"""Whether the server would start is found out without starting anything."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.server import check as checking
from tidegate.server.check import check, takes_lifespan
from tidegate.server.config import Config


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise AssertionError("there was an event")


async def without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise RuntimeError(scope["type"])


async def returning(scope: Scope, receive: Receive, send: Send) -> None: ...


async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def test_an_application_that_waits_for_events_takes_them() -> None:
    assert await takes_lifespan(application) is True


async def test_an_application_that_raises_or_returns_does_not() -> None:
    assert await takes_lifespan(without_lifespan) is False
    assert await takes_lifespan(returning) is False


async def test_nobody_knows_about_an_application_that_waits_for_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checking, "_PROBE_SECONDS", 0.01)
    assert await takes_lifespan(waiting) is None


def test_an_object_can_be_checked_too() -> None:
    findings = check(Config(application))
    assert findings.complaints == []
    (fact,) = findings.facts
    assert fact.endswith("an ASGI application, takes lifespan events")


def test_every_target_that_cannot_be_found_is_named() -> None:
    findings = check(Config("no_such:app", mounts={"/a": "asgi:nor_such:app"}))
    assert findings.facts == []
    assert [text.partition(": there is no")[0] for text in findings.complaints] == [
        "no_such:app",
        "/a = asgi:nor_such:app",
    ]
