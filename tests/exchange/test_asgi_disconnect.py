"""Items 53 to 58 of the ASGI checklist: what happens when the client leaves."""

from __future__ import annotations

import asyncio
import logging

import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tidegate.errors import ClientDisconnected
from tidegate.exchange.access import AccessLog
from tidegate.exchange.disconnect import only_disconnected
from tidegate.exchange.service import Policy
from tidegate.testing.peer import Peer, turns

from .applications import body, hello, start

GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

NOW = Policy(disconnect_grace=0.0)


class Stream:
    """Streams, then waits for ever; says how it ended."""

    def __init__(self, listens: bool = False) -> None:
        self.listens = listens
        self.ended_by: BaseException | None = None
        self.heard: list[str] = []
        self.go_on = asyncio.Event()
        self.sent_after = 0

    async def __call__(self, scope, receive, send):
        try:
            await receive()
            await send(start())
            await send(body(b"first", True))
            if self.listens:
                self.heard.append((await receive())["type"])
            await self.go_on.wait()
            await send(body(b"more", True))
            self.sent_after += 1
            await send(body(b""))
        except BaseException as error:
            self.ended_by = error
            raise


async def test_53_receive_says_disconnect_again_and_again():
    heard = []

    async def application(scope, receive, send):
        await hello(scope, receive, send)
        for _ in range(3):
            heard.append((await receive())["type"])

    await Peer(application).get()
    assert heard == ["http.disconnect"] * 3


async def test_53_a_cancelled_receive_loses_nothing():
    heard = []

    async def application(scope, receive, send):
        for _ in range(3):
            waiting = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        ready.set()
        heard.append((await receive())["body"])
        await hello(scope, receive, send)

    ready = asyncio.Event()
    peer = Peer(application)
    await peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    await ready.wait()
    await peer.send("abc")
    assert heard == [b"abc"]


async def test_53_several_may_wait_in_receive_at_once():
    async def application(scope, receive, send):
        await receive()
        waiting = [asyncio.create_task(receive()) for _ in range(3)]
        await asyncio.sleep(0)
        await hello(scope, receive, send)
        heard.extend([message["type"] for message in await asyncio.gather(*waiting)])

    heard = []
    await Peer(application).get()
    await turns()
    assert heard == ["http.disconnect"] * 3


@pytest.mark.parametrize("how", ["leave", "half_close"])
async def test_54_a_loss_is_noticed_while_the_application_waits_in_receive(how):
    heard = []

    async def application(scope, receive, send):
        await receive()
        heard.append((await receive())["type"])

    peer = Peer(application)
    await peer.send(GET)
    await getattr(peer, how)()
    assert heard == ["http.disconnect"]


async def test_54_a_loss_is_noticed_behind_pipelined_bytes():
    heard = []

    async def application(scope, receive, send):
        await receive()
        heard.append((await receive())["type"])

    peer = Peer(application)
    await peer.send(GET + GET)
    await peer.leave()
    assert heard == ["http.disconnect"]


async def test_54_a_loss_in_the_middle_of_the_content_is_a_disconnect():
    heard = []

    async def application(scope, receive, send):
        heard.append(await receive())
        heard.append((await receive())["type"])

    peer = Peer(application)
    await peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    await peer.half_close()
    expected = {"type": "http.request", "body": b"abc", "more_body": True}
    assert heard == [expected, "http.disconnect"]


async def test_55_the_reset_of_one_stream_is_a_disconnect_of_its_exchange_alone():
    stream = Stream(listens=True)
    peer = Peer(stream)
    await peer.send(GET)
    # As a multiplexed protocol does when RST_STREAM arrives: the connection lives.
    peer.connection.exchange.peer_gone()
    await turns()
    assert stream.heard == ["http.disconnect"]
    assert not peer.transport.closed


@pytest.mark.parametrize("mode", ["raise", "cancel"])
async def test_56_send_raises_an_os_error_when_the_client_has_gone(mode):
    stream = Stream()
    peer = Peer(stream, Policy(on_disconnect=mode))
    await peer.send(GET)
    await peer.leave()
    stream.go_on.set()
    await turns()
    assert isinstance(stream.ended_by, ClientDisconnected)
    assert isinstance(stream.ended_by, OSError)


async def test_56_start_raises_too():
    raised = []

    async def application(scope, receive, send):
        await receive()
        await receive()
        try:
            await send(start())
        except OSError as error:
            raised.append(error)

    peer = Peer(application)
    await peer.send(GET)
    await peer.leave()
    assert [type(error) for error in raised] == [ClientDisconnected]


async def test_56_a_send_that_waits_for_the_client_raises_when_it_leaves():
    raised = []

    async def application(scope, receive, send):
        await send(start())
        try:
            while True:
                await send(body(b"x" * 50_000, True))
        except OSError as error:
            raised.append(error)

    peer = Peer(application)
    peer.transport.stall()
    await peer.send(GET)
    assert raised == []
    await peer.leave()
    assert [type(error) for error in raised] == [ClientDisconnected]


