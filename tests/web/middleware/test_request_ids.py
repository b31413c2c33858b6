"""The id of a request, from the client to the log."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from tidegate.web.middleware import RequestID, RequestIDFilter, request_id, traceparent

from .driver import Recorder, ask, page, shake

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


async def test_a_new_id_is_made_for_each_request():
    app = Recorder()
    ids = []
    for _ in range(2):
        answer = await ask(RequestID()(app))
        ids.append(answer["x-request-id"])
        assert app.state["request_id"] == ids[-1]
        assert re.fullmatch(r"[0-9a-f]{32}", ids[-1])
    assert ids[0] != ids[1]


@pytest.mark.parametrize("given", ["a", "3f0c-11", "req:1/2+a=", "x" * 128])
async def test_a_harmless_id_of_the_client_is_kept(given):
    answer = await ask(RequestID()(page()), headers={"x-request-id": given})
    assert answer["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a\nb", "a\r\nx: y", '"', "x" * 129, "\u00e9", "a,b"])
async def test_any_other_id_is_replaced(given):
    answer = await ask(RequestID()(page()), headers={"x-request-id": given})
    assert re.fullmatch(r"[0-9a-f]{32}", answer["x-request-id"] or "")


async def test_two_ids_are_none():
    headers = [("x-request-id", "a"), ("x-request-id", "a")]
    assert len((await ask(RequestID()(page()), headers=headers))["x-request-id"] or "") == 32


async def test_the_field_and_what_is_accepted_can_be_chosen():
    wrap = RequestID("X-Correlation-ID", accept="[0-9]+")
    assert (await ask(wrap(page()), headers={"x-correlation-id": "12"}))["x-correlation-id"] == "12"
    answer = await ask(wrap(page()), headers={"x-correlation-id": "12a"})
    assert answer["x-correlation-id"] != "12a"
    nobody = RequestID(accept=None)
    answer = await ask(nobody(page()), headers={"x-request-id": "12"})
    assert answer["x-request-id"] != "12"


async def test_the_context_knows_the_id_while_the_request_is_served():
    seen = []

    async def app(scope, receive, send):
        seen.append(request_id.get())
        seen.append(await asyncio.create_task(in_a_task()))
        await page()(scope, receive, send)

    async def in_a_task():
        return request_id.get()

    await ask(RequestID()(app), headers={"x-request-id": "a"})
    assert seen == ["a", "a"]
    assert request_id.get() == "-"


async def test_the_context_forgets_the_id_of_a_request_that_failed():
    async def app(scope, receive, send):
        raise KeyError

    with pytest.raises(KeyError):
        await ask(RequestID(trace=True)(app))
    assert (request_id.get(), traceparent.get()) == ("-", None)


async def test_records_of_a_log_have_the_id():
    lines = []
    handler = logging.Handler()
    handler.setFormatter(logging.Formatter("[%(request_id)s] %(message)s"))
    handler.emit = lambda record: lines.append(handler.format(record))
    handler.addFilter(RequestIDFilter())
    logger = logging.Logger("a")
    logger.addHandler(handler)

    async def app(scope, receive, send):
        logger.info("inside")
        await page()(scope, receive, send)

    await ask(RequestID()(app), headers={"x-request-id": "a"})
    logger.info("outside")
    assert lines == ["[a] inside", "[-] outside"]


async def test_a_socket_has_an_id_too():
    app = Recorder()
    sent = await shake(RequestID()(app), headers={"x-request-id": "a"})
    assert sent == [{"type": "websocket.accept", "headers": [(b"x-request-id", b"a")]}]
    assert app.state["request_id"] == "a"


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (f"00-{TRACE}-{PARENT}-01", "01"),
        (f"00-{TRACE}-{PARENT}-00", "00"),
        (f"00-{TRACE}-{PARENT}-fb", "01"),
        (f"cc-{TRACE}-{PARENT}-01-more", "01"),
    ],
)
async def test_a_trace_is_continued(given, flags):
    app = Recorder()
    answer = await ask(RequestID(trace=True)(app), headers={"traceparent": given})
    found = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-{flags}", app.state["traceparent"])
    assert found is not None
    assert found[1] != PARENT
    assert answer["x-request-id"] == TRACE


@pytest.mark.parametrize(
    "given",
    [
        *("", "00", f"00-{TRACE}-{PARENT}", f"ff-{TRACE}-{PARENT}-01"),
        *(f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01"),
        *(f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01more"),
    ],
)
async def test_what_is_not_a_trace_begins_a_new_one(given):
    app = Recorder()
    answer = await ask(RequestID(trace=True)(app), headers={"traceparent": given})
    found = re.fullmatch(r"00-([0-9a-f]{32})-[0-9a-f]{16}-01", app.state["traceparent"])
    assert found is not None
    assert found[1] not in (TRACE, "0" * 32)
    assert answer["x-request-id"] == found[1]


async def test_the_context_knows_the_trace():
    seen = []

    async def app(scope, receive, send):
        seen.append((traceparent.get(), scope["state"]["traceparent"]))
        await page()(scope, receive, send)

    await ask(RequestID(trace=True)(app))
    assert seen[0][0] == seen[0][1] is not None
    await ask(RequestID()(Recorder()))
    assert traceparent.get() is None
