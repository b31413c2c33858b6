"""Connections of HTTP/3: requests, who waits for whom, deadlines, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aioquic.quic.connection import QuicConnection
from aioquic.quic.recovery import QuicPacketRecovery
from aioquic.quic.stream import QuicStreamSender
from aioquic.tls import Context, Epoch

from tidegate.asgi import Receive, Scope, Send
from tidegate.exchange.service import Policy
from tidegate.net import quic
from tidegate.net.certificates import Certificates
from tidegate.net.timeouts import Timeouts
from tidegate.testing.peer import turns
from tidegate.wire.http2.limits import Http2Limits
from tidegate.wire.http3.frames import GOAWAY, HEADERS, Code, build_frame

from .applications import hello
from .http3_peer import GET, POST, Http3Client, Http3Peer, certificates
from .memory import nothing_left

Open = Callable[..., Any]

HERE = ("127.0.0.1", 50001)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("http3"))


@pytest.fixture
def peer(shown: Certificates) -> Open:
    """``async with peer(application) as one``: connected, and settled at the end."""

    @asynccontextmanager
    async def opened(application: Any, **options: Any) -> AsyncIterator[Http3Peer]:
        made = Http3Peer(application, shown, **options)
        await made.pump()
        try:
            yield made
        finally:
            await made.settle()

    return opened


class Gate:
    """Answers when it may."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.may_answer = asyncio.Event()
        self.told: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await receive()
        waiting = asyncio.ensure_future(receive())
        answering = asyncio.ensure_future(self.may_answer.wait())
        await asyncio.wait([waiting, answering], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            self.told.append(waiting.result()["type"])
            answering.cancel()
            return
        waiting.cancel()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


def flooding(size: int) -> Any:
    """Sends that much; ``sent`` counts."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while application.sent < size:  # type: ignore[attr-defined]
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            application.sent += 10_000  # type: ignore[attr-defined]
        await send({"type": "http.response.body"})

    application.sent = 0  # type: ignore[attr-defined]
    return application


# What is relied on of the library.


def test_what_is_used_of_the_library_is_there() -> None:
    made = QuicConnection(
        configuration=quic.QuicConfiguration(alpn_protocols=["h3"], server_name="x")
    )
    for name in quic._RELIED_ON:
        assert hasattr(made, name), name
    for name in quic._RELIED_ON_SENDERS:
        assert hasattr(QuicStreamSender(0, True), name), name
    assert hasattr(Context, "_server_handle_hello")


# Requests.


async def test_a_request_is_answered(peer: Open) -> None:
    gate = Gate()
    gate.may_answer.set()
    async with peer(gate) as one:
        answer = await one.client.request()
        assert (answer.status, answer.body, answer.ended) == (200, b"done", True)
        scope = gate.scopes[0]
        assert (scope["http_version"], scope["scheme"]) == ("3", "https")
        assert scope["client"] == ("127.0.0.1", 50000)
        assert scope["server"] == ("127.0.0.1", 443)
        tls = scope["extensions"]["tls"]
        assert tls["server_cert"].startswith("-----BEGIN CERTIFICATE-----")
        assert tls["tls_version"] == 0x0304
        assert tls["cipher_suite"] in (0x1301, 0x1302, 0x1303)


async def test_many_requests_go_over_one_connection(peer: Open) -> None:
    async with peer(hello) as one:
        for _ in range(300):
            await one.client.request()
        assert {answer.body for answer in one.client.answers.values()} == {b"hello"}
        assert not one.server.core.streams
        assert not one.server.core._readers


async def test_an_application_that_fails_resets_its_stream(peer: Open) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        raise ValueError("as asked")

    async with peer(application) as one:
        answer = await one.client.request()
        assert answer.reset == Code.INTERNAL_ERROR
        assert one.client.over is None


async def test_what_is_over_is_freed(peer: Open) -> None:
    async with peer(hello) as one:
        await one.client.request()
        with nothing_left():
            await one.client.request()
            await one.client.request(POST, b"hello")


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([*POST, *[(b"x", b"y")] * 120], 431),
        ([(b":method", b"OPTIONS"), GET[1], GET[2], (b":path", b"*")], 204),
    ],
)
async def test_an_answer_of_ours_outlives_the_content_of_its_request(
    peer: Open, pairs: list[tuple[bytes, bytes]], status: int
) -> None:
    async with peer(hello) as one:
        answer = await one.client.request(pairs, b"some")
        assert (answer.status, answer.reset) == (status, None)


async def test_the_content_of_what_is_refused_is_not_kept(peer: Open) -> None:
    async with peer(hello) as one:
        # It takes nothing, so that the refusal waits.
        one.client = client = Http3Client(one.endpoint, HERE, max_stream_data=0)
        await client.request([(b":method", b"CONNECT"), GET[2]], b"x" * 1_000_000, ended=False)
        found = [each.core.streams for each in one.endpoint._ids]
        (stream,) = [stream for streams in found for stream in streams.values()]
        assert stream.early == []


async def test_a_response_that_nobody_wants_is_not_begun(peer: Open) -> None:
    gate = Gate()
    async with peer(gate) as one:
        number = one.client.quic.get_next_available_stream_id()
        one.client.http.send_headers(number, GET, True)
        stream = one.client.quic._streams[number]
        stream.receiver.stop(Code.REQUEST_CANCELLED)
        stream.sender.buffer_is_empty = True  # the request is late
        await one.pump()
        stream.sender.buffer_is_empty = False
        await one.pump()
        assert gate.scopes == []
        assert not one.server.core.streams


# Who waits for whom.


async def test_a_client_that_does_not_read_makes_the_application_wait(peer: Open) -> None:
    application = flooding(3_000_000)
    async with peer(application) as one:
        one.client.reads = False
        answer = await one.client.request()
        assert application.sent < 2_000_000
        one.client.reads = True
        while not answer.ended:
            for number in list(one.client.quic._held):
                one.client.quic.release(number)
            one.client.quic.send_ping(0)
            await one.pump()
        assert len(answer.body) == 3_000_000


async def test_an_application_that_does_not_read_makes_the_client_wait(peer: Open) -> None:
    may_read = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await may_read.wait()
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % size})

    limits = Http2Limits(stream_window=100_000, connection_window=150_000)
    async with peer(application, policy=Policy(max_read_ahead=10_000), limits=limits) as one:
        answer = await one.client.request(POST, b"x" * 500_000)
        sender = one.client.quic._streams[0].sender
        # What was read ahead, the window, and the datagram between the two.
        assert sender.highest_offset <= 10_000 + 100_000 + 2_000
        other = await one.client.request(POST, b"x" * 500_000)
        assert one.client.quic._remote_max_data_used <= 2 * 12_000 + 150_000
        may_read.set()
        while not (answer.ended and other.ended):
            one.client.quic.send_ping(0)
            await one.pump()
        assert answer.body == other.body == b"500000"


async def test_who_is_reset_while_held_leaves_the_window_to_others(peer: Open) -> None:
    may_end = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            await may_end.wait()
        await hello(scope, receive, send)

    limits = Http2Limits(stream_window=100_000, connection_window=100_000)
    async with peer(application, limits=limits) as one:
        for _ in range(5):
            await one.client.request(POST, b"x" * 100_000, ended=False)
            one.client.quic.reset_stream(one.client.number, Code.REQUEST_CANCELLED)
            one.client.quic.stop_stream(one.client.number, Code.REQUEST_CANCELLED)
            await one.pump()
        assert not one.server.quic._held
        assert one.server.quic._local_max_data.used > 400_000
        may_end.set()
        assert (await one.client.request()).body == b"hello"


async def test_what_has_a_gap_before_it_counts_as_not_taken(peer: Open) -> None:
    limits = Http2Limits(stream_window=100_000, connection_window=300_000)
    async with peer(hello, limits=limits) as one:
        client = one.client.quic
        while client._remote_max_data_used + 100_000 <= client._remote_max_data < 2_000_000:
            number = client.get_next_available_stream_id()
            client.send_stream_data(number, b"")
            sender = client._streams[number].sender
            # Nothing but the last byte that the window has room for.
            sender._buffer_start = sender._buffer_stop = sender.highest_offset = 99_999
            client._remote_max_data_used += 99_999
            sender.write(b"x")
            await one.pump()
        streams = one.server.quic._streams.values()
        assert sum(len(stream.receiver._buffer) for stream in streams) <= 300_000
        assert one.client.over is None


async def test_what_is_never_acknowledged_makes_the_application_wait(
    peer: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged = QuicStreamSender.on_data_delivery

    def but_the_first(sender: Any, delivery: Any, start: int, stop: int, fin: bool) -> None:
        if start or sender._stream_id:
            acknowledged(sender, delivery, start, stop, fin)

    monkeypatch.setattr(QuicStreamSender, "on_data_delivery", but_the_first)
    # What is lost again and again makes it small.
    monkeypatch.setattr(QuicPacketRecovery, "congestion_window", 20_000)
    application = flooding(2_000_000)
    async with peer(application) as one:
        await one.client.request()
        assert application.sent < 500_000


@pytest.mark.parametrize(("offset", "size"), [(100_000, 1), (0, 300_000)])
async def test_a_handshake_is_not_kept_without_end(peer: Open, offset: int, size: int) -> None:
    async with peer(hello) as one:
        sender = one.client.quic._crypto_streams[Epoch.ONE_RTT].sender
        sender._buffer_start = sender._buffer_stop = sender.highest_offset = offset
        sender.write(b"\x01\xff\xff\xff".ljust(size, b"x"))
        server = one.server.quic
        while one.client.over is None and sender.highest_offset < offset + size:
            await one.pump()
        await one.pump()
        assert one.client.over is not None
        assert len(server._crypto_streams[Epoch.ONE_RTT].receiver._buffer) == 0
        assert len(server.tls._receive_buffer) < 70_000


# Too slow.


async def test_a_client_that_takes_nothing_is_reset(peer: Open) -> None:
    async with peer(flooding(5_000_000)) as one:
        one.client.reads = False
        answer = await one.client.request()
        await one.wait(32)
        while answer.reset is None:
            await one.pump()  # QUIC has a clock of its own, and sends at its own pace
        assert answer.reset == Code.REQUEST_CANCELLED
        assert one.service.refusals == {"slow_reader": 1}


async def test_a_client_that_takes_nothing_is_reset_also_while_nobody_takes_what_it_sends(
    peer: Open,
) -> None:
    async with peer(flooding(5_000_000)) as one:
        one.client.reads = False
        answer = await one.client.request(POST, b"x" * 200_000, ended=False)
        await one.wait(32)
        while answer.reset is None:
            await one.pump()
        assert answer.reset == Code.REQUEST_CANCELLED
        assert one.service.refusals == {"slow_reader": 1}


async def test_content_that_does_not_come_is_answered_with_408(peer: Open) -> None:
    async with peer(Gate()) as one:
        answer = await one.client.request(POST, b"x", ended=False)
        await one.wait(32)
        assert answer.status == 408


async def test_a_head_that_does_not_end_closes_the_connection(peer: Open) -> None:
    async with peer(hello) as one:
        one.client.quic.send_stream_data(0, b"\x01\x40")
        await one.pump()
        await one.wait(11)
        assert one.client.over.error_code == Code.EXCESSIVE_LOAD


async def test_a_handshake_that_does_not_end_is_forgotten(shown: Certificates) -> None:
    one = Http3Peer(hello, shown)
    for data, _ in one.client.quic.datagrams_to_send(one.client.now()):
        one.endpoint.received(data, one.client.address)
    assert len(one.worker.connections) == 1
    for _ in range(11):
        one.clock.advance(1.0)
    assert not one.worker.connections
    assert one.service.refusals == {"tls": 1}
    await one.settle()


async def test_an_idle_connection_is_closed(peer: Open) -> None:
    async with peer(hello, timeouts=Timeouts(keep_alive=7)) as one:
        await one.client.request()
        await one.wait(6)
        assert one.client.over is None
        await one.wait(2)
        assert one.client.over.error_code == Code.NO_ERROR
        assert not one.worker.connections


async def test_an_idle_connection_is_closed_even_if_its_last_stream_is_not(peer: Open) -> None:
    async with peer(hello, timeouts=Timeouts(keep_alive=3)) as one:
        number = one.client.quic.get_next_available_stream_id()
        one.client.http.send_headers(number, POST, False)
        # It does not do what the server's STOP_SENDING asks for, but is there.
        one.client.quic._streams[number].sender.reset = lambda error_code: None
        await one.pump()
        control = one.client.quic._streams[3].receiver
        before = control.starting_offset()
        for _ in range(10):
            one.client.quic.send_ping(0)
            await one.wait(1)
        assert one.client.over.error_code == Code.NO_ERROR
        assert control.starting_offset() - before == len(build_frame(GOAWAY, b"\4"))


async def test_a_head_that_has_begun_is_not_idle(peer: Open) -> None:
    async with peer(hello, timeouts=Timeouts(keep_alive=3)) as one:
        await one.client.request()
        number = one.client.quic.get_next_available_stream_id()
        head = build_frame(HEADERS, quic.StaticQpack().encode(GET))
        one.client.quic.send_stream_data(number, head[:5])
        await one.wait(8)
        one.client.quic.send_stream_data(number, head[5:], True)
        await one.pump()
        assert one.client.answer(number).status == 200


async def test_a_long_answer_is_not_given_up(peer: Open) -> None:
    gate = Gate()
    async with peer(gate) as one:
        answer = await one.client.request()
        await one.wait(100)
        assert one.client.over is None
        gate.may_answer.set()
        await turns()
        await one.pump()
        assert answer.body == b"done"


# Floods.


async def test_many_cancelled_requests_close_the_connection(peer: Open) -> None:
    async with peer(Gate()) as one:
        for _ in range(250):
            await one.client.request(POST, b"x", ended=False)
            one.client.quic.reset_stream(one.client.number, Code.REQUEST_CANCELLED)
            if one.client.over is not None:
                break
        assert one.client.over.error_code == Code.EXCESSIVE_LOAD
        assert not one.service.running


async def test_a_head_that_is_too_large_is_refused_and_not_kept(peer: Open) -> None:
    async with peer(hello, limits=Http2Limits(max_head_size=4000)) as one:
        answer = await one.client.request([*GET, (b"x-large", b"x" * 60_000)])
        assert answer.status == 431
        assert one.server.quic._streams.get(0) is None or not one.server.core._readers[0]._data
        assert (await one.client.request()).status == 200


# The end.


async def test_an_idle_connection_is_closed_at_shutdown(peer: Open) -> None:
    async with peer(hello) as one:
        await one.client.request()
        one.server.drain()
        await one.pump()
        assert one.client.over.error_code == Code.NO_ERROR


async def test_what_is_in_progress_ends_at_shutdown(peer: Open) -> None:
    gate = Gate()
    async with peer(gate) as one:
        answer = await one.client.request()
        one.server.drain()
        one.server.drain()
        await one.pump()
        assert one.client.over is None
        assert (await one.client.request()).reset == Code.REQUEST_REJECTED
        gate.may_answer.set()
        await turns()
        await one.pump()
        assert (answer.body, answer.ended) == (b"done", True)
        assert one.client.over.error_code == Code.NO_ERROR
        assert not one.worker.connections


async def test_the_last_answer_at_shutdown_has_time_to_be_sent_again(peer: Open) -> None:
    gate = Gate()
    async with peer(gate) as one:
        answer = await one.client.request()
        one.server.drain()
        await one.wait(10)
        gate.may_answer.set()
        await turns()
        del one.client.socket.sent[:]  # lost on its way
        while one.worker.connections:
            await one.pump()
        assert (answer.body, answer.ended) == (b"done", True)
        assert one.client.over.error_code == Code.NO_ERROR


async def test_who_begins_while_we_stop_is_sent_away(shown: Certificates) -> None:
    one = Http3Peer(hello, shown)
    one.worker.draining = True
    await one.pump()
    assert one.client.over is not None
    assert not one.worker.connections
    await one.settle()


async def test_a_handshake_at_shutdown_has_a_moment(shown: Certificates) -> None:
    one = Http3Peer(hello, shown)
    for data, _ in one.client.quic.datagrams_to_send(one.client.now()):
        one.endpoint.received(data, one.client.address)
    one.server.drain()
    one.clock.advance(3.0)
    assert not one.worker.connections
    await one.settle()


async def test_applications_hear_of_a_client_that_closes(peer: Open) -> None:
    gate = Gate()
    async with peer(gate) as one:
        await one.client.request()
        await one.client.leave()
        # What QUIC keeps of it for a moment is over.
        one.server.quic.handle_timer(one.client.now() + 60)
        one.server._take_events()
        await turns()
        assert gate.told == ["http.disconnect"]
        assert not one.worker.connections
        assert not one.endpoint._routes


async def test_applications_hear_of_an_abort(peer: Open) -> None:
    gate = Gate()
    async with peer(gate) as one:
        await one.client.request()
        one.server.abort()
        await one.pump()
        assert gate.told == ["http.disconnect"]
        assert one.client.over is not None


async def test_nonsense_closes_the_connection(peer: Open) -> None:
    async with peer(hello) as one:
        one.client.quic.send_stream_data(0, b"\0\1x")
        await one.pump()
        assert one.client.over.error_code == Code.FRAME_UNEXPECTED
        assert one.service.refusals == {"frame_unexpected": 1}


# Compression.


@pytest.mark.parametrize("size", [0, 6, 7, 300, 60_000, 70_000])
def test_fields_of_any_size_are_written(size: int) -> None:
    qpack = quic.StaticQpack()
    pairs = [(b":status", b"200"), (b"x-" + b"n" * size, b"v"), (b"x-value", b"v" * size)]
    block = qpack.encode(pairs)
    if size > 65_535:
        written = quic.literal(*pairs[1]) + quic.literal(*pairs[2])
        assert block == b"\0\0" + quic.literal(*pairs[0]) + written
    else:
        assert qpack.decode(block) == pairs
        assert qpack.decode(b"\0\0" + b"".join(quic.literal(*pair) for pair in pairs)) == pairs
