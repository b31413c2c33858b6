"""One connection: what a sink hears, what waits for what, and how it ends."""

from __future__ import annotations

import pytest

from tidegate.errors import BadRequest, PeerError, UsageError
from tidegate.http import Head
from tidegate.testing.wire import cuts
from tidegate.wire.http1.core import Http1Core
from tidegate.wire.http1.limits import Http1Limits

from .samples import CHUNKED_POST, CLOSING_GET, GET, POST, Sink, make, next_request


def test_a_request_in_one_piece_is_one_call() -> None:
    assert make(GET)[1].log == [("request", b"/", b"", True)]
    assert make(POST + b"hello")[1].log == [("request", b"/", b"hello", True)]
    assert make(CHUNKED_POST + b"5\r\nhello\r\n0\r\n\r\n")[1].log == [
        ("request", b"/", b"hello", True)
    ]


def test_content_is_handed_on_as_it_comes() -> None:
    _, sink = make(POST, b"he", b"ll", b"o")
    assert sink.log == [
        ("request", b"/", b"", False),
        ("body", b"he", False),
        ("body", b"ll", False),
        ("body", b"o", True),
    ]


def test_content_that_came_with_the_head_comes_with_the_head() -> None:
    _, sink = make(POST + b"he", b"llo")
    assert sink.log == [("request", b"/", b"he", False), ("body", b"llo", True)]


def test_pieces_without_content_are_no_calls() -> None:
    _, sink = make(CHUNKED_POST, b"", b"5", b"\r", b"\nhello", b"\r\n", b"0\r\n", b"\r\n")
    assert sink.log == [
        ("request", b"/", b"", False),
        ("body", b"hello", False),
        ("body", b"", True),
    ]


def test_trailers_are_announced_before_the_end() -> None:
    _, sink = make(CHUNKED_POST + b"5\r\nhello\r\n0\r\nX: 1\r\n\r\n")
    assert sink.log == [
        ("request", b"/", b"hello", False),
        ("trailers", [(b"x", b"1")]),
        ("body", b"", True),
    ]


def test_content_that_comes_with_trailers_comes_after_them() -> None:
    _, sink = make(CHUNKED_POST, b"5\r\nhello\r\n0\r\nX: 1\r\n\r\n")
    assert sink.log == [
        ("request", b"/", b"", False),
        ("trailers", [(b"x", b"1")]),
        ("body", b"hello", True),
    ]


def test_content_before_an_error_is_handed_on() -> None:
    core, sink = make(CHUNKED_POST)
    with pytest.raises(BadRequest):
        core.receive(b"5\r\nhello\r\nx\r\n")
    assert sink.log[1:] == [("body", b"hello", False)]


def test_an_error_without_content_is_no_call() -> None:
    core, sink = make(CHUNKED_POST)
    with pytest.raises(BadRequest):
        core.receive(b"x\r\n")
    assert len(sink.log) == 1


def test_content_before_an_error_in_the_same_piece_comes_with_the_head() -> None:
    core, sink = make()
    with pytest.raises(BadRequest):
        core.receive(CHUNKED_POST + b"5\r\nhello\r\nx\r\n")
    assert sink.log == [("request", b"/", b"hello", False)]


def test_nothing_received_is_no_call() -> None:
    core, sink = make(b"", b"")
    assert sink.log == []
    assert not core.started
    core.receive(GET)
    assert len(sink.log) == 1


def test_an_empty_piece_changes_nothing_of_what_follows() -> None:
    limits = Http1Limits(max_target_size=4)
    core, _ = make(b"", limits=limits)
    with pytest.raises(BadRequest) as refused:
        core.receive(b"GET /aaaa HTTP/1.1 x\r\n\r\n")
    assert refused.value.status == 414


def test_a_bare_lf_after_an_empty_line_in_two_pieces_is_refused() -> None:
    core, _ = make(b"\r", b"\n")
    with pytest.raises(BadRequest):
        core.receive(b"\n")


def test_an_empty_line_in_two_pieces_leaves_no_trace_in_the_next_request() -> None:
    core, sink = make(b"\r", b"\n", GET)
    next_request(core, sink)
    with pytest.raises(BadRequest):
        core.receive(b"\n")


