"""Responses: frames, windows, the transport that is full, priorities."""

from __future__ import annotations

import pytest

from tidegate.http import NO_BODY, REASON, Defaults, Field, field
from tidegate.wire.http2 import frames
from tidegate.wire.http2.frames import DATA, END_STREAM, HEADERS, Code
from tidegate.wire.http2.priority import read_priority

from .client import GET, NO_DEFAULTS, POST, Client, fields, respond


def sizes(client: Client) -> list[tuple[int, int]]:
    """Return stream and size of the DATA frames that were sent."""
    return [(one.stream_id, len(one.payload)) for one in client.sent() if one.kind == DATA]


def test_a_small_response_is_a_head_and_its_content() -> None:
    client = Client()
    request = client.request(1)
    respond(client, request.stream, b"hello", True, (b"Content-Type", b"text/plain"))
    head, data = client.sent()
    assert client.fields(head) == [
        (b":status", b"200"),
        (b"content-type", b"text/plain"),
        (b"content-length", b"5"),
    ]
    assert (data.payload, data.flags) == (b"hello", END_STREAM)
    assert request.closed


def test_a_response_without_content_is_a_head() -> None:
    client = Client()
    request = client.request(1)
    client.core.respond(request.stream, (204, [], 0, NO_BODY, NO_DEFAULTS), b"", True)
    (head,) = client.sent()
    assert head.flags & END_STREAM
    assert client.fields(head) == [(b":status", b"204")]


def test_the_servers_own_fields_come_unless_the_application_gave_them() -> None:
    client = Client()
    defaults = Defaults([field(b"date", b"today"), field(b"server", b"us")])
    made, roles = fields((b"server", b"them"), (b"connection", b"close"), (b"Keep-Alive", b"1"))
    made.append(Field(b"", b"Fine", REASON))
    for number in (1, 3):
        stream = client.request(number).stream
        client.core.respond(stream, (200, made, roles | REASON, None, defaults), b"", True)
        (head,) = client.sent()
        assert client.fields(head) == [
            (b":status", b"200"),
            (b"date", b"today"),
            (b"server", b"them"),
        ]


def test_a_head_that_was_sent_before_is_the_same_until_the_date_changes() -> None:
    client = Client()
    made, roles = fields((b"content-type", b"text/plain"))
    for number, day in enumerate([b"mon"] * 3 + [b"tue"] * 3):
        defaults = Defaults([field(b"date", day)])
        stream = client.request(2 * number + 1).stream
        client.core.respond(stream, (200, made, roles, 0, defaults), b"", True)
        (head,) = client.sent()
        assert client.fields(head)[1] == (b"date", day)


def test_an_application_that_gives_the_length_gives_it_once() -> None:
    client = Client()
    respond(client, client.request(1).stream, b"hello", True, (b"content-length", b"5"))
    assert client.fields(client.sent()[0]) == [(b":status", b"200"), (b"content-length", b"5")]


def test_a_head_larger_than_a_frame_is_continued() -> None:
    client = Client()
    values = [(b"x-%d" % number, b"v" * 300) for number in range(150)]
    respond(client, client.request(1).stream, b"x", True, *values)
    first, *more, data = client.sent()
    assert {frame.kind for frame in more} == {frames.CONTINUATION}
    assert len(more) == 2
    first.payload += b"".join(frame.payload for frame in more)
    assert len(client.fields(first)) == 152
    assert data.payload == b"x"


def test_large_content_goes_in_frames() -> None:
    client = Client(settings=[(4, 1_000_000)])
    client.update(0, 1_000_000)
    request = client.request(1)
    respond(client, request.stream, b"x" * 40000)
    assert [frame.kind for frame in client.sent()] == [HEADERS, DATA, DATA, DATA]
    assert request.closed


def test_a_stream_sends_what_its_window_allows() -> None:
    client = Client(settings=[(4, 10)])
    request = client.request(1)
    respond(client, request.stream, b"x" * 25)
    assert sizes(client) == [(1, 10)]
    assert client.core.waiting == [request.stream]
    client.update(1, 5)
    assert sizes(client) == [(1, 5)]
    client.update(1, 100)
    assert sizes(client) == [(1, 10)]
    assert request.closed


def test_all_streams_send_what_the_connections_window_allows() -> None:
    client = Client(settings=[(4, 1_000_000)])
    first, second = client.request(1), client.request(3)
    respond(client, first.stream, b"x" * 60000)
    respond(client, second.stream, b"x" * 60000)
    assert sum(size for _, size in sizes(client)) == 65535
    assert client.core.blocked
    client.update(0, 100_000)
    assert sum(size for _, size in sizes(client)) == 120000 - 65535
    assert not client.core.blocked


