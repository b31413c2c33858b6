"""One HTTP/2 connection with its exchanges, over a transport in memory."""

from __future__ import annotations

import asyncio

import pytest
from tests.wire.http2.client import GET, POST

from tidegate.asgi import Receive, Scope, Send
from tidegate.errors import ClientDisconnected
from tidegate.exchange.service import Policy
from tidegate.net.timeouts import Timeouts
from tidegate.testing.peer import Peer, turns
from tidegate.wire.http2 import frames
from tidegate.wire.http2.frames import Code
from tidegate.wire.http2.limits import Http2Limits

from .applications import Held, Listening, begin, flooding, hello, reading, respond
from .http2_peer import Http2Peer, opened

PREFACE = frames.PREFACE + frames.settings([])


# Requests and responses.


async def test_a_request_is_answered() -> None:
    peer = await opened(hello)
    answer = await peer.request(1)
    assert (answer.status, answer.body, answer.ended) == (200, b"hello", True)
    assert (b"content-length", b"5") in answer.heads[0]


async def test_the_scope_is_that_of_http_2() -> None:
    scopes: list[Scope] = []

    async def keeps(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await respond(send)

    peer = await opened(keeps)
    await peer.request(1, [*GET, (b"x", b"y"), (b"te", b"trailers")])
    (scope,) = scopes
    assert scope["http_version"] == "2"
    assert scope["scheme"] == "http"
    assert scope["headers"] == [(b"host", b"test"), (b"x", b"y"), (b"te", b"trailers")]
    assert scope["client"] == ("127.0.0.1", 50000)
    assert {"http.response.early_hint", "http.response.trailers"} <= set(scope["extensions"])


async def test_requests_of_one_read_are_answered_in_one_write() -> None:
    peer = await opened(hello)
    peer.transport.writes = 0
    await peer.send(b"".join(peer.head(number) for number in (1, 3, 5, 7)))
    assert peer.transport.writes == 1
    assert [peer.answer(number).body for number in (1, 3, 5, 7)] == [b"hello"] * 4


async def test_answers_of_one_turn_go_out_in_one_write() -> None:
    held = Held()
    peer = await opened(held)
    await peer.send(b"".join(peer.head(number) for number in (1, 3, 5, 7)))
    peer.transport.writes = 0
    held.release()
    await turns()
    assert peer.transport.writes == 1
    assert peer.answer(7).ended


async def test_content_reaches_the_application() -> None:
    peer = await opened(reading)
    assert (await peer.request(1, POST, b"content")).body == b"content"


async def test_a_request_waits_for_nobody_else() -> None:
    held = Held()
    peer = await opened(held)
    await peer.request(1)
    peer.service.application = hello
    assert (await peer.request(3)).ended
    held.release()
    await turns()
    assert peer.answer(1).body == b"/"


async def test_a_client_that_waits_for_our_word_gets_it() -> None:
    peer = await opened(reading)
    await peer.send(peer.head(1, [*POST, (b"expect", b"100-continue")], False))
    assert peer.answer(1).heads == [[(b":status", b"100")]]
    await peer.send(peer.content(1, b"x"))
    assert peer.answer(1).body == b"x"


async def test_hints_come_before_and_trailers_after() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.early_hint", "links": [b"</x>"]})
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        await send({"type": "http.response.trailers", "headers": [(b"Sum", b"1")]})

    peer = await opened(application)
    answer = await peer.request(1, [*GET, (b"te", b"trailers")])
    hint, head, trailers = answer.heads
    assert hint == [(b":status", b"103"), (b"link", b"</x>")]
    assert head[0] == (b":status", b"200")
    assert trailers == [(b"sum", b"1")]
    assert answer.ended


async def test_options_of_the_server_itself_are_answered_by_it() -> None:
    peer = await opened(hello)
    answer = await peer.request(1, [(b":method", b"OPTIONS"), GET[1], (b":path", b"*"), GET[3]])
    assert answer.status == 204


async def test_connect_is_for_proxies() -> None:
    peer = await opened(hello)
    answer = await peer.request(1, [(b":method", b"CONNECT"), (b":authority", b"test:80")])
    assert answer.status == 501


async def test_requests_are_counted() -> None:
    peer = await opened(hello)
    changes: list[None] = []
    peer.worker.max_requests = 2
    peer.service.on_change = lambda: changes.append(None)
    await peer.request(1)
    assert not changes
    await peer.request(3)
    assert changes


# Failures.


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/late":
        await begin(send, b"some")
    raise RuntimeError("on purpose")


async def test_a_failure_before_the_head_is_answered_500() -> None:
    peer = await opened(failing)
    assert (await peer.request(1)).status == 500


async def test_a_failure_after_the_head_resets_the_stream_only() -> None:
    peer = await opened(failing)
    answer = await peer.request(1, [*GET[:2], (b":path", b"/late"), GET[3]])
    assert answer.reset == Code.INTERNAL_ERROR
    assert not answer.ended
    assert (await peer.request(3)).status == 500


async def test_less_content_than_announced_resets_the_stream() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    peer = await opened(application)
    assert (await peer.request(1)).reset == Code.INTERNAL_ERROR


async def test_a_malformed_request_never_reaches_the_application() -> None:
    held = Held()
    peer = await opened(held)
    assert (await peer.request(1, GET[1:])).reset == Code.PROTOCOL_ERROR
    assert held.paths == []


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([*GET[:2], (b":path", b"/" + b"x" * 9000), GET[3]], 414),
        ([*GET, *[(b"x", b"y")] * 120], 431),
    ],
)
async def test_what_is_too_large_is_answered(pairs: list[tuple[bytes, bytes]], status: int) -> None:
    peer = await opened(hello)
    assert (await peer.request(1, pairs)).status == status


