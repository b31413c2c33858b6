"""The same conversation with the client of the ``h2`` library at the other end."""

from __future__ import annotations

import random
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from tidegate.wire.http2.core import Http2Core
from tidegate.wire.http2.limits import Http2Limits

from .client import NO_DEFAULTS, Recorder, fields


class Conversation:
    """Passes bytes both ways, in random pieces."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sink = Recorder()
        self.core = Http2Core(self.sink, Http2Limits())
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.peer: Any = h2.connection.H2Connection(config)
        self.peer.initiate_connection()
        self.bodies: dict[int, bytes] = {}
        self.heads: dict[int, dict[bytes, bytes]] = {}
        self.trailers: dict[int, dict[bytes, bytes]] = {}
        self.ended: set[int] = set()

    def pieces(self, data: bytes) -> list[bytes]:
        found = []
        while data:
            size = self.random.randint(1, 3000)
            found.append(data[:size])
            data = data[size:]
        return found

    def exchange(self) -> None:
        """Go on until nobody has anything to say."""
        while True:
            self.core.pump()
            ours, theirs = self.core.take_output(), self.peer.data_to_send()
            if not ours and not theirs:
                return
            for piece in self.pieces(ours):
                for event in self.peer.receive_data(piece):
                    self.on_event(event)
            for piece in self.pieces(theirs):
                self.core.receive(piece)

    def on_event(self, event: Any) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
            self.peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.trailers[event.stream_id] = dict(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        else:
            assert not isinstance(event, h2.events.ConnectionTerminated), event


def test_requests_and_responses_arrive_as_they_were_sent() -> None:
    for seed in range(10):
        talk = Conversation(seed)
        bodies = {}
        for number in range(1, 41, 2):
            body = talk.random.randbytes(talk.random.choice([0, 5, 20_000, 60_000]))
            head = [
                *((b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/%d" % number)),
                *((b":authority", b"test"), (b"x-number", b"%d" % number), (b"cookie", b"a=b")),
            ]
            talk.peer.send_headers(number, head, end_stream=not body)
            bodies[number] = body
            while body:
                size = min(talk.peer.local_flow_control_window(number), 16384)
                talk.peer.send_data(number, body[:size], end_stream=len(body) <= size)
                body = body[size:]
                talk.exchange()
        talk.exchange()
        answers = {}
        for number, request in talk.sink.requests.items():
            assert request.body == bodies[number]
            assert request.ended
            assert request.head is not None
            assert request.head.path == b"/%d" % number
            answers[number] = answer = talk.random.randbytes(talk.random.choice([0, 9, 200_000]))
            made, roles = fields((b"x-answer", b"%d" % number), (b"set-cookie", b"c=d"))
            head = (200, made, roles, None, NO_DEFAULTS)
            talk.core.respond(request.stream, head, answer[:100], False)
            talk.core.send_body(request.stream, answer[100:], False)
            talk.core.send_trailers(request.stream, fields((b"sum", b"%d" % len(answer)))[0])
        talk.exchange()
        assert talk.ended == set(bodies)
        for number, answer in answers.items():
            assert talk.heads[number][b"x-answer"] == b"%d" % number
            assert talk.bodies.get(number, b"") == answer
            assert talk.trailers[number] == {b"sum": b"%d" % len(answer)}
        assert talk.core.streams == {}


def test_a_peer_that_changes_its_settings_all_the_time_is_followed() -> None:
    talk = Conversation(1)
    talk.exchange()
    for number in range(1, 41, 2):
        settings = {
            h2.settings.SettingCodes.HEADER_TABLE_SIZE: talk.random.randint(0, 5000),
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: talk.random.randint(1, 70_000),
        }
        if number % 5 == 0:
            talk.peer.update_settings(settings)
        head = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
        talk.peer.send_headers(number, [*head, (b":authority", b"test")], end_stream=True)
        talk.exchange()
        made, roles = fields((b"x-answer", b"%d" % (number % 7)))
        stream = talk.sink.requests[number].stream
        talk.core.respond(stream, (200, made, roles, 9, NO_DEFAULTS), b"x" * 9, True)
        talk.exchange()
        assert talk.heads[number][b"x-answer"] == b"%d" % (number % 7)
        assert talk.bodies[number] == b"x" * 9
