"""Content of files by what a server offers: itself, by descriptor, by path, or in pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tidegate.asgi import Message
from tidegate.files.answer import Content
from tidegate.files.kind import kind_of, with_charset
from tidegate.files.opened import Opened
from tidegate.files.transfer import send_content

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "a").write_bytes(CONTENT)
    return str(tmp_path / "a")


async def sent(path: str, content: Content, *offered: str, method: str = "GET") -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(dict(message))

    extensions = {f"http.response.{name}": {} for name in offered}
    scope: dict[str, Any] = {"method": method, "extensions": extensions}
    file = Opened(path)
    try:
        await send_content(scope, send, file, content)
    finally:
        file.close()
    return messages


def kinds(messages: list[Message]) -> list[str]:
    return [message["type"].rpartition(".")[2] for message in messages]


async def test_a_descriptor_is_better_than_a_path(path: str) -> None:
    size = len(CONTENT)
    (message,) = await sent(path, [(0, size)], "pathsend", "zerocopysend")
    assert message["type"] == "http.response.zerocopysend"
    assert (message["offset"], message["count"], message["more_body"]) == (0, size, False)
    (message,) = await sent(path, [(0, size)], "pathsend")
    assert message == {"type": "http.response.pathsend", "path": path}


async def test_parts_and_what_is_between_them_come_in_order(path: str) -> None:
    content: Content = [b"a", (0, 5), b"b", (10, 20), b"c"]
    messages = await sent(path, content, "pathsend", "zerocopysend")
    assert kinds(messages) == ["body", "zerocopysend", "body", "zerocopysend", "body"]
    assert [message["more_body"] for message in messages] == [True] * 4 + [False]
    pieces = await sent(path, content, "pathsend")
    assert b"".join(each["body"] for each in pieces) == b"a%bb%bc" % (CONTENT[:5], CONTENT[10:20])
    assert [message["more_body"] for message in pieces] == [True] * 4 + [False]


async def test_without_help_it_comes_in_pieces(path: str) -> None:
    messages = await sent(path, [(5, len(CONTENT))])
    assert [len(message["body"]) for message in messages] == [262144, 249851]
    assert b"".join(message["body"] for message in messages) == CONTENT[5:]


async def test_nothing_is_one_empty_piece(path: str) -> None:
    for content in ([], [(0, 0)]):
        (message,) = await sent(path, content)
        assert (message["body"], message.get("more_body", False)) == (b"", False)
    (message,) = await sent(path, [(0, 5)], "zerocopysend", method="HEAD")
    assert message == {"type": "http.response.body", "body": b""}


async def test_a_file_that_became_shorter_is_an_error(path: str) -> None:
    with pytest.raises(OSError, match="became shorter"):
        await sent(path, [(0, len(CONTENT) + 1)])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.js", b"text/javascript; charset=utf-8"),
        ("a.MJS", b"text/javascript; charset=utf-8"),
        ("a.webmanifest", b"application/manifest+json"),
        ("a.css", b"text/css; charset=utf-8"),
        ("a.svg", b"image/svg+xml"),
        ("a.tar.gz", b"application/octet-stream"),
        ("js", b"application/octet-stream"),
        ("", b"application/octet-stream"),
    ],
)
def test_the_name_says_what_it_is(name: str, kind: bytes) -> None:
    assert with_charset(kind_of(name)) == kind
