"""Clients that leave or do not read, applications that fail, servers that stop."""

from __future__ import annotations

import asyncio

import pytest
from tests.behaviour.applications import Sends, Watched
from tests.behaviour.conftest import Serve
from tests.net.applications import Held, begin, hello, respond

from tidegate.asgi import Message, Receive, Scope, Send

START = {"type": "http.response.start", "status": 200}


def announced(length: int) -> Message:
    headers = [(b"content-length", b"%d" % length)]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def body(data: bytes, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class Waiting:
    """Keeps what it receives until the client has left."""

    def __init__(self, early: bytes = b"") -> None:
        self.early = early
        self.messages: list[Message] = []
        self.began = asyncio.Event()
        self.told = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.began.set()
        if self.early:
            await begin(send, self.early)
        while not self.told.is_set():
            self.messages.append(await receive())
            if self.messages[-1]["type"] == "http.disconnect":
                self.told.set()


# Clients that leave.


async def test_the_application_hears_that_its_client_left_before_the_answer(serve: Serve) -> None:
    waiting = Waiting()
    async with serve(waiting) as client:
        call = await client.begin("GET", "/", ended=True)
        await waiting.began.wait()
        call.leave()
        await waiting.told.wait()
    assert [message["type"] for message in waiting.messages] == ["http.request", "http.disconnect"]


async def test_the_application_hears_that_its_client_left_in_the_middle(serve: Serve) -> None:
    waiting = Waiting(b"early")
    async with serve(waiting) as client:
        call = await client.begin("GET", "/", ended=True)
        await call.until(b"early")
        call.leave()
        await waiting.told.wait()


async def test_the_application_hears_that_its_client_left_while_sending(serve: Serve) -> None:
    waiting = Waiting(b"early")
    async with serve(waiting) as client:
        call = await client.begin("POST", "/", [(b"content-length", b"100")])
        await call.send(b"half")
        await call.until(b"early")
        call.leave()
        await waiting.told.wait()
    content = b"".join(message.get("body", b"") for message in waiting.messages)
    assert content == b"half"
    assert all(message.get("more_body", True) for message in waiting.messages)


async def test_sending_to_a_client_that_left_fails(serve: Serve) -> None:
    watched = Watched(10**9)
    async with serve(watched) as client:
        call = await client.begin("GET", "/", ended=True)
        await call.piece()
        call.leave()
        await watched.over.wait()
    assert isinstance(watched.failure, OSError)


async def test_others_are_served_when_a_client_has_left(serve: Serve) -> None:
    waiting = Waiting()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await (waiting if scope["path"] == "/wait" else hello)(scope, receive, send)

    async with serve(application) as client:
        call = await client.begin("GET", "/wait", ended=True)
        await waiting.began.wait()
        call.leave()
        await waiting.told.wait()
        assert (await client.get("/")).body == b"hello"


# A client that does not read.


async def test_a_client_that_does_not_read_makes_the_application_wait(serve: Serve) -> None:
    async with serve(watched := Watched(0)) as client:
        watched.count = pieces = client.held // len(watched.PIECE)
        call = await client.begin("GET", "/", ended=True)
        await call.head()
        await watched.waits.wait()
        assert watched.sent < pieces
        answer = await call.result()
    assert not answer.lost
    assert len(answer.body) == pieces * len(watched.PIECE)


async def test_an_application_that_does_not_read_makes_the_client_wait(serve: Serve) -> None:
    may_read = asyncio.Event()
    received = 0

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal received
        await may_read.wait()
        more = True
        while more:
            message = await receive()
            received += len(message["body"])
            more = message["more_body"]
        await respond(send, b"%d" % received)

    async with serve(application) as client:
        total = client.held
        call = await client.begin("POST", "/", [(b"content-length", b"%d" % total)])
        sending = asyncio.ensure_future(call.send(b"x" * total, True))
        done, _ = await asyncio.wait([sending], timeout=1)
        assert not done
        may_read.set()
        await sending
        assert (await call.result()).body == b"%d" % total


# Applications that fail.


async def test_an_error_before_the_answer_is_a_500(serve: Serve) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("as asked")

    async with serve(application) as client:
        answer = await client.get("/")
        assert (answer.status, answer.lost) == (500, False)
        assert b"as asked" not in answer.body


async def test_an_error_in_the_middle_cuts_the_answer_off(serve: Serve) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send, b"early")
        raise ValueError("as asked")

    async with serve(application) as client:
        answer = await (await client.begin("GET", "/", ended=True)).result()
    assert answer.lost
    assert answer.body in (b"", b"early")


@pytest.mark.parametrize("events", [(), (START,)], ids=["nothing", "a start"])
async def test_an_application_that_returns_early_is_a_500(
    serve: Serve, events: tuple[Message, ...]
) -> None:
    async with serve(Sends(*events)) as client:
        assert (await client.get("/")).status == 500


async def test_an_application_that_returns_in_the_middle_cuts_the_answer_off(serve: Serve) -> None:
    async with serve(Sends(START, body(b"early", True))) as client:
        assert (await client.get("/")).lost


async def test_less_content_than_announced_cuts_the_answer_off(serve: Serve) -> None:
    failures: list[Exception] = []
    events = [announced(10), body(b"short", True), body(b"")]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await Sends(*events)(scope, receive, send)
        except Exception as error:
            failures.append(error)
            raise

    async with serve(application) as client:
        assert (await client.get("/")).lost
    assert len(failures) == 1


@pytest.mark.parametrize("data", [b"short", b"much too long"])
async def test_other_content_than_announced_in_one_piece_is_a_500(
    serve: Serve, data: bytes
) -> None:
    async with serve(Sends(announced(10), body(data))) as client:
        answer = await client.get("/")
    assert answer.status == 500 or answer.lost
    assert data not in answer.body


async def test_no_more_is_sent_than_announced(serve: Serve) -> None:
    async with serve(Sends(announced(5), body(b"hello", True), body(b" there"))) as client:
        answer = await client.get("/")
    assert len(answer.body) <= 5


@pytest.mark.parametrize("sent", [b"x" * 9, b"x" * 11], ids=["less", "more"])
async def test_other_content_than_its_length_ends_a_request(serve: Serve, sent: bytes) -> None:
    waiting = Waiting()
    async with serve(waiting) as client:
        if not client.checks_content_length:
            return  # the length is where it ends
        call = await client.begin("POST", "/", [(b"content-length", b"10")])
        await call.send(sent, True)
        answer = await call.result()
        assert answer.lost or answer.status == 400
        await waiting.told.wait()
    assert all(message.get("more_body", True) for message in waiting.messages)


@pytest.mark.parametrize("field", [(b"x y", b"z"), (b"x", b"a\r\nb: c"), (b"", b"")])
async def test_a_field_that_could_not_be_sent_is_a_500(
    serve: Serve, field: tuple[bytes, bytes]
) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [field]}
    async with serve(Sends(start, body(b"x"))) as client:
        answer = await client.get("/")
    assert (answer.status, answer.lost) == (500, False)


# Servers that stop.


async def test_a_server_that_stops_ends_what_it_has_begun(serve: Serve) -> None:
    held = Held()
    async with serve(held) as client:
        call = await client.begin("GET", "/held", ended=True)
        while not held.paths:
            await asyncio.sleep(0)
        await client.stopping()
        held.release()
        answer = await call.result()
        await client.running.task
    assert (answer.body, answer.lost) == (b"/held", False)