def test_a_window_may_become_negative() -> None:
    client = Client(settings=[(4, 100)])
    request = client.request(1)
    respond(client, request.stream, b"x" * 150)
    client.sent()
    client.feed(frames.settings([(4, 20)]))
    client.update(1, 60)
    assert sizes(client) == []
    client.update(1, 30)
    assert sizes(client) == [(1, 10)]


def test_a_sender_waits_above_a_mark_and_is_called_below_another() -> None:
    client = Client()
    request = client.request(1)
    respond(client, request.stream, b"x" * 100_000, False)
    assert not request.stream.congested
    client.core.send_body(request.stream, b"x" * 100_000, False)
    assert request.stream.congested
    client.sent()
    for stream in (0, 1):
        client.update(stream, 200_000)
    client.sent()
    client.sent()
    assert not request.stream.congested
    assert request.writable == 1
    client.core.send_body(request.stream, b"", True)
    assert client.sent()[-1].flags == END_STREAM


def test_nothing_is_sent_while_the_transport_is_full() -> None:
    client = Client()
    client.core.may_write = False
    first, second = client.request(1), client.request(3)
    respond(client, first.stream, b"hello")
    respond(client, second.stream, b"", False)
    client.core.send_body(second.stream, b"a", False)
    client.core.send_body(second.stream, b"b", True)
    client.core.send_body(second.stream, b"after the end", True)
    assert client.sent() == []
    client.core.may_write = True
    kinds = [(one.kind, one.stream_id, one.payload) for one in client.sent()]
    assert [one for one in kinds if one[0] == DATA] == [(DATA, 1, b"hello"), (DATA, 3, b"ab")]


def test_a_bare_end_waits_too() -> None:
    client = Client()
    request = client.request(1)
    respond(client, request.stream, b"", False)
    client.core.send_body(request.stream, b"", False)
    assert len(client.sent()) == 1
    client.core.may_write = False
    client.core.send_body(request.stream, b"", True)
    client.core.may_write = True
    (end,) = client.sent()
    assert (end.kind, end.payload, end.flags) == (DATA, b"", END_STREAM)


def test_a_bare_head_waits_too() -> None:
    client = Client()
    client.core.may_write = False
    one, two = client.request(1), client.request(3)
    respond(client, one.stream, b"", True)
    respond(client, two.stream, b"", False)
    client.core.may_write = True
    first, second = client.sent()
    assert first.flags & END_STREAM
    assert not second.flags & END_STREAM
    assert client.core.waiting == []


def test_trailers_end_the_response() -> None:
    client = Client()
    request = client.request(1)
    respond(client, request.stream, b"hello", False)
    made, _ = fields((b"Grpc-Status", b"0"))
    client.core.send_trailers(request.stream, made)
    client.core.send_trailers(request.stream, made)
    *_, data, trailers = client.sent()
    assert (data.payload, data.flags) == (b"hello", 0)
    assert trailers.flags & END_STREAM
    client.decoder.decode(b"", 0, 0)
    assert request.closed


def test_trailers_wait_behind_the_content() -> None:
    client = Client(settings=[(4, 3)])
    request = client.request(1)
    respond(client, request.stream, b"hello", False)
    client.core.send_trailers(request.stream, fields((b"sum", b"1"))[0])
    assert [one.kind for one in client.sent()] == [HEADERS, DATA]
    client.update(1, 10)
    data, trailers = client.sent()
    assert (data.payload, data.flags) == (b"lo", 0)
    assert trailers.kind == HEADERS


def test_an_interim_response_comes_before() -> None:
    client = Client()
    request = client.request(1)
    client.core.send_informational(request.stream, 103, fields((b"link", b"</x>"))[0])
    respond(client, request.stream, b"hello")
    interim, final, _ = client.sent()
    assert client.fields(interim) == [(b":status", b"103"), (b"link", b"</x>")]
    assert client.fields(final)[0] == (b":status", b"200")


def test_an_answer_before_the_end_of_the_request_ends_that_too() -> None:
    client = Client()
    request = client.request(1, POST, ended=False)
    respond(client, request.stream, b"enough")
    *_, data, reset = client.sent()
    assert data.flags == END_STREAM
    assert (reset.kind, reset.code) == (frames.RST_STREAM, Code.NO_ERROR)