async def test_too_much_content_is_answered_413() -> None:
    listening = Listening()
    peer = await opened(listening, http2=Http2Limits(max_body_size=10))
    await peer.send(peer.head(1, POST, False) + peer.content(1, b"x" * 11, False))
    answer = peer.answer(1)
    assert (answer.status, answer.reset) == (413, Code.NO_ERROR)
    assert listening.told_of_disconnect


async def test_too_much_content_behind_a_head_resets_the_stream() -> None:
    peer = await opened(Listening(early=True), http2=Http2Limits(max_body_size=10))
    await peer.send(peer.head(1, POST, False) + peer.content(1, b"x" * 11, False))
    assert peer.answer(1).reset == Code.CANCEL


async def test_more_requests_than_allowed_at_once_are_answered_503() -> None:
    held = Held()
    peer = await opened(held, Policy(limit_concurrency=1))
    await peer.request(1)
    answer = await peer.request(3)
    assert answer.status == 503
    assert (b"retry-after", b"1") in answer.heads[0]
    held.release()


async def test_a_broken_connection_is_told_why_and_closed() -> None:
    listening = Listening()
    peer = await opened(listening)
    await peer.request(1, POST, None)
    await peer.send(frames.build_frame(frames.DATA, 0, 99, b"x"))
    assert peer.goodbyes() == [Code.PROTOCOL_ERROR]
    assert peer.left
    assert listening.told_of_disconnect
    await peer.send(b"for nobody")


# Clients that leave.


async def test_a_reset_is_a_disconnect() -> None:
    listening = Listening(early=True)
    peer = await opened(listening)
    await peer.request(1)
    await peer.send(frames.reset(1, Code.CANCEL))
    assert listening.told_of_disconnect
    assert (await peer.request(3)) is not None


async def test_sending_after_a_reset_raises() -> None:
    caught: list[BaseException] = []
    go_on = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send)
        await go_on.wait()
        try:
            await send({"type": "http.response.body", "body": b"x"})
        except ClientDisconnected as error:
            caught.append(error)

    peer = await opened(application)
    await peer.request(1)
    await peer.send(frames.reset(1, Code.CANCEL))
    go_on.set()
    await turns()
    assert len(caught) == 1


async def test_all_applications_hear_of_a_lost_connection() -> None:
    one = Listening()
    peer = await opened(one)
    await peer.request(1)
    await peer.leave()
    assert one.told_of_disconnect
    assert not peer.worker.connections


async def test_a_client_that_closes_its_half_gets_its_answers() -> None:
    held = Held()
    peer = await opened(held)
    await peer.request(1)
    await peer.half_close()
    held.release()
    await turns()
    assert peer.answer(1).ended
    assert peer.left


async def test_an_idle_client_that_closes_its_half_is_left() -> None:
    peer = await opened(hello)
    await peer.half_close()
    assert peer.left


# Back-pressure.


async def test_an_application_waits_for_the_window_of_its_stream() -> None:
    peer = await opened(flooding)
    await peer.request(1)
    size = len(peer.answer(1).body)
    assert size == 65535
    waiting = peer.connection.core.streams[1].pending_size  # type: ignore[attr-defined]
    assert 64 * 1024 < waiting < 80_000
    await peer.send(frames.window_update(1, 200_000) + frames.window_update(0, 200_000))
    await turns(1000)
    assert len(peer.answer(1).body) == 265_535
    await peer.leave()


