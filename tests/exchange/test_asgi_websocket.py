"""Items 59 to 82 and 95 of the ASGI checklist: sockets.

What has a file of its own: denials (95), drains, disconnects and, in
``tests/net``, the handshake's refusals, back-pressure and keep-alive.
"""

from __future__ import annotations

import asyncio

import pytest

from tidegate.errors import AppError, ClientDisconnected
from tidegate.exchange.forwarded import Proxies
from tidegate.exchange.service import Policy
from tidegate.net.worker import WebSocketSettings
from tidegate.testing.peer import turns
from tidegate.testing.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    Frame,
    WebSocketPeer,
    closing,
    handshake,
    masked,
)
from tidegate.wire.websocket.limits import WebSocketLimits

from .sockets import Listening, Manual, echo

ACCEPT = {"type": "websocket.accept"}
ACCEPTED = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


async def opened(policy: Policy | None = None, **settings) -> tuple[WebSocketPeer, Manual]:
    """Return both ends of an open socket."""
    application = Manual()
    peer = WebSocketPeer(application, policy, settings=WebSocketSettings(**settings))
    await peer.send(handshake())
    await application.accept()
    assert peer.answer().status == 101
    return peer, application


async def test_59_the_scope_is_that_of_a_socket():
    application = Manual()
    peer = WebSocketPeer(application)
    peer.service.state["database"] = "open"
    await peer.send(handshake("/a%20b?x=%20"))
    scope = dict(application.scope)
    headers = scope.pop("headers")
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"x=%20",
        "root_path": "",
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "subprotocols": [],
        "state": {"database": "open"},
        "extensions": {"websocket.http.response": {}, "tidegate.drain": {}},
    }
    assert (b"host", b"test") in headers


async def test_59_the_subprotocols_are_in_the_order_of_the_client():
    application = Manual()
    lines = "Sec-WebSocket-Protocol: c , a\r\nsec-websocket-protocol: b\r\n"
    await WebSocketPeer(application).send(handshake(headers=lines))
    assert application.scope["subprotocols"] == ["c", "a", "b"]


@pytest.mark.parametrize("proto", ["https", "wss"])
async def test_59_behind_a_trusted_proxy_the_scheme_and_client_are_the_clients(proto):
    application = Manual()
    peer = WebSocketPeer(application, Policy(proxies=Proxies(["127.0.0.1"]), root_path="/app"))
    lines = f"X-Forwarded-Proto: {proto}\r\nX-Forwarded-For: 203.0.113.9\r\n"
    await peer.send(handshake("/x", lines))
    scope = application.scope
    assert (scope["scheme"], scope["client"]) == ("wss", ("203.0.113.9", 0))
    assert (scope["path"], scope["root_path"]) == ("/app/x", "/app")


async def test_59_over_tls_the_scheme_is_wss():
    application = Manual()
    peer = WebSocketPeer(application)
    peer.connection.scheme = "https"
    await peer.send(handshake())
    assert application.scope["scheme"] == "wss"


async def test_59_a_target_that_is_a_url_is_a_path_all_the_same():
    application = Manual()
    await WebSocketPeer(application).send(handshake("http://other/chat"))
    scope = application.scope
    assert (scope["scheme"], scope["path"], scope["headers"][0][1]) == ("ws", "/chat", b"other")


async def test_59_nothing_in_the_scope_is_shared_between_sockets():
    scopes = []

    async def application(scope, receive, send):
        scope["state"]["mine"] = scope["extensions"]["mine"] = scope["asgi"]["mine"] = True
        scope["subprotocols"].append("mine")
        scopes.append(scope)
        await receive()
        await send({**ACCEPT, "subprotocol": "a"})

    peer = WebSocketPeer(application)
    for _ in range(2):
        peer.connect()
        assert (await peer.open(headers="Sec-WebSocket-Protocol: a\r\n")).status == 101
    assert scopes[1]["subprotocols"] == ["a", "mine"]
    assert peer.service.state == {}