def test_the_next_request_waits_until_it_is_asked_for() -> None:
    core, sink = make(GET + GET + GET)
    assert len(sink.requests) == 1
    assert core.buffered == 2 * len(GET)
    core.receive(GET)
    assert core.buffered == 3 * len(GET)
    next_request(core, sink)
    assert len(sink.requests) == 2
    assert core.buffered == 2 * len(GET)


def test_what_waits_is_not_judged() -> None:
    core, sink = make(GET + b"\n\n\n")
    core.receive(b"\x00")
    with pytest.raises(BadRequest):
        next_request(core, sink)


def test_a_response_may_be_finished_before_anything_waits() -> None:
    core, sink = make(GET)
    assert not core.finish()
    sink.expects_request = True
    core.receive(GET)
    assert len(sink.requests) == 2


def test_finishing_says_whether_something_waits() -> None:
    core, sink = make(GET + GET)
    assert core.finish()
    assert len(sink.requests) == 1
    next_request(core, sink)
    assert len(sink.requests) == 2
    assert not core.finish()


def test_finishing_a_request_that_closes_closes() -> None:
    core, sink = make(CLOSING_GET + GET)
    assert not core.keep_alive
    assert not core.finish()
    assert core.buffered == 0
    core.receive(GET)
    core.next_request()
    assert len(sink.requests) == 1


def test_our_own_wish_to_close_is_kept() -> None:
    core, sink = make(GET + GET)
    core.keep_alive = False
    core.next_request()
    core.receive(GET)
    assert len(sink.requests) == 1


def test_finishing_before_a_request_changes_nothing() -> None:
    core, sink = make()
    assert not core.finish()
    core.next_request()
    core.receive(GET[:10])
    assert not core.finish()
    core.next_request()
    core.receive(GET[10:])
    assert len(sink.requests) == 1


@pytest.mark.parametrize("received", [POST + b"hell", CHUNKED_POST, CHUNKED_POST + b"0\r\n"])
def test_a_request_that_is_still_arriving_cannot_be_finished(received: bytes) -> None:
    core, _ = make(received)
    with pytest.raises(UsageError):
        core.finish()
    with pytest.raises(UsageError):
        core.next_request()


def test_the_request_is_known_while_it_is_answered() -> None:
    core, sink = make()
    assert core.head is None
    core.receive(GET + CLOSING_GET)
    assert core.head is sink.requests[0].head
    next_request(core, sink)
    assert core.head is sink.requests[1].head


def test_a_head_has_started_with_its_first_byte() -> None:
    core, sink = make()
    assert not core.started
    core.receive(b"G")
    assert core.started
    core.receive(GET[1:])
    assert not core.started
    next_request(core, sink)
    assert not core.started


def test_a_head_that_waits_has_not_started() -> None:
    core, sink = make(GET + b"G")
    assert not core.started
    next_request(core, sink)
    assert core.started


def test_the_empty_line_before_a_request_is_not_its_start() -> None:
    core, _ = make(b"\r\n")
    assert not core.started


def test_what_remains_of_the_content_is_known() -> None:
    core, _ = make()
    assert core.body_remaining == 0
    core.receive(POST)
    assert core.body_remaining == 5
    core.receive(b"he")
    assert core.body_remaining == 3
    core.receive(b"llo")
    assert core.body_remaining == 0


def test_nobody_knows_what_remains_of_chunks() -> None:
    core, _ = make(CHUNKED_POST)
    assert core.body_remaining is None
    core.receive(b"0\r\n\r\n")
    assert core.body_remaining == 0


@pytest.mark.parametrize("received", [b"", GET, b"\r\n", POST + b"hello"])
def test_a_peer_may_stop_between_requests(received: bytes) -> None:
    core, sink = make(received)
    core.receive_eof()
    next_request(core, sink)
    core.receive_eof()


@pytest.mark.parametrize("received", [b"G", GET[:-1], POST, POST + b"hell", CHUNKED_POST])
def test_a_peer_may_not_stop_inside_a_request(received: bytes) -> None:
    core, _ = make(received)
    with pytest.raises(PeerError) as refused:
        core.receive_eof()
    assert refused.value.status == 400