async def test_an_application_waits_for_the_transport() -> None:
    peer = await opened(flooding, settings=[(4, 10_000_000)])
    await peer.send(frames.window_update(0, 10_000_000))
    peer.transport.stall()
    await peer.request(1)
    await turns(200)
    assert peer.transport.get_write_buffer_size() < 300_000
    peer.transport.flow(100_000)
    await turns(200)
    assert peer.transport.get_write_buffer_size() > 0
    await peer.leave()


async def test_a_client_that_reads_nothing_gets_no_more_answers() -> None:
    peer = await opened(hello)
    peer.service.application = big
    peer.transport.stall()
    for number in range(100):
        await peer.send(peer.head(2 * number + 1))
    assert peer.transport.get_write_buffer_size() < 200_000
    peer.transport.flow()
    await peer.send(frames.window_update(0, 10_000_000))
    await turns(100)
    assert [peer.answer(2 * number + 1).ended for number in range(100)] == [True] * 100


async def big(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"x" * 20_000)


async def test_windows_are_not_opened_for_an_application_that_does_not_read() -> None:
    reads = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await reads.wait()
        await reading(scope, receive, send)

    peer = await opened(application, http2=Http2Limits(stream_window=100_000))
    await peer.send(peer.head(1, POST, False))
    for _ in range(6):
        await peer.send(peer.content(1, b"x" * 16_000, False))
    peer.read()
    updates = [one for one in peer.frames if one.kind == frames.WINDOW_UPDATE and one.stream_id]
    given = sum(int.from_bytes(one.payload, "big") for one in updates)
    assert given <= 70_000
    reads.set()
    await turns()
    await peer.send(peer.content(1, b"x" * 1000, True))
    assert len(peer.answer(1).body) == 65535
    await peer.leave()


# Time.


async def test_an_idle_connection_is_closed() -> None:
    peer = await opened(hello, timeouts=Timeouts(keep_alive=3))
    await peer.request(1)
    await peer.wait(2)
    assert not peer.left
    await peer.wait(3)
    assert peer.goodbyes() == [Code.NO_ERROR]
    assert peer.left


async def test_a_connection_without_a_word_is_closed() -> None:
    peer = Http2Peer(hello, timeouts=Timeouts(first_byte=3))
    await turns()
    await peer.wait(5)
    assert peer.left


async def test_a_head_that_trickles_ends_the_connection() -> None:
    peer = await opened(hello, timeouts=Timeouts(head=3))
    await peer.send(frames.build_frame(frames.HEADERS, 0, 1, b"\x82"))
    for _ in range(5):
        await peer.wait(1)
        await peer.send(b"\0" if peer.left is False else b"")
    assert peer.goodbyes() == [Code.ENHANCE_YOUR_CALM]


async def test_content_that_does_not_come_is_answered_408() -> None:
    peer = await opened(Listening(), timeouts=Timeouts(body_stall=3))
    await peer.send(peer.head(1, POST, False) + peer.content(1, b"x", False))
    await peer.wait(2)
    assert not peer.answer(1).heads
    await peer.wait(3)
    assert peer.answer(1).status == 408


async def test_content_that_the_application_does_not_read_is_nobodys_fault() -> None:
    held = Held()
    peer = await opened(
        held, Policy(max_read_ahead=10), timeouts=Timeouts(body_stall=3, keep_alive=1)
    )
    await peer.send(peer.head(1, POST, False) + peer.content(1, b"x" * 20, False))
    await peer.wait(10)
    assert not peer.answer(1).heads
    held.release()
    await turns()
    assert peer.answer(1).ended


async def test_a_response_that_nobody_reads_is_reset() -> None:
    peer = await opened(flooding, timeouts=Timeouts(write_stall=3))
    await peer.send(frames.window_update(0, 1_000_000))
    await peer.request(1)
    await peer.wait(6)
    assert peer.answer(1).reset == Code.CANCEL
    assert not peer.left


async def test_a_connection_of_which_nobody_reads_anything_ends() -> None:
    peer = await opened(flooding, timeouts=Timeouts(write_stall=3), settings=[(4, 1_000_000)])
    await peer.request(1)
    await peer.wait(6)
    assert peer.goodbyes() == [Code.ENHANCE_YOUR_CALM]


async def test_a_socket_of_which_nobody_reads_anything_is_cut() -> None:
    peer = await opened(flooding, timeouts=Timeouts(write_stall=3), settings=[(4, 1_000_000)])
    await peer.send(frames.window_update(0, 1_000_000))
    peer.transport.stall()
    await peer.request(1)
    await peer.wait(6)
    assert peer.transport.aborted


async def test_who_waits_behind_others_is_not_slow() -> None:
    peer = await opened(flooding, timeouts=Timeouts(write_stall=3, min_rate=0))
    await peer.request(1)
    peer.service.application = hello
    await peer.request(3)
    for _ in range(10):
        await peer.wait(1)
        await peer.send(frames.window_update(0, 1000) + frames.window_update(1, 1000))
    assert peer.answer(3).reset is None
    assert not peer.goodbyes()
    await peer.leave()