async def test_60_headers_are_lower_case_and_otherwise_as_sent():
    application = Manual()
    await WebSocketPeer(application).send(handshake(headers="X-A: 1\r\nx-b:  2 \r\nX-A: 3\r\n"))
    assert application.scope["headers"] == [
        (b"host", b"test"),
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", KEY.encode()),
        (b"x-a", b"1"),
        (b"x-b", b"2"),
        (b"x-a", b"3"),
    ]


async def test_61_connect_comes_during_the_handshake_which_waits_for_the_application():
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake())
    assert await application.receive() == {"type": "websocket.connect"}
    assert peer.transport.output == b""
    await application.send(ACCEPT)
    assert peer.answer().status == 101


async def test_61_an_application_may_accept_without_a_look_at_connect():
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake())
    await application.send(ACCEPT)
    assert peer.answer().status == 101
    await peer.send(masked(TEXT, b"hi"))
    assert await application.receive() == {"type": "websocket.connect"}
    assert (await application.receive())["text"] == "hi"


async def test_62_the_handshake_is_answered_as_the_standard_says():
    response = await WebSocketPeer(echo).open()
    assert (response.status, response.version) == (101, 11)
    assert sorted(response.headers) == [
        ("connection", "upgrade"),
        ("sec-websocket-accept", ACCEPTED),
        ("upgrade", "websocket"),
    ]


async def test_62_the_application_adds_headers_and_chooses_a_subprotocol():
    headers = [(b"x-a", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"X-Big", b"")]
    application = Listening(subprotocol="b", headers=(pair for pair in headers))
    response = await WebSocketPeer(application).open(headers="Sec-WebSocket-Protocol: a, b\r\n")
    assert response.status == 101
    assert response.header("sec-websocket-protocol") == "b"
    added = [pair for pair in response.headers if pair[0][0] == "x" or "cookie" in pair[0]]
    assert added == [("x-a", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-big", "")]


@pytest.mark.parametrize("headers", [None, (), []])
async def test_62_none_are_needed(headers):
    application = Listening(subprotocol=None, headers=headers)
    response = await WebSocketPeer(application).open(headers="Sec-WebSocket-Protocol: a\r\n")
    assert response.header("sec-websocket-protocol") is None


@pytest.mark.parametrize(
    "headers",
    [
        [(b"Sec-WebSocket-Protocol", b"a")],
        [(b"sec-websocket-extensions", b"a")],
        [(b"sec-websocket-accept", b"a")],
        [(b"upgrade", b"a")],
        [(b"connection", b"close")],
        [(b"content-length", b"0")],
        [(b"transfer-encoding", b"chunked")],
        [(b"x-a", b"1\r\nx-b: 2")],
        [(b"x a", b"1")],
        [("x-a", b"1")],
        [b"x-a"],
        7,
    ],
)
async def test_63_headers_of_the_handshake_itself_and_broken_ones_raise(headers):
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake())
    with pytest.raises(AppError, match="header"):
        await application.send({**ACCEPT, "headers": headers})
    assert peer.transport.output == b""
    # It may try again.
    await application.send(ACCEPT)
    assert peer.answer().status == 101


@pytest.mark.parametrize("interval", [0, -1, "5", b"5"])
async def test_an_interval_of_pings_that_is_none_raises_before_anything_is_sent(interval):
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake())
    with pytest.raises(AppError, match="ping_interval must be seconds"):
        await application.send({**ACCEPT, "ping_interval": interval})
    await application.send({**ACCEPT, "ping_interval": 0.5})
    assert peer.answer().status == 101


@pytest.mark.parametrize("offered", ["", "Sec-WebSocket-Protocol: a, b\r\n"])
@pytest.mark.parametrize("chosen", ["c", "", b"a", 1])
async def test_63_a_refused_subprotocol_raises_before_anything_is_sent(offered, chosen):
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake(headers=offered))
    with pytest.raises(AppError, match="not among"):
        await application.send({**ACCEPT, "subprotocol": chosen})
    assert peer.transport.output == b""
    await application.send(ACCEPT)
    assert peer.answer().status == 101