def test_a_request_that_waits_is_served_though_the_peer_stopped() -> None:
    core, sink = make(GET + GET)
    core.receive_eof()
    next_request(core, sink)
    assert len(sink.requests) == 2


def test_half_a_request_that_waits_is_refused_when_the_peer_has_stopped() -> None:
    core, sink = make(GET + GET[:-1])
    core.receive_eof()
    with pytest.raises(PeerError):
        next_request(core, sink)


def test_a_peer_that_stopped_inside_a_request_is_not_heard_again() -> None:
    core, sink = make(POST)
    with pytest.raises(PeerError):
        core.receive_eof()
    core.receive(b"hello")
    core.receive_eof()
    assert len(sink.log) == 1


def test_nothing_is_heard_after_an_error() -> None:
    core, sink = make()
    with pytest.raises(PeerError):
        core.receive(b"\n" + GET)
    core.receive(GET)
    core.receive_eof()
    core.next_request()
    assert sink.log == []
    assert core.buffered == 0


def test_nothing_is_heard_after_closing() -> None:
    core, sink = make(GET + GET)
    core.close()
    core.receive(GET)
    core.next_request()
    assert len(sink.requests) == 1
    assert core.buffered == 0


def test_another_protocol_gets_what_waits() -> None:
    core, sink = make(GET + b"\x81\x05hello")
    assert core.hand_over() == b"\x81\x05hello"
    assert core.hand_over() == b""
    core.receive(GET)
    assert len(sink.requests) == 1


@pytest.mark.parametrize(
    "received",
    [GET + GET, POST + b"hel", CHUNKED_POST + b"5\r\nhel", CHUNKED_POST + b"0\r\nX: 1\r\n\r\n"],
)
def test_a_sink_may_close_the_connection_while_it_is_told_of_a_request(received: bytes) -> None:
    class Hasty(Sink):
        def on_request(self, head: Head, body: bytes, ended: bool) -> None:
            super().on_request(head, body, ended)
            core.close()

    sink = Hasty()
    core = Http1Core(sink, Http1Limits())
    core.receive(received)
    core.receive(b"more")
    core.receive_eof()
    core.next_request()
    assert len(sink.log) == 1


@pytest.mark.parametrize("received", [POST + b"h", CHUNKED_POST])
def test_a_sink_may_close_the_connection_while_it_is_told_of_content(received: bytes) -> None:
    class Hasty(Sink):
        def on_body(self, data: bytes, ended: bool) -> None:
            super().on_body(data, ended)
            core.close()

    sink = Hasty()
    core = Http1Core(sink, Http1Limits())
    core.receive(received)
    core.receive(b"2\r\nab\r\n")
    core.receive(b"0\r\n\r\n" + GET)
    core.receive_eof()
    core.next_request()
    assert [call[0] for call in sink.log] == ["request", "body"]


def test_a_sink_may_close_the_connection_while_it_is_told_of_trailers() -> None:
    class Hasty(Sink):
        def on_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
            super().on_trailers(fields)
            core.close()

    sink = Hasty()
    core = Http1Core(sink, Http1Limits())
    core.receive(CHUNKED_POST)
    core.receive(b"0\r\nX: 1\r\n\r\n" + GET)
    core.next_request()
    assert len(sink.requests) == 1
    assert core.buffered == 0


def test_a_sink_may_answer_while_it_is_told() -> None:
    class Prompt(Sink):
        def on_request(self, head: Head, body: bytes, ended: bool) -> None:
            super().on_request(head, body, ended)
            if ended:
                next_request(core, self)

        def on_body(self, data: bytes, ended: bool) -> None:
            super().on_body(data, ended)
            if ended:
                next_request(core, self)

    chunks = CHUNKED_POST + b"1\r\na\r\n0\r\n"
    received = GET + POST + b"hello" + chunks + b"\r\n" + chunks + b"X: 1\r\n\r\n" + GET
    for pieces in cuts(received):
        sink = Prompt()
        core = Http1Core(sink, Http1Limits())
        for piece in pieces:
            core.receive(piece)
        assert [request.body for request in sink.requests] == [b"", b"hello", b"a", b"a", b""]


def test_what_has_come_of_a_head_can_be_seen() -> None:
    core, _ = make(GET[:7])
    assert core.peek() == GET[:7]
