"""Pages get a script that loads them again; nothing else is touched."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tidegate.asgi import Message, Receive, Scope, Send
from tidegate.server.live import LiveReload

from .running import running

SCRIPT = b'\n<script src="/.tidegate/live.js?%b"></script>\n'
SIZE = len(SCRIPT % bytes(32))
HTML = (b"content-type", b"text/html; charset=utf-8")


class Answering:
    """An application that sends these messages, and keeps the scope."""

    def __init__(self, *messages: Message) -> None:
        self.messages = messages
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        for message in self.messages:
            await send(message)


def answering(*bodies: bytes, status: int = 200, headers: Any = (HTML,)) -> Answering:
    start = {"type": "http.response.start", "status": status, "headers": list(headers)}
    last = len(bodies) - 1
    return Answering(
        start,
        *(
            {"type": "http.response.body", "body": body, "more_body": number < last}
            for number, body in enumerate(bodies)
        ),
    )


async def sent(application: Any, path: str = "/", **scope: Any) -> list[Message]:
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    await application({"type": "http", "method": "GET", "path": path, **scope}, receive, send)
    return messages


async def process_of(live: LiveReload) -> bytes:
    """Return the name that the stream gives."""
    event = content(await sent(live, path="/.tidegate/live"))
    return event.removeprefix(b"retry: 100\ndata: ").removesuffix(b"\n\n")


def content(messages: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in messages)


async def test_a_page_gets_the_script_at_its_end() -> None:
    length = (b"Content-Length", b"6")
    live = LiveReload(answering(b"<p>", b"</p", b">", headers=[HTML, length]))
    messages = await sent(live)
    assert content(messages) == b"<p></p>" + SCRIPT % await process_of(live)
    assert (b"Content-Length", b"%d" % (6 + SIZE)) in messages[0]["headers"]
    assert len(messages) == 4


async def test_a_page_that_says_what_is_wrong_gets_it_too() -> None:
    live = LiveReload(answering(b"no", status=503))
    assert content(await sent(live)) == b"no" + SCRIPT % await process_of(live)


@pytest.mark.parametrize(
    ("status", "headers", "method"),
    [
        (200, [(b"content-type", b"application/json")], "GET"),
        (200, [], "GET"),
        (200, [HTML, (b"content-encoding", b"gzip")], "GET"),
        (206, [HTML], "GET"),
        (304, [HTML], "GET"),
        (200, [HTML], "HEAD"),
        (200, [HTML], "POST"),
    ],
)
async def test_what_is_no_whole_page_is_left_alone(status: int, headers: Any, method: str) -> None:
    inner = answering(b"as it is", status=status, headers=headers)
    assert await sent(LiveReload(inner), method=method) == list(inner.messages)


async def test_files_come_as_bodies_so_that_something_can_be_added() -> None:
    inner = answering(b"")
    extensions = {"http.response.pathsend": {}, "http.response.push": {}}
    await sent(LiveReload(inner), extensions=extensions)
    assert inner.scope["extensions"] == {"http.response.push": {}}


async def test_below_a_root_path_the_script_is_found_there() -> None:
    live = LiveReload(answering(b""))
    assert b'src="/api/.tidegate/live.js?' in content(
        await sent(live, path="/api/", root_path="/api")
    )
    script = await sent(live, path="/api/.tidegate/live.js", root_path="/api")
    assert b"EventSource" in content(script)


async def test_other_calls_pass_unchanged() -> None:
    inner = Answering()
    scope = {"type": "lifespan"}
    await LiveReload(inner)(scope, None, None)  # type: ignore[arg-type]
    assert inner.scope is scope


async def test_each_process_has_a_name_of_its_own() -> None:
    one, two = LiveReload(answering()), LiveReload(answering())
    first = await sent(one, path="/.tidegate/live")
    assert dict(first[0]["headers"])[b"content-type"] == b"text/event-stream"
    assert content(first).startswith(b"retry: 100\ndata: ")
    assert await process_of(one) == await process_of(one)
    assert await process_of(one) != await process_of(two)


async def test_the_server_adds_it_where_it_was_asked_for() -> None:
    # An embedded server restarts nothing, but the application is wrapped the same.
    async with running(
        "tests.server.test_live:page", reload=True, live_reload=True, lifespan="off"
    ) as server:
        answer = await server.get()
    assert re.fullmatch(b"page" + re.escape(SCRIPT).replace(b"%b", b"[0-9a-f]{32}"), answer.body)


page = answering(b"page", headers=[HTML, (b"content-length", b"4")])
