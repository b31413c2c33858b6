"""What a developer sees when the application did not start."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tidegate.asgi import Message
from tidegate.errors import ConfigError
from tidegate.server.failure import FailurePage, described
from tidegate.server.server import StartupFailed


async def sent(page: FailurePage, kind: str = "http", accept: bytes = b"*/*") -> list[Message]:
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        messages.append(message)

    scope: dict[str, Any] = {"type": kind, "headers": [(b"accept", accept)]}
    await page(scope, receive, send)
    return messages


async def test_a_browser_gets_a_page_in_which_nothing_is_markup() -> None:
    start, body = await sent(FailurePage("a <b>\nValueError: <i> & 1\n"), accept=b"text/html")
    headers = dict(start["headers"])
    assert start["status"] == 503
    assert headers[b"content-type"] == b"text/html; charset=utf-8"
    assert headers[b"cache-control"] == b"no-store"
    assert int(headers[b"content-length"]) == len(body["body"])
    assert b'<p class="reason">ValueError: &lt;i&gt; &amp; 1</p>' in body["body"]
    assert b"<b>" not in body["body"]


async def test_other_clients_get_a_problem_document() -> None:
    start, body = await sent(FailurePage("a\nValueError: 1\n"))
    assert dict(start["headers"])[b"content-type"] == b"application/problem+json"
    assert json.loads(body["body"]) == {
        "title": "The application did not start",
        "status": 503,
        "detail": "ValueError: 1",
        "traceback": ["a", "ValueError: 1"],
    }


async def test_a_socket_is_refused() -> None:
    assert await sent(FailurePage("a"), "websocket") == [{"type": "websocket.close", "code": 1011}]


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        if cause is None:
            raise error
        raise error from cause
    except BaseException as found:
        return found


def test_an_exception_of_the_application_is_shown_with_its_traceback() -> None:
    text = described(raised(StartupFailed("x"), raised(ValueError("inner"))))
    assert text.startswith("Traceback")
    assert text.endswith("ValueError: inner\n")


def test_a_complaint_of_ours_is_shown_as_a_sentence() -> None:
    assert described(raised(ConfigError("no module"))) == "no module\n"


def test_a_syntax_error_is_shown_with_its_line() -> None:
    def load() -> None:
        try:
            compile("x = = 1", "shop.py", "exec")
        except SyntaxError:
            raise ConfigError("shop.py, line 1: invalid syntax") from None

    with pytest.raises(ConfigError) as found:
        load()
    text = described(found.value)
    assert text.startswith("shop.py, line 1: invalid syntax\n")
    assert "x = = 1" in text
    assert text.endswith("SyntaxError: invalid syntax\n")


def test_an_exit_is_shown_with_its_traceback() -> None:
    assert described(raised(SystemExit(3))).endswith("SystemExit: 3\n")
