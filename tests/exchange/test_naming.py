"""Request ids and traces: taken, made, told to everybody who asks."""

from __future__ import annotations

import json
import logging
import re

import pytest

from tidegate.exchange.access import AccessLog
from tidegate.exchange.ended import Both
from tidegate.exchange.formats import compile_line
from tidegate.exchange.forwarded import Proxies
from tidegate.exchange.naming import Naming
from tidegate.exchange.service import Policy
from tidegate.testing.peer import Peer
from tidegate.testing.websocket import WebSocketPeer, closing, handshake
from tidegate.trace import request_id, trace_of, traceparent

from .applications import body
from .sockets import Listening
from .test_wsgi import WsgiPeer

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEX = r"[0-9a-f]{32}"


class Noting:
    """Notes what a request is called, and fails if the path says so."""

    def __init__(self, headers=()):
        self.states = []
        self.variables = []
        self.headers = list(headers)

    async def __call__(self, scope, receive, send):
        self.states.append(scope["state"])
        self.variables.append((request_id.get(), traceparent.get()))
        if scope["path"] == "/broken":
            raise ValueError
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send(body(b"hello"))


def named(application, header="X-Request-ID", trace=False, trusted="127.0.0.1", **more):
    peer = Peer(application, Policy(proxies=Proxies([trusted])), **more)
    peer.service.naming = Naming(header, trace)
    return peer


async def test_a_request_without_an_id_gets_one():
    application = Noting()
    peer = named(application)
    answer = await peer.get()
    made = answer.header("x-request-id")
    assert re.fullmatch(HEX, made)
    assert application.states == [{"request_id": made}]
    assert application.variables == [(made, None)]
    other = await peer.get()
    assert other.header("x-request-id") != made
    assert request_id.get() == "-"


async def test_the_id_of_a_trusted_peer_is_kept():
    application = Noting()
    answer = await named(application).get("/", "x-request-id: Root=1-67\r\n")
    assert answer.header("x-request-id") == "Root=1-67"
    assert application.states[0]["request_id"] == "Root=1-67"


@pytest.mark.parametrize("trusted", ["127.0.0.1", "10.0.0.1"])
@pytest.mark.parametrize("value", ["a b", "", "x" * 129, 'a"', "\xe9"])
async def test_an_id_that_is_not_sane_is_replaced(value, trusted):
    answer = await named(Noting(), trusted=trusted).get("/", f"x-request-id: {value}\r\n")
    assert re.fullmatch(HEX, answer.header("x-request-id"))


async def test_the_id_of_a_stranger_is_replaced():
    answer = await named(Noting(), trusted="10.0.0.1").get("/", "x-request-id: mine\r\n")
    assert re.fullmatch(HEX, answer.header("x-request-id"))


async def test_an_id_that_the_application_gives_itself_is_not_repeated():
    answer = await named(Noting([(b"X-Request-Id", b"own")])).get()
    assert [value for name, value in answer.headers if name == "x-request-id"] == ["own"]


async def test_an_error_of_the_server_has_the_id_too(caplog):
    answer = await named(Noting()).get("/broken", "x-request-id: mine\r\n")
    assert (answer.status, answer.header("x-request-id")) == (500, "mine")


async def test_a_trace_is_continued_whoever_began_it():
    application = Noting()
    peer = named(application, header=None, trace=True, trusted="10.0.0.1")
    answer = await peer.get("/", f"traceparent: {TRACE}\r\n")
    (told,) = application.states
    assert set(told) == {"traceparent"}
    assert re.fullmatch(rf"{TRACE[:36]}[0-9a-f]{{16}}-01", told["traceparent"])
    assert told["traceparent"] != TRACE
    assert application.variables == [("-", told["traceparent"])]
    assert answer.header("x-request-id") is None


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "traceparent: nonsense\r\n",
        f"traceparent: {TRACE}-more\r\n",
        f"traceparent: {TRACE.upper()}\r\n",
        f"traceparent: ff{TRACE[2:]}\r\n",
        f"traceparent: 00-{'0' * 32}-b7ad6b7169203331-01\r\n",
        f"traceparent: 00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01\r\n",
        f"traceparent: {TRACE}\r\ntraceparent: {TRACE}\r\n",
    ],
)
async def test_what_is_no_trace_begins_a_new_one(lines):
    application = Noting()
    await named(application, trace=True).get("/", lines)
    (told,) = application.states
    assert re.fullmatch(rf"00-{HEX}-[0-9a-f]{{16}}-01", told["traceparent"])
    assert told["traceparent"][3:35] != TRACE[3:35]
    # One name for both.
    assert told["request_id"] == trace_of(told["traceparent"])