async def test_64_close_before_accept_is_403_and_a_disconnect():
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake())
    await application.receive()
    await application.send({"type": "websocket.close", "code": 4000, "reason": "no"})
    response = peer.answer()
    assert (response.status, response.body) == (403, b"Forbidden")
    for name in ("upgrade", "sec-websocket-accept"):
        assert response.header(name) is None
    assert response.header("connection") == "close"
    for _ in range(2):
        expected = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        assert await application.receive() == expected
    with pytest.raises(AppError, match="the handshake is over"):
        await application.send(ACCEPT)
    await peer.half_close()
    assert peer.transport.closed


async def test_64_an_application_that_waits_is_told():
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake())
    await application.receive()
    waiting = asyncio.ensure_future(application.receive())
    await turns()
    await application.send({"type": "websocket.close"})
    assert (await waiting)["code"] == 1006


async def test_65_an_application_that_returns_before_accept_gets_500(caplog):
    async def returns(scope, receive, send):
        await receive()

    response = await WebSocketPeer(returns).open("/here")
    assert (response.status, response.body) == (500, b"Internal Server Error")
    assert "without accepting WebSocket /here" in caplog.text


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3)])
async def test_65_an_application_that_raises_before_accept_gets_500(error, caplog):
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake("/here"))
    await application.end(error)
    assert peer.answer().status == 500
    assert "Exception in the application, WebSocket /here" in caplog.text
    assert peer.service.running == set()


async def test_66_an_application_that_returns_after_accept_closes_with_1000(caplog):
    peer, application = await opened()
    await application.end()
    assert peer.frames() == [Frame(CLOSE, b"\x03\xe8")]
    assert caplog.text == ""


async def test_66_an_application_that_raises_after_accept_closes_with_1011(caplog):
    peer, application = await opened()
    await application.end(ValueError("broken"))
    assert peer.frames() == [Frame(CLOSE, b"\x03\xf3")]
    assert "Exception in the application, WebSocket /" in caplog.text
    assert "broken" in caplog.text


async def test_66_an_application_that_is_cancelled_closes_with_1012():
    peer, _ = await opened()
    (exchange,) = peer.service.running
    exchange.task.cancel()
    await turns()
    assert peer.frames() == [Frame(CLOSE, b"\x03\xf4")]


async def test_66_an_application_that_is_cancelled_before_accept_gets_500():
    peer = WebSocketPeer(Manual())
    await peer.send(handshake())
    (exchange,) = peer.service.running
    exchange.task.cancel()
    await turns()
    assert peer.answer().status == 500


async def test_67_another_version_is_answered_with_426():
    application = Listening()
    peer = WebSocketPeer(application)
    await peer.send(handshake(version="8"))
    response = peer.answer()
    assert response.status == 426
    assert response.header("sec-websocket-version") == "13"
    assert response.header("upgrade") == "websocket"
    assert response.header("connection") == "close, upgrade"
    assert application.events == []


@pytest.mark.parametrize("key", ["", "short", KEY + ", " + KEY])
async def test_67_a_bad_key_is_answered_with_400(key):
    application = Listening()
    peer = WebSocketPeer(application)
    await peer.send(handshake(key=key))
    assert peer.answer().status == 400
    assert application.events == []


async def test_68_fragments_are_one_message_and_pings_between_them_are_answered():
    application = Listening()
    peer = WebSocketPeer(application)
    await peer.open()
    assert await peer.ask(masked(TEXT, "ä".encode()[:1], fin=False)) == []
    assert await peer.ask(masked(PING, b"now")) == [Frame(PONG, b"now")]
    assert await peer.ask(masked(CONTINUATION, "ä".encode()[1:] + b"b")) == []
    assert await peer.ask(masked(PONG, b"unasked")) == []
    assert application.messages == ["äb"]
    answer = await peer.ask(masked(BINARY, b"x", fin=False) + closing(1000))
    assert answer == [Frame(CLOSE, b"\x03\xe8")]
    assert application.messages == ["äb"]
    assert application.disconnect == (1000, "")