def test_a_closed_stream_takes_nothing() -> None:
    client = Client()
    request = client.request(1)
    client.core.reset(request.stream, Code.CANCEL)
    client.sent()
    respond(client, request.stream, b"x")
    client.core.send_body(request.stream, b"x", True)
    client.core.send_trailers(request.stream, [])
    client.core.send_informational(request.stream, 100)
    assert client.sent() == []


def test_a_stream_that_is_reset_drops_what_waits() -> None:
    client = Client(settings=[(4, 1)])
    request = client.request(1)
    respond(client, request.stream, b"x" * 100)
    client.core.reset(request.stream, Code.CANCEL)
    assert client.core.waiting == []
    assert request.stream.pending_size == 0


def test_closed_streams_are_not_remembered_for_ever() -> None:
    client = Client()
    for number in range(600):
        respond(client, client.request(2 * number + 1).stream, b"x")
    assert len(client.core._closed) <= 512
    assert client.core.streams == {}


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        (b"", (3, False)),
        (b"u=0", (0, False)),
        (b"i", (3, True)),
        (b"u=5, i", (5, True)),
        (b"i=?1,u=7", (7, True)),
        (b"i=?0", (3, False)),
        (b"u=8", (3, False)),
        (b"u=11, iq", (3, False)),
        (b"u=1;x=2", (1, False)),
    ],
)
def test_priorities_are_read(value: bytes, priority: tuple[int, bool]) -> None:
    assert read_priority(value) == priority


def waiting(client: Client, *priorities: bytes) -> None:
    """Let one large response wait for each priority."""
    client.core.may_write = False
    for number, priority in enumerate(priorities):
        stream = client.request(2 * number + 1, [*GET, (b"priority", priority)]).stream
        respond(client, stream, b"x" * 20000)
    client.core.may_write = True
    client.update(0, 1_000_000)


def order(client: Client) -> list[int]:
    found = []
    while True:
        sent = sizes(client)
        if not sent:
            return found
        found += [number for number, _ in sent]


def test_the_most_urgent_comes_first() -> None:
    client = Client()
    waiting(client, b"u=5", b"u=1", b"u=3")
    assert order(client) == [3, 3, 5, 5, 1, 1]


def test_equals_come_one_after_the_other_unless_they_are_of_use_in_parts() -> None:
    client = Client()
    waiting(client, b"", b"")
    assert order(client) == [1, 1, 3, 3]
    client = Client()
    waiting(client, b"i", b"i", b"i")
    assert order(client) == [1, 3, 5, 1, 3, 5]


def test_those_of_use_in_parts_share_with_the_oldest_of_the_others() -> None:
    client = Client()
    waiting(client, b"", b"", b"i")
    assert sorted(order(client)[:4]) == [1, 1, 5, 5]


def test_a_priority_may_be_changed_and_may_come_early() -> None:
    client = Client()

    def update(number: int, value: bytes) -> None:
        client.frame(frames.PRIORITY_UPDATE, 0, 0, number.to_bytes(4, "big") + value)

    update(3, b"u=0")
    update(3, b"u=1")
    waiting(client, b"u=2", b"u=6")
    update(1, b"u=7")
    assert order(client) == [3, 3, 1, 1]
    update(1, b"u=0")  # it is closed


def test_early_priorities_are_kept_for_as_many_streams_as_there_may_be() -> None:
    client = Client()
    for number in range(200):
        client.frame(frames.PRIORITY_UPDATE, 0, 0, (2 * number + 1).to_bytes(4, "big") + b"u=0")
    assert len(client.core._early_priorities) == 128


def test_the_connections_window_may_end_within_a_round() -> None:
    client = Client(settings=[(4, 1_000_000)])
    client.core.may_write = False
    for number in (1, 3, 5):
        stream = client.request(number, [*GET, (b"priority", b"i")]).stream
        respond(client, stream, b"x" * 40000)
    client.core.may_write = True
    assert [number for number, _ in sizes(client)] == [1, 3, 5, 1]
    client.update(0, 100_000)
    sizes(client)
    assert client.core.waiting == []


def test_a_stream_that_has_sent_all_it_was_given_waits_for_nothing() -> None:
    client = Client(settings=[(4, 5)])
    stream = client.request(1).stream
    respond(client, stream, b"x" * 10, False)
    client.update(1, 10)
    assert sizes(client) == [(1, 5), (1, 5)]
    assert client.core.waiting == []
    assert not stream.closed