async def test_56_in_mode_ignore_everything_is_swallowed():
    stream = Stream()
    peer = Peer(stream, Policy(on_disconnect="ignore", disconnect_grace=0.0))
    await peer.send(GET)
    await peer.leave()
    stream.go_on.set()
    await turns()
    assert (stream.ended_by, stream.sent_after) == (None, 1)


async def test_56_in_mode_ignore_a_start_and_a_waiting_send_are_swallowed_too():
    finished = asyncio.Event()

    async def application(scope, receive, send):
        await receive()
        if scope["path"] == "/late":
            await receive()
        await send(start())
        await send(body(b"x" * 200_000, True))
        await send(body())
        finished.set()

    for path in ("/late", "/waiting"):
        finished.clear()
        peer = Peer(application, Policy(on_disconnect="ignore"))
        peer.transport.stall()
        await peer.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        await peer.leave()
        assert finished.is_set()


@pytest.mark.parametrize("wrapped", [False, True])
async def test_57_the_error_may_escape_or_be_wrapped_without_a_word_in_the_log(wrapped, caplog):
    async def application(scope, receive, send):
        await receive()
        await receive()
        if not wrapped:
            await send(start())
        try:
            await send(start())
        except OSError as error:
            raise RuntimeError("the framework's own") from error

    peer = Peer(application)
    await peer.send(GET)
    await peer.leave()
    assert caplog.text == ""


async def test_57_another_error_is_logged_even_when_the_client_has_gone(caplog):
    async def application(scope, receive, send):
        await receive()
        await receive()
        raise ValueError("a real one")

    peer = Peer(application)
    await peer.send(GET)
    await peer.leave()
    assert "a real one" in caplog.text


def test_57_groups_are_looked_into():
    gone, real = ClientDisconnected("x"), ValueError("y")
    assert only_disconnected(ExceptionGroup("g", [gone, ExceptionGroup("h", [gone])]))
    assert not only_disconnected(ExceptionGroup("g", [gone, real]))
    assert not only_disconnected(real)
    real.__context__ = gone
    assert only_disconnected(real)
    wrapper = RuntimeError("of a framework")
    wrapper.__cause__ = ExceptionGroup("g", [gone])
    assert only_disconnected(wrapper)


@pytest.mark.parametrize("how", ["leave", "half_close"])
async def test_58_an_idle_stream_is_cancelled_after_the_grace(how):
    stream = Stream()
    peer = Peer(stream, NOW)
    await peer.send(GET)
    await getattr(peer, how)()
    await turns()
    assert isinstance(stream.ended_by, asyncio.CancelledError)


async def test_58_the_grace_is_waited_for():
    stream = Stream()
    peer = Peer(stream, Policy(disconnect_grace=3600.0))
    await peer.send(GET)
    await peer.leave()
    assert stream.ended_by is None


async def test_58_an_application_that_was_told_decides_for_itself():
    stream = Stream(listens=True)
    peer = Peer(stream, NOW)
    await peer.send(GET)
    await peer.leave()
    await turns()
    assert (stream.heard, stream.ended_by) == (["http.disconnect"], None)


async def test_58_work_that_has_not_begun_to_answer_is_not_torn():
    finished = asyncio.Event()
    go_on = asyncio.Event()

    async def application(scope, receive, send):
        await receive()
        await go_on.wait()
        finished.set()

    peer = Peer(application, NOW)
    await peer.send(GET)
    await peer.leave()
    await turns()
    go_on.set()
    await turns()
    assert finished.is_set()


async def test_58_in_mode_raise_nothing_is_cancelled():
    stream = Stream()
    peer = Peer(stream, Policy(on_disconnect="raise", disconnect_grace=0.0))
    await peer.send(GET)
    await peer.leave()
    await turns()
    assert stream.ended_by is None


@pytest.mark.parametrize("how", ["leave", "half_close"])
async def test_58_an_idle_generator_of_starlette_is_ended(how):
    ended = []

    async def lines():
        try:
            yield "first\n"
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def endpoint(request):
        return StreamingResponse(lines())

    peer = Peer(Starlette(routes=[Route("/", endpoint)]), NOW)
    await peer.send(GET)
    assert ended == []
    await getattr(peer, how)()
    await turns(30)
    assert ended == [True]


async def test_a_client_that_closes_its_half_still_gets_the_answer():
    go_on = asyncio.Event()

    async def application(scope, receive, send):
        await go_on.wait()
        await hello(scope, receive, send)

    peer = Peer(application)
    await peer.send(GET)
    await peer.half_close()
    go_on.set()
    await turns()
    assert peer.response().body == b"hello"
    assert peer.transport.closed


async def test_a_request_whose_client_left_is_logged_as_499_or_with_what_was_sent(caplog):
    caplog.set_level(logging.INFO)

    async def application(scope, receive, send):
        if scope["path"] == "/begun":
            await send(start(206))
            await send(body(b"x", True))
        await asyncio.Event().wait()

    for path in ("/waiting", "/begun"):
        peer = Peer(application, access_log=AccessLog())
        await peer.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        await peer.leave()
        for exchange in list(peer.service.running):
            exchange.task.cancel()
    await turns()
    assert [record.args[4] for record in caplog.records] == [499, 206]