async def test_69_a_ping_is_sent_and_a_missing_pong_closes():
    peer, application = await opened(ping_interval=10, ping_timeout=5)
    await peer.wait(9)
    assert peer.frames() == []
    await peer.wait(1)
    (ping,) = peer.frames()
    assert ping.opcode == PING
    await peer.wait(4)
    assert peer.frames() == []
    await peer.wait(1)
    assert peer.frames() == [Frame(CLOSE, b"\x03\xf3no pong")]
    await application.receive()
    expected = {"type": "websocket.disconnect", "code": 1011, "reason": "no pong"}
    assert await application.receive() == expected


async def test_69_pings_can_be_switched_off():
    peer, _ = await opened(ping_interval=None)
    await peer.wait(100)
    assert peer.frames() == []


async def test_70_a_message_has_either_text_or_bytes():
    application = Listening()
    peer = WebSocketPeer(application)
    await peer.open()
    for frame in (masked(TEXT, b"t"), masked(BINARY, b"b"), masked(TEXT), masked(BINARY)):
        await peer.send(frame)
    assert application.events[1:] == [
        {"type": "websocket.receive", "text": "t"},
        {"type": "websocket.receive", "bytes": b"b"},
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.receive", "bytes": b""},
    ]


@pytest.mark.parametrize(
    ("content", "frame"),
    [
        ({"text": "ä"}, Frame(TEXT, b"\xc3\xa4")),
        ({"text": ""}, Frame(TEXT)),
        ({"text": "t", "bytes": None}, Frame(TEXT, b"t")),
        ({"bytes": b"b"}, Frame(BINARY, b"b")),
        ({"bytes": b"", "text": None}, Frame(BINARY)),
        ({"bytes": bytearray(b"b")}, Frame(BINARY, b"b")),
        ({"bytes": memoryview(b"abc")[1:]}, Frame(BINARY, b"bc")),
        ({"text": "t", "extra": 1}, Frame(TEXT, b"t")),
    ],
)
async def test_71_either_text_or_bytes_can_be_sent(content, frame):
    peer, application = await opened()
    await application.send({"type": "websocket.send", **content})
    assert peer.frames() == [frame]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "either text or bytes"),
        ({"text": None, "bytes": None}, "either text or bytes"),
        ({"text": "t", "bytes": b"b"}, "either text or bytes"),
        ({"text": "", "bytes": b""}, "either text or bytes"),
        ({"text": b"t"}, "text must be str"),
        ({"bytes": "b"}, "bytes must be bytes"),
        ({"bytes": [1]}, "bytes must be bytes"),
        ({"text": "\ud800"}, "UTF-8"),
    ],
)
async def test_71_anything_else_raises_and_the_socket_lives_on(content, words):
    peer, application = await opened()
    with pytest.raises(AppError, match=words):
        await application.send({"type": "websocket.send", **content})
    await application.text("good")
    assert peer.frames() == [Frame(TEXT, b"good")]


@pytest.mark.parametrize("kind", ["websocket.receive", "http.response.start", "x", ""])
async def test_71_an_unknown_message_raises(kind):
    peer, application = await opened()
    with pytest.raises(AppError, match="unknown or unsupported"):
        await application.send({"type": kind})
    await application.text("good")
    assert peer.frames() == [Frame(TEXT, b"good")]


