"""Requests and responses: methods, content, framing, fields and the scope."""

from __future__ import annotations

import asyncio

import pytest
from tests.behaviour.applications import Kept, Sends
from tests.behaviour.conftest import Serve
from tests.net.applications import Held, hello, reading, respond

from tidegate.asgi import Receive, Scope, Send

MEGABYTE = bytes(range(256)) * 4096

START = {"type": "http.response.start", "status": 200}
END = {"type": "http.response.body"}


def start(status: int, *fields: tuple[bytes, bytes], **more: object) -> dict[str, object]:
    return {"type": "http.response.start", "status": status, "headers": list(fields), **more}


def body(data: bytes, more: bool = False) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send each piece of content back as it comes."""
    await send(START)
    more = True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        more = message["more_body"]
        await send(body(message["body"], more))


async def test_a_get_is_answered(serve: Serve) -> None:
    async with serve(hello) as client:
        answer = await client.get("/")
    assert (answer.status, answer.body, answer.lost) == (200, b"hello", False)
    assert answer.one(b"content-length") == b"5"
    assert len(answer.all(b"date")) == 1


async def test_a_head_is_answered_without_content(serve: Serve) -> None:
    async with serve(hello) as client:
        answer = await client.ask("HEAD", "/")
    assert (answer.status, answer.body, answer.lost) == (200, b"", False)
    assert answer.one(b"content-length") == b"5"


@pytest.mark.parametrize("content", [b"", b"x", MEGABYTE], ids=["none", "a byte", "a megabyte"])
async def test_content_comes_and_goes_whole(serve: Serve, content: bytes) -> None:
    async with serve(reading) as client:
        answer = await client.post(content)
    assert (answer.status, answer.lost) == (200, False)
    assert answer.body == content


async def test_content_of_unknown_length_comes_and_goes_whole(serve: Serve) -> None:
    async with serve(echo) as client:
        call = await client.begin("POST", "/")
        sent = asyncio.ensure_future(call.send(MEGABYTE, True))
        answer = await call.result()
        await sent
    assert answer.body == MEGABYTE


async def test_a_request_is_read_while_it_is_answered(serve: Serve) -> None:
    async with serve(echo) as client:
        call = await client.begin("POST", "/")
        for piece in (b"one", b"two", b"three"):
            await call.send(piece)
            await call.until(piece)
        await call.send(b"", True)
        answer = await call.result()
    assert (answer.body, answer.lost) == (b"onetwothree", False)


async def test_each_piece_of_a_response_comes_when_it_is_sent(serve: Serve) -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while piece := await pieces.get():
            await send(body(piece, True))
        await send(END)

    async with serve(application) as client:
        call = await client.begin("GET", "/", ended=True)
        for piece in (b"one", b"two", b""):
            pieces.put_nowait(piece)
            if piece:
                await call.until(piece)
        answer = await call.result()
    assert (answer.body, answer.lost) == (b"onetwo", False)
    assert answer.one(b"content-length") is None


@pytest.mark.parametrize("status", [204, 304])
async def test_some_answers_have_no_content(serve: Serve, status: int) -> None:
    async with serve(Sends(start(status), body(b"dropped"))) as client:
        answer = await client.get("/")
    assert (answer.status, answer.body, answer.lost) == (status, b"", False)


async def test_an_answer_may_come_before_the_content_of_its_request(serve: Serve) -> None:
    async with serve(hello) as client:
        call = await client.begin("POST", "/", [(b"content-length", b"10")])
        await call.send(b"x")
        assert (await call.result()).body == b"hello"


async def test_requests_are_served_side_by_side(serve: Serve) -> None:
    held = Held()
    async with serve(held) as client:
        calls = [await client.begin("GET", f"/{number}", ended=True) for number in range(10)]
        while len(held.paths) < len(calls):
            await asyncio.sleep(0)
        held.release()
        answers = [await call.result() for call in reversed(calls)]
    assert [answer.body for answer in reversed(answers)] == [b"/%d" % n for n in range(10)]


# Fields.


async def test_fields_of_a_request_keep_their_order_and_number(serve: Serve) -> None:
    kept = Kept(START, END)
    fields = [(b"x-one", b"1"), (b"cookie", b"a=b"), (b"x-one", b"2"), (b"x-empty", b"")]
    async with serve(kept) as client:
        await client.get("/", *fields)
    assert kept.scope["headers"][0] == (b"host", b"test")
    assert [tuple(pair) for pair in kept.scope["headers"] if tuple(pair) in fields] == fields


async def test_cookies_that_come_apart_are_all_there(serve: Serve) -> None:
    kept = Kept(START, END)
    async with serve(kept) as client:
        await client.get("/", (b"cookie", b"a=b"), (b"cookie", b"c=d"))
    cookies = [value for name, value in kept.scope["headers"] if name == b"cookie"]
    assert b"; ".join(cookies) == b"a=b; c=d"


async def test_fields_of_a_response_keep_their_order_and_number(serve: Serve) -> None:
    fields = ((b"set-cookie", b"a=b"), (b"x-one", b"1"), (b"Set-Cookie", b"c=d"))
    async with serve(Sends(start(200, *fields), body(b"x"))) as client:
        answer = await client.get("/")
    assert answer.all(b"set-cookie") == [b"a=b", b"c=d"]
    wanted = [name for name, _ in answer.fields if name in (b"set-cookie", b"x-one")]
    assert wanted == [b"set-cookie", b"x-one", b"set-cookie"]


async def test_early_hints_come_before_the_answer(serve: Serve) -> None:
    links = [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]
    kept = Kept({"type": "http.response.early_hint", "links": links}, START, body(b"x"))
    async with serve(kept) as client:
        answer = await client.get("/")
    assert "http.response.early_hint" in kept.scope["extensions"]
    assert [interim.status for interim in answer.interim] == [103]
    assert answer.interim[0].fields == [(b"link", link) for link in links]
    assert (answer.status, answer.body) == (200, b"x")


async def test_trailers_come_after_the_content(serve: Serve) -> None:
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"5")]}
    kept = Kept(start(200, trailers=True), body(b"hello"), trailers)
    async with serve(kept) as client:
        answer = await client.get("/", (b"te", b"trailers"))
    assert "http.response.trailers" in kept.scope["extensions"]
    assert (answer.body, answer.trailers) == (b"hello", [(b"x-sum", b"5")])


async def test_a_client_that_waits_to_be_asked_for_content_is_asked(serve: Serve) -> None:
    async with serve(reading) as client:
        fields = [(b"expect", b"100-continue"), (b"content-length", b"5")]
        call = await client.begin("POST", "/", fields)
        assert (await call.next()).status == 100
        await call.send(b"hello", True)
        assert (await call.result()).body == b"hello"


# The scope.


async def test_the_scope_says_what_was_asked(serve: Serve) -> None:
    kept = Kept(START, END)
    async with serve(kept) as client:
        await client.ask("PATCH", "/a%20b/%C3%A9%2Fc?d=%20&e")
        port = client.port
    scope = kept.scope
    assert scope["type"] == "http"
    assert scope["asgi"]["version"] == "3.0"
    assert scope["http_version"] == client.http_version
    assert scope["method"] == "PATCH"
    assert scope["scheme"] == client.scheme
    assert (scope["path"], scope["raw_path"]) == ("/a b/é/c", b"/a%20b/%C3%A9%2Fc")
    assert scope["query_string"] == b"d=%20&e"
    assert tuple(scope["server"]) == ("127.0.0.1", port)
    assert scope["client"][0] == "127.0.0.1"
    assert isinstance(scope["client"][1], int)
    assert ("tls" in scope["extensions"]) == (client.scheme == "https")


async def test_every_request_has_a_scope_of_its_own(serve: Serve) -> None:
    kept = Kept(START, END)
    async with serve(kept) as client:
        await client.get("/a")
        kept.scope["extensions"]["mine"] = kept.scope["path"] = "changed"
        kept.scope["headers"].append((b"x", b"y"))
        await client.get("/b")
    assert kept.scope["path"] == "/b"
    assert "mine" not in kept.scope["extensions"]
    assert (b"x", b"y") not in kept.scope["headers"]


async def test_the_mount_point_is_in_the_scope(serve: Serve) -> None:
    kept = Kept(START, END)
    async with serve(kept, root_path="/mount") as client:
        await client.get("/a")
    assert (kept.scope["root_path"], kept.scope["path"]) == ("/mount", "/mount/a")


# Limits.


async def test_too_much_content_is_refused(serve: Serve) -> None:
    async with serve(reading, max_body_size=1000) as client:
        assert (await client.post(b"x" * 1001)).status == 413
        assert (await client.post(b"x" * 1000)).status == 200


async def test_too_much_content_of_unknown_length_is_refused(serve: Serve) -> None:
    async with serve(reading, max_body_size=1000) as client:
        call = await client.begin("POST", "/")
        await call.send(b"x" * 600)
        await call.send(b"x" * 600)
        assert (await call.result()).status == 413


async def test_too_many_fields_are_refused(serve: Serve) -> None:
    async with serve(hello, max_fields=20) as client:
        many = [(b"x-%d" % number, b"") for number in range(30)]
        assert (await client.get("/", *many)).status == 431
        assert (await client.get("/", *many[:10])).status == 200


async def test_too_large_a_head_is_refused(serve: Serve) -> None:
    async with serve(hello, max_head_size=4000) as client:
        assert (await client.get("/", (b"x-large", b"x" * 5000))).status == 431
        assert (await client.get("/", (b"x-large", b"x" * 2000))).status == 200


async def test_too_long_a_target_is_refused(serve: Serve) -> None:
    async with serve(hello, max_target_size=100) as client:
        assert (await client.get("/" + "x" * 100)).status == 414
        assert (await client.get("/" + "x" * 99)).status == 200


async def test_more_requests_at_once_than_allowed_are_refused(serve: Serve) -> None:
    held = Held()
    async with serve(held, limit_concurrency=2) as client:
        calls = [await client.begin("GET", "/held", ended=True) for _ in range(2)]
        while len(held.paths) < 2:
            await asyncio.sleep(0)
        refused = await client.get("/refused")
        held.release()
        answers = [await call.result() for call in calls]
        again = await client.get("/again")
    assert (refused.status, again.status) == (503, 200)
    assert [answer.status for answer in answers] == [200, 200]
    assert "/refused" not in held.paths


async def test_the_application_answers_what_it_likes(serve: Serve) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, scope["method"].encode(), [(b"x-y", b"z")], 418)

    async with serve(application) as client:
        answer = await client.ask("BREW", "/")
    assert (answer.status, answer.body, answer.one(b"x-y")) == (418, b"BREW", b"z")