async def test_a_later_version_may_say_more_and_flags_are_kept():
    application = Noting()
    await named(application, trace=True).get("/", f"traceparent: cc{TRACE[2:-2]}00-more\r\n")
    assert re.fullmatch(rf"{TRACE[:36]}[0-9a-f]{{16}}-00", application.states[0]["traceparent"])


async def test_lines_of_the_log_know_the_names(caplog):
    caplog.set_level(logging.INFO, "tidegate.access")
    peer = named(Noting(), trace=True, access_log=AccessLog(compile_line("json")))
    await peer.get("/", f"x-request-id: mine\r\ntraceparent: {TRACE}\r\n")
    (record,) = caplog.records
    assert (record.request_id, record.trace_id) == ("mine", TRACE[3:35])
    assert json.loads(record.access)["request_id"] == "mine"


async def test_a_plain_line_knows_the_names_too(caplog):
    caplog.set_level(logging.INFO, "tidegate.access")
    peer = named(Noting(), access_log=AccessLog())
    await peer.get("/", "x-request-id: mine\r\n")
    (record,) = caplog.records
    assert (record.request_id, record.trace_id) == ("mine", "-")


async def test_a_wsgi_application_finds_the_names_in_its_environment():
    seen = []

    def application(environ, start_response):
        seen.append((environ["tidegate.request_id"], environ["tidegate.traceparent"]))
        seen.append((request_id.get(), traceparent.get()))
        start_response("200 OK", [])
        return [b"hello"]

    peer = WsgiPeer(application)
    peer.service.naming = Naming("X-Request-ID", trace=True)
    await peer.send(f"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: a\r\ntraceparent: {TRACE}\r\n\r\n")
    received = await peer.answered(b"hello")
    assert re.search(rb"(?i)x-request-id: ", received)
    assert seen[0] == seen[1]
    await peer.close()


async def test_a_socket_has_the_names_until_its_end(caplog):
    caplog.set_level(logging.INFO, "tidegate.access")
    seen = []

    class Application(Listening):
        async def __call__(self, scope, receive, send):
            seen.append((scope["state"]["request_id"], request_id.get()))
            await super().__call__(scope, receive, send)

    peer = WebSocketPeer(Application(), access_log=AccessLog(compile_line("json")))
    peer.service.naming = Naming("X-Request-ID")
    await peer.send(handshake("/socket"))
    made = re.search(rb"(?i)x-request-id: (\w+)", peer.transport.output)[1].decode()
    assert seen == [(made, made)]
    await peer.send(closing(1000))
    await peer.half_close()
    # One line, when it is over.
    (record,) = caplog.records
    entry = json.loads(record.access)
    assert (entry["status"], entry["close_code"], entry["request_id"]) == (101, 1000, made)
    assert record.request_id == made
    assert entry["target"] == "/socket"


async def test_requests_that_need_no_names_have_none():
    application = Noting()
    answer = await Peer(application).get("/", "x-request-id: mine\r\n")
    assert answer.header("x-request-id") is None
    assert application.states == [{}]


async def test_what_nobody_would_read_is_not_written(caplog):
    caplog.set_level(logging.WARNING, "tidegate.access")

    def line(ended):
        raise AssertionError("a line was made")

    await Peer(Noting(), access_log=AccessLog(line)).get()
    peer = WebSocketPeer(Listening(), access_log=AccessLog(line))
    await peer.send(handshake("/socket"))
    await peer.send(closing(1000))
    await peer.half_close()
    assert caplog.records == []


async def test_two_journals_are_told_the_same(caplog):
    caplog.set_level(logging.INFO, "tidegate.access")
    both = Both(AccessLog(), AccessLog())
    await Peer(Noting(), access_log=both).get()
    peer = WebSocketPeer(Listening(), access_log=both)
    await peer.send(handshake("/socket"))
    assert [record.args[1] for record in caplog.records] == ["GET", "GET", "/socket", "/socket"]