async def test_71_send_before_accept_raises():
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake())
    with pytest.raises(AppError, match=r"before websocket\.accept"):
        await application.text("early")
    await application.send(ACCEPT)
    with pytest.raises(AppError, match="the handshake is over"):
        await application.send(ACCEPT)
    assert peer.answer().status == 101


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(TEXT, b"\xff"), 1007),
        (masked(TEXT, b"\xff", fin=False), 1007),
        (masked(CLOSE, b"\x03\xe8\xff"), 1007),
        (masked(CLOSE, b"\x03\xec"), 1002),
        (b"\x81\x01a", 1002),
        (masked(TEXT, b"a", reserved=4), 1002),
        (masked(3), 1002),
        (masked(PING, fin=False), 1002),
        (masked(PING, bytes(126)), 1002),
        (masked(CONTINUATION), 1002),
        (masked(BINARY, bytes(101)), 1009),
    ],
)
async def test_72_a_peer_that_breaks_the_rules_is_told_with_a_code(data, code):
    application = Listening()
    peer = WebSocketPeer(application, limits=WebSocketLimits(max_message_size=100))
    await peer.open()
    (frame,) = await peer.ask(data)
    assert (frame.opcode, frame.close_code) == (CLOSE, code)
    assert application.disconnect is not None
    assert application.disconnect[0] == code
    assert peer.transport.eof_written
    assert await peer.ask(masked(TEXT, b"more")) == []


async def test_73_the_size_of_a_message_is_limited():
    application = Listening()
    peer = WebSocketPeer(application, limits=WebSocketLimits(max_message_size=5))
    await peer.open()
    await peer.send(masked(TEXT, b"12345"))
    (frame,) = await peer.ask(masked(TEXT, b"123456"))
    assert frame == Frame(CLOSE, b"\x03\xf1message too big")
    assert application.messages == ["12345"]


def test_73_to_16_mib_unless_configured():
    assert WebSocketLimits().max_message_size == 16 * 1024 * 1024


async def test_74_an_application_that_does_not_receive_stops_the_peer():
    peer, application = await opened(Policy(max_read_ahead=1000, max_queue=10))
    for size, count in ((600, 2), (1, 10)):
        for number in range(count):
            assert peer.transport.reading, number
            await peer.send(masked(BINARY, bytes(size)))
        assert not peer.transport.reading
        await application.receive()
        while not peer.transport.reading:
            await application.receive()
    assert await peer.ask(closing(1000)) == [Frame(CLOSE, b"\x03\xe8")]


async def test_74_a_peer_that_does_not_read_holds_send():
    peer, application = await opened()
    peer.transport.stall()
    await application.text("x" * 60_000)
    held = asyncio.ensure_future(application.text("y" * 60_000))
    await turns()
    assert not held.done()
    peer.transport.flow()
    await held
    assert [len(frame.payload) for frame in peer.frames()] == [60_000, 60_000]


DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


async def test_75_compression_is_negotiated():
    peer = WebSocketPeer(echo)
    response = await peer.open(headers=DEFLATE)
    assert response.header("sec-websocket-extensions") == (
        "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
    )
    hello = bytes.fromhex("f248cdc9c90700")
    assert await peer.ask(masked(TEXT, hello, reserved=4)) == [Frame(TEXT, b"Hello")]
    (answer,) = await peer.ask(masked(TEXT, b"x" * 1000))
    assert answer.reserved == 4
    assert len(answer.payload) < 50


@pytest.mark.parametrize(
    ("headers", "deflate"),
    [
        ("", True),
        (DEFLATE, False),
        ("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8\r\n", True),
        ("Sec-WebSocket-Extensions: permessage-bzip2\r\n", True),
    ],
)
async def test_75_or_not(headers, deflate):
    peer = WebSocketPeer(echo, settings=WebSocketSettings(deflate=deflate))
    response = await peer.open(headers=headers)
    assert response.header("sec-websocket-extensions") is None
    (answer,) = await peer.ask(masked(TEXT, b"x" * 1000))
    assert (answer.reserved, len(answer.payload)) == (0, 1000)
    (answer,) = await peer.ask(masked(TEXT, b"\x00", reserved=4))
    assert answer.close_code == 1002


# How a socket can end, and what the application hears of it.
ENDS = {
    "close": ("send", closing(1001, "bye"), (1001, "bye")),
    "close without a code": ("send", closing(), (1005, "")),
    "leave": ("leave", None, (1006, "")),
    "half close": ("half_close", None, (1006, "")),
    "error": ("send", masked(3), (1002, "unknown opcode")),
    "missing pong": ("wait", 40, (1011, "no pong")),
}


