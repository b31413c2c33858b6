"""A response can be read while the application writes it, slowly, or not to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tidegate import ClientDisconnected
from tidegate.asgi import Receive, Scope, Send
from tidegate.testing import BrokenOff, client

from .applications import Sender, http_only


def test_pieces_come_as_the_application_sends_them() -> None:
    app = Sender([b"one", b"two", b"three"])
    with client(app) as c, c.stream("GET", "/") as reply:
        assert reply.status == 200
        assert list(reply.iter_bytes()) == [b"one", b"two", b"three"]
        assert list(reply.iter_bytes()) == []


async def test_pieces_come_in_a_coroutine_too() -> None:
    app = Sender([b"one\ntw", b"o\n", b"\xc3", b"\xbc"])
    async with client(app) as c:
        async with c.stream("GET", "/") as reply:
            assert [piece async for piece in reply.iter_bytes()] == app.chunks
        async with c.stream("GET", "/") as reply:
            assert [text async for text in reply.iter_text()] == ["one\ntw", "o\n", "ü"]
        async with c.stream("GET", "/") as reply:
            assert [line async for line in reply.iter_lines()] == ["one", "two", "ü"]
        async with c.stream("GET", "/") as reply:
            assert (await reply.read()).content == b"".join(app.chunks)


def test_text_and_lines_are_not_torn() -> None:
    app = Sender([b"a\r", b"\nb\n", b"\nc\xc3", b"\xbc\r", b"d\xc3"])
    with client(app) as c:
        with c.stream("GET", "/") as reply:
            assert list(reply.iter_lines()) == ["a", "b", "", "cü", "d\ufffd"]
        with c.stream("GET", "/") as reply:
            assert "".join(reply.iter_text()) == "a\r\nb\n\ncü\rd\ufffd"


def test_the_rest_can_be_read_at_once() -> None:
    with client(Sender([b"one", b"two"])) as c, c.stream("GET", "/") as reply:
        assert next(reply.iter_bytes()) == b"one"
        rest = reply.read()
        assert (rest.content, rest.complete) == (b"two", True)


def test_a_slow_reader_holds_the_application_back() -> None:
    app = Sender([b"x"] * 10)
    with client(app) as c, c.stream("GET", "/", buffer=0) as reply:
        pieces = reply.iter_bytes()
        for read in range(1, 6):
            next(pieces)
            # At most one more waits to be read.
            assert app.sent <= read
    assert app.sent < 10


def test_the_client_takes_a_buffer_full_by_itself() -> None:
    app = Sender([b"x" * 1000] * 100)
    with client(app) as c, c.stream("GET", "/", buffer=10_000) as reply:
        next(reply.iter_bytes())
        assert 10 <= app.sent <= 12


class Endless:
    """Streams for ever; ``how`` says what it does about its client."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.ended_by: BaseException | str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"0", "more_body": True})
        try:
            if self.how == "listens":
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.ended_by = "disconnect"
            elif self.how == "sends":
                while True:
                    await asyncio.sleep(0)
                    await send({"type": "http.response.body", "body": b"x", "more_body": True})
            else:
                await asyncio.Event().wait()
        except BaseException as error:
            self.ended_by = error
            raise


@pytest.mark.parametrize(
    ("how", "ended_by"),
    [("listens", str), ("sends", ClientDisconnected), ("waits", asyncio.CancelledError)],
)
def test_leaving_a_stream_ends_the_application(how: str, ended_by: type) -> None:
    app = Endless(how)
    with client(app) as c:
        with c.stream("GET", "/") as reply:
            next(reply.iter_bytes())
        assert isinstance(app.ended_by, ended_by)


async def test_leaving_a_stream_in_a_coroutine_ends_the_application() -> None:
    app = Endless("waits")
    async with client(app) as c:
        async with c.stream("GET", "/"):
            pass
        assert isinstance(app.ended_by, asyncio.CancelledError)


def test_the_client_can_vanish() -> None:
    app = Endless("listens")
    with client(app) as c, c.stream("GET", "/") as reply:
        assert next(reply.iter_bytes()) == b"0"
        reply.disconnect()
        assert app.ended_by == "disconnect"
        assert list(reply.iter_bytes()) == []
        assert not reply.read().complete


def test_who_vanished_reads_no_more() -> None:
    with client(Sender([b"one", b"two", b"three"])) as c, c.stream("GET", "/") as reply:
        assert next(reply.iter_bytes()) == b"one"
        reply.disconnect()
        assert list(reply.iter_bytes()) == []


def test_a_stream_that_was_never_left_ends_with_the_client() -> None:
    app = Endless("listens")
    with client(app) as c:
        c.stream("GET", "/").__enter__()
        assert app.ended_by is None
    assert app.ended_by == "disconnect"


async def test_the_client_can_vanish_in_a_coroutine() -> None:
    app = Endless("listens")
    async with client(app) as c, c.stream("GET", "/") as reply:
        await reply.disconnect()
        await c.settle()
        assert app.ended_by == "disconnect"


def test_a_stream_that_breaks_off_is_an_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await asyncio.sleep(0)
        raise KeyError("mine")

    with client(app) as c:
        with c.stream("GET", "/") as reply:
            pieces = reply.iter_bytes()
            assert next(pieces) == b"part"
            with pytest.raises(KeyError, match="mine"):
                next(pieces)
        with pytest.raises(KeyError, match="mine"), c.stream("GET", "/") as reply:
            reply.read()
    with client(app, raise_errors=False) as c, c.stream("GET", "/") as reply:
        with pytest.raises(BrokenOff):
            reply.read()
        assert reply.status == 200


def test_an_error_before_the_head_is_raised_on_entering() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("mine")

    with client(app, lifespan="off") as c, pytest.raises(KeyError), c.stream("GET", "/"):
        pytest.fail("entered")
    with client(app, lifespan="off", raise_errors=False) as c, c.stream("GET", "/") as reply:
        assert reply.status == 500


def test_the_error_of_the_test_is_not_hidden_by_one_of_the_application() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await receive()
        await receive()
        raise KeyError("late")

    with client(app) as c:
        with pytest.raises(ZeroDivisionError), c.stream("GET", "/"):
            raise ZeroDivisionError
        with pytest.raises(KeyError, match="late"), c.stream("GET", "/"):
            pass


def test_content_is_sent_while_the_response_is_read() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        await send({"type": "http.response.start", "status": 200})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            body = message["body"].upper()
            await send({"type": "http.response.body", "body": body, "more_body": more})

    def pieces() -> Iterator[bytes]:
        for letter in (b"a", b"b", b"c"):
            sent.append(letter)
            yield letter

    sent: list[bytes] = []
    with client(echo) as c, c.stream("POST", "/", content=pieces(), buffer=0) as reply:
        received = reply.iter_bytes()
        assert next(received) == b"A"
        assert len(sent) < 3
        assert list(received) == [b"B", b"C"]


async def test_another_request_can_be_made_meanwhile() -> None:
    released = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        if scope["path"] == "/release":
            released.set()
        await send({"type": "http.response.start", "status": 200})
        if scope["path"] == "/wait":
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
            await released.wait()
        await send({"type": "http.response.body", "body": b"2"})

    async def rest(pieces: AsyncIterator[bytes]) -> list[bytes]:
        return [piece async for piece in pieces]

    async with client(app) as c, c.stream("GET", "/wait") as reply:
        pieces = reply.iter_bytes()
        assert await anext(pieces) == b"1"
        assert (await c.get("/release")).content == b"2"
        assert await rest(pieces) == [b"2"]