# Shutdown.


async def test_an_idle_connection_is_left_at_once() -> None:
    peer = await opened(hello)
    peer.connection.drain()
    await turns()
    assert peer.goodbyes() == [Code.NO_ERROR]
    assert peer.left
    peer.connection.drain()


async def test_a_busy_connection_is_told_twice_and_served_to_the_end() -> None:
    held = Held()
    peer = await opened(held)
    await peer.request(1)
    peer.connection.drain()
    peer.connection.drain()
    await turns()
    peer.read()
    last = [
        int.from_bytes(one.payload[:4], "big") for one in peer.frames if one.kind == frames.GOAWAY
    ]
    assert last == [2**31 - 1]
    await peer.request(3)
    await peer.send(frames.build_frame(frames.PING, frames.ACK, 0, b"good-bye"))
    peer.read()
    last = [
        int.from_bytes(one.payload[:4], "big") for one in peer.frames if one.kind == frames.GOAWAY
    ]
    assert last == [2**31 - 1, 3]
    await peer.send(peer.head(5))
    assert not peer.left
    held.release()
    await turns()
    assert peer.answer(1).ended
    assert peer.answer(3).ended
    assert held.paths == ["/", "/"]
    assert peer.left


async def test_who_does_not_answer_the_notice_is_told_all_the_same() -> None:
    held = Held()
    peer = await opened(held, timeouts=Timeouts(linger=2))
    await peer.request(1)
    peer.connection.drain()
    await peer.wait(4)
    assert peer.goodbyes() == [Code.NO_ERROR, Code.NO_ERROR]
    held.release()
    await turns()
    assert peer.left


async def test_a_pong_that_was_not_asked_for_says_nothing() -> None:
    peer = await opened(hello)
    await peer.send(frames.build_frame(frames.PING, frames.ACK, 0, b"whatever"))
    assert not peer.goodbyes()


# How it begins.


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 23, 24, 1000])
async def test_a_connection_may_begin_as_http_2(size: int) -> None:
    peer = Peer(hello)
    writer = Http2Peer(hello)
    data = PREFACE + writer.head(1)
    for at in range(0, len(data), size):
        await peer.send(data[at : at + size])
        peer.connection = peer.transport.get_protocol()  # type: ignore[assignment]
    writer.transport.output = peer.transport.output
    assert writer.answer(1).body == b"hello"
    await writer.leave()


async def test_where_http_2_is_not_spoken_its_preface_is_refused() -> None:
    peer = Peer(hello)
    peer.worker.http2 = None
    await peer.send(PREFACE)
    assert peer.response().status == 505


async def test_another_method_that_begins_alike_is_served() -> None:
    peer = Peer(hello)
    await peer.send("P")
    await peer.send("ROPFIND / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert peer.response("PROPFIND").status == 200


UPGRADE = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


async def test_a_request_may_ask_for_http_2() -> None:
    scopes: list[Scope] = []

    async def keeps(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await respond(send)

    peer = Peer(keeps)
    await peer.send(f"GET /x HTTP/1.1\r\nHost: test\r\n{UPGRADE}\r\n".encode() + PREFACE)
    head, _, rest = peer.transport.output.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"upgrade: h2c" in head
    reader = Http2Peer(hello)
    reader.transport.output = rest
    assert reader.answer(1).body == b"hello"
    assert (scopes[0]["http_version"], scopes[0]["path"]) == ("2", "/x")
    assert scopes[0]["headers"] == [(b"host", b"test")]
    assert peer.service.total_requests == 1
    await reader.leave()


@pytest.mark.parametrize(
    "headers",
    [
        UPGRADE + "HTTP2-Settings: AAMAAABk\r\n",
        UPGRADE.replace("AAMAAABk", "!"),
        UPGRADE.replace("h2c", "h2"),
        UPGRADE + "Content-Length: 0\r\n".replace("0", "1"),
    ],
)
async def test_a_request_that_asks_wrongly_is_served_as_it_is(headers: str) -> None:
    peer = Peer(hello)
    await peer.send(f"GET / HTTP/1.1\r\nHost: test\r\n{headers}\r\nx")
    assert peer.response().status == 200


async def test_settings_that_are_broken_end_the_upgraded_connection() -> None:
    peer = Peer(hello)
    headers = UPGRADE.replace("AAMAAABk", "AAMA")
    await peer.send(f"GET / HTTP/1.1\r\nHost: test\r\n{headers}\r\n")
    assert peer.transport.eof_written