@pytest.mark.parametrize("how", ENDS)
async def test_76_whatever_ends_a_socket_the_application_hears_code_and_reason(how):
    application = Listening()
    peer = WebSocketPeer(application)
    await peer.open()
    action, argument, expected = ENDS[how]
    await getattr(peer, action)(*(() if argument is None else (argument,)))
    assert application.disconnect == expected


async def test_76_the_applications_own_close_is_a_disconnect_too():
    peer, application = await opened()
    await application.send({"type": "websocket.close", "code": 4001, "reason": "mine"})
    expected = {"type": "websocket.disconnect", "code": 4001, "reason": "mine"}
    assert await application.receive() == expected
    await peer.send(closing(4001))
    assert await application.receive() == expected


async def test_76_messages_that_came_before_the_end_come_first():
    peer, application = await opened()
    await peer.send(masked(TEXT, b"1") + masked(TEXT, b"2") + closing(1000))
    types = [(await application.receive())["type"] for _ in range(4)]
    assert types == ["websocket.receive"] * 2 + ["websocket.disconnect"] * 2


async def test_76_several_may_wait_and_all_are_told():
    peer, application = await opened()
    waiting = [asyncio.ensure_future(application.receive()) for _ in range(3)]
    await turns()
    await peer.leave()
    assert [(await one)["type"] for one in waiting] == ["websocket.disconnect"] * 3


@pytest.mark.parametrize(
    ("sent", "code"),
    [(closing(1000), 1000), (closing(4999), 4999), (closing(1012), 1012), (closing(), 1005)],
)
async def test_77_the_code_is_that_of_the_peer_and_1005_if_it_gave_none(sent, code):
    peer, application = await opened()
    await peer.send(sent)
    assert (await application.receive())["code"] == code


async def test_77_a_socket_that_just_died_is_1006():
    peer, application = await opened()
    await peer.leave()
    assert (await application.receive())["code"] == 1006


async def test_77_what_came_first_is_what_counts():
    peer, application = await opened()
    await peer.send(closing(1001))
    await peer.leave()
    assert (await application.receive())["code"] == 1001


@pytest.mark.parametrize("reason", ["", "ä€", "x" * 123])
async def test_78_the_reason_of_the_peer_is_passed_on(reason):
    peer, application = await opened()
    await peer.send(closing(4000, reason))
    expected = {"type": "websocket.disconnect", "code": 4000, "reason": reason}
    assert await application.receive() == expected


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (closing(1000), b"\x03\xe8"),
        (closing(3000, "because"), b"\x0b\xb8"),
        (closing(1011), b"\x03\xf3"),
        (closing(), b""),
    ],
)
async def test_79_a_close_is_answered_with_its_code(sent, answered):
    peer, _ = await opened()
    assert await peer.ask(sent) == [Frame(CLOSE, answered)]
    assert peer.transport.eof_written
    await peer.half_close()
    assert peer.transport.closed


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ({}, b"\x03\xe8"),
        ({"code": None, "reason": None}, b"\x03\xe8"),
        ({"code": 1001}, b"\x03\xe9"),
        ({"code": 4999, "reason": "ä"}, b"\x13\x87\xc3\xa4"),
        ({"reason": "x" * 123}, b"\x03\xe8" + b"x" * 123),
    ],
)
async def test_80_close_has_a_code_and_a_reason(event, payload):
    peer, application = await opened()
    await application.send({"type": "websocket.close", **event})
    assert peer.frames() == [Frame(CLOSE, payload)]
    assert not peer.transport.eof_written
    await peer.send(closing(1000))
    assert peer.transport.eof_written
    assert peer.frames() == []


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"code": 999}, "close code"),
        ({"code": 5000}, "close code"),
        ({"code": 1005}, "close code"),
        ({"code": 1006}, "close code"),
        ({"code": 1015}, "close code"),
        ({"code": "1000"}, "close code"),
        ({"code": True}, "close code"),
        ({"reason": "x" * 124}, "reason"),
        ({"reason": "ä" * 62}, "reason"),
        ({"reason": b"x"}, "reason"),
        ({"reason": "\ud800"}, "reason"),
    ],
)
async def test_80_a_close_that_cannot_be_sent_raises_and_the_socket_lives_on(event, words):
    peer, application = await opened()
    with pytest.raises(AppError, match=words):
        await application.send({"type": "websocket.close", **event})
    await application.text("good")
    assert peer.frames() == [Frame(TEXT, b"good")]


async def test_81_the_connection_ends_with_the_application():
    peer, application = await opened()
    await application.end()
    await peer.ask(closing(1000))
    await peer.half_close()
    assert peer.transport.closed
    assert peer.worker.connections == set()
    assert peer.service.running == set()


async def test_81_the_application_ends_with_the_connection():
    peer, application = await opened(Policy(disconnect_grace=0.0))
    await peer.leave()
    await turns()
    assert isinstance(application.ended_by, asyncio.CancelledError)
    assert peer.service.running == set()


@pytest.mark.parametrize(
    "event", [{"type": "websocket.send", "text": "x"}, {"type": "websocket.close"}]
)
@pytest.mark.parametrize("how", ["close", "leave", "error", "application"])
async def test_82_send_after_the_end_raises_an_os_error(how, event):
    peer, application = await opened()
    if how == "application":
        await application.send({"type": "websocket.close"})
    else:
        action, argument, _ = ENDS[how]
        await getattr(peer, action)(*(() if argument is None else (argument,)))
    for _ in range(2):
        with pytest.raises(ClientDisconnected) as caught:
            await application.send(event)
    assert isinstance(caught.value, OSError)


async def test_82_what_was_sent_before_the_end_has_been_sent():
    peer, application = await opened()
    await application.text("before")
    await application.send({"type": "websocket.close"})
    with pytest.raises(ClientDisconnected):
        await application.text("after")
    assert [frame.opcode for frame in peer.frames()] == [TEXT, CLOSE]


async def test_82_in_the_middle_of_a_handshake_too():
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake())
    await peer.leave()
    for event in (ACCEPT, {"type": "websocket.send", "text": "x"}, {"type": "websocket.close"}):
        with pytest.raises(ClientDisconnected):
            await application.send(event)
    assert (await application.receive())["type"] == "websocket.connect"
    assert (await application.receive())["code"] == 1006


@pytest.mark.parametrize("how", ["leave", "application"])
async def test_17_82_the_error_may_escape_without_a_word_in_the_log(how, caplog):
    peer, application = await opened()
    if how == "leave":
        await peer.leave()
    else:
        await application.send({"type": "websocket.close"})
    with pytest.raises(ClientDisconnected) as caught:
        await application.text("late")
    await application.end(RuntimeError("wrapped"))
    assert "wrapped" in caplog.text
    caplog.clear()

    peer, application = await opened()
    await application.send({"type": "websocket.close"})
    await application.end(caught.value)
    assert caplog.text == ""


RESPONSE = "websocket.http.response"


async def test_95_a_handshake_can_be_answered_with_a_response():
    application = Manual()
    peer = WebSocketPeer(application)
    await peer.send(handshake())
    assert RESPONSE in application.scope["extensions"]
    await application.receive()
    headers = [(b"content-type", b"text/plain"), (b"x-why", b"tea")]
    await application.send({"type": f"{RESPONSE}.start", "status": 418, "headers": headers})
    assert peer.transport.output == b""
    await application.send({"type": f"{RESPONSE}.body", "body": b"no coffee"})
    response = peer.answer()
    assert (response.status, response.body) == (418, b"no coffee")
    assert response.header("x-why") == "tea"
    for name in ("upgrade", "sec-websocket-accept", "sec-websocket-version"):
        assert response.header(name) is None
    assert response.header("connection") == "close"
    assert (await application.receive())["code"] == 1006
    await peer.half_close()
    assert peer.transport.closed
