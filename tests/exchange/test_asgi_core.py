"""Items 1 to 19 of the ASGI checklist: the core contract."""

from __future__ import annotations

import asyncio
import contextvars
import logging

import anyio
import pytest

from tidegate.errors import AppError, ClientDisconnected
from tidegate.exchange.http import HttpExchange
from tidegate.exchange.service import Policy
from tidegate.http import Head
from tidegate.server.target import load
from tidegate.testing.peer import Peer, turns

from .applications import Recorded, body, echo, hello, sends, start


async def test_01_calls_the_application_once_for_each_request():
    application = Recorded()
    peer = Peer(application)
    await peer.get("/one")
    await peer.get("/two")
    assert [scope["path"] for scope in application.scopes] == ["/one", "/two"]


async def test_02_serves_asgi_2_applications():
    class Legacy:
        def __init__(self, scope):
            self.scope = scope

        async def __call__(self, receive, send):
            await sends(start(), body(self.scope["path"].encode()))(self.scope, receive, send)

    def function(scope):
        return Legacy(scope)

    for legacy in (Legacy, function):
        application = load(legacy, factory=False, interface="auto")
        assert (await Peer(application).get("/old")).body == b"/old"


async def test_03_the_scope_is_a_dict_with_a_type():
    application = Recorded()
    await Peer(application).get()
    assert type(application.scopes[0]) is dict
    assert application.scopes[0]["type"] == "http"


async def test_04_asgi_version_is_in_a_dict():
    application = Recorded()
    await Peer(application).get()
    assert type(application.scopes[0]["asgi"]) is dict
    assert application.scopes[0]["asgi"]["version"] == "3.0"


@pytest.mark.parametrize(
    ("mode", "version"), [("cancel", "2.5"), ("raise", "2.5"), ("ignore", "2.3")]
)
async def test_05_spec_version_says_what_send_does_when_the_client_left(mode, version):
    application = Recorded()
    await Peer(application, Policy(on_disconnect=mode)).get()
    assert application.scopes[0]["asgi"]["spec_version"] == version


async def test_06_receive_and_send_are_awaitable_in_every_usual_way():
    async def application(scope, receive, send):
        message = await asyncio.create_task(receive())
        done, _ = await asyncio.wait([asyncio.ensure_future(receive())], timeout=0)
        assert not done
        assert await asyncio.wait_for(send(start()), 1) is None
        assert await asyncio.create_task(send(body(message["body"], True))) is None
        async with asyncio.TaskGroup() as group:
            group.create_task(send(body(b"!")))

    peer = Peer(application)
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await turns(30)
    assert (peer.response().status, peer.response().body) == (200, b"!")


async def test_07_events_have_a_type_and_str_keys():
    events = []

    async def application(scope, receive, send):
        events.append(await receive())
        await hello(scope, receive, send)
        events.append(await receive())

    await Peer(application).get()
    assert [event["type"] for event in events] == ["http.request", "http.disconnect"]
    assert all(type(key) is str for event in events for key in event)


async def test_08_events_and_scope_hold_only_plain_types():
    plain = (bytes, str, int, float, list, tuple, dict, bool, type(None))

    def check(value):
        assert type(value) in plain
        if isinstance(value, dict):
            for key, inner in value.items():
                assert type(key) is str
                check(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                check(inner)

    async def application(scope, receive, send):
        check(scope)
        check(await receive())
        await hello(scope, receive, send)

    assert (await Peer(application).get("/?a=b", "X: y\r\n")).status == 200


async def test_09_strings_are_bytes_or_str_as_specified():
    application = Recorded()
    await Peer(application).get("/p?q", "X: y\r\n")
    scope = application.scopes[0]
    for key in ("http_version", "method", "scheme", "path", "root_path"):
        assert type(scope[key]) is str
    for key in ("raw_path", "query_string"):
        assert type(scope[key]) is bytes
    for name, value in scope["headers"]:
        assert (type(name), type(value)) == (bytes, bytes)
    for host, port in (scope["client"], scope["server"]):
        assert (type(host), type(port)) == (str, int)


async def test_10_the_call_is_a_real_task_from_its_first_line():
    seen = []

    async def application(scope, receive, send):
        task = asyncio.current_task()
        seen.append(task in asyncio.all_tasks())
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        with anyio.move_on_after(0):
            await anyio.sleep_forever()
        assert asyncio.current_task() is task
        await hello(scope, receive, send)
        await asyncio.sleep(0)
        seen.append(asyncio.current_task() is task)

    assert (await Peer(application).get()).status == 200
    await turns()
    assert seen == [True, True]


async def test_10_a_timeout_in_the_first_line_is_honoured():
    async def application(scope, receive, send):
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            done.set()
            await hello(scope, receive, send)

    done = asyncio.Event()
    peer = Peer(application)
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await done.wait()
    await turns()
    assert peer.response().status == 200


async def test_10_every_request_runs_in_a_fresh_context():
    var = contextvars.ContextVar("var", default="unset")
    outer = contextvars.ContextVar("outer")
    outer.set("set before serving")
    seen = []

    async def application(scope, receive, send):
        seen.append((var.get(), outer.get()))
        var.set("of another request")
        await hello(scope, receive, send)

    peer = Peer(application)
    await peer.get()
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
    assert seen == [("unset", "set before serving")] * 3


async def test_11_scopes_share_nothing_mutable():
    application = Recorded()
    peer = Peer(application)
    peer.service.state = {"shared": []}
    await peer.get()
    await peer.get()
    one, two = application.scopes
    for key, value in one.items():
        if isinstance(value, dict | list):
            assert value is not two[key], key


async def test_12_each_stream_has_its_own_scope_and_its_own_answer():
    class Stream:
        """The ``Out`` of one stream of a multiplexed connection."""

        scheme, client, server, trusted, congested = "https", None, None, False, False
        tls = basis = None
        sends_files = False

        def __init__(self):
            self.sent = b""

        def respond(self, status, fields, roles, length, body, ended):
            self.sent += body

        def send_body(self, data, ended):
            self.sent += data

        def want_body(self):
            pass

    release = asyncio.Event()

    async def application(scope, receive, send):
        await send(start())
        await send(body(scope["path"].encode(), True))
        await release.wait()
        await send(body(scope["path"].encode()))

    service = Peer(application).service
    streams = [Stream(), Stream()]
    exchanges = [
        HttpExchange(
            stream, service, Head("GET", path, path, b"", "2", [(b"host", b"a")]), b"", True
        )
        for stream, path in zip(streams, (b"/1", b"/2"), strict=True)
    ]
    calls = [asyncio.create_task(exchange.run()) for exchange in exchanges]
    await turns()
    release.set()
    await asyncio.gather(*calls)
    assert [stream.sent for stream in streams] == [b"/1/1", b"/2/2"]
    assert exchanges[0].scope is not exchanges[1].scope


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.nonsense"},
        {"type": "websocket.send", "text": "x"},
        {"type": "http.response.trailers"},
        {"type": "http.response.start"},
        {"type": "http.response.start", "status": "200"},
        {"type": "http.response.start", "status": None},
        {"type": "http.response.start", "status": 99},
        {"type": "http.response.start", "status": 101},
        {"type": "http.response.start", "status": 1000},
        {"type": "http.response.start", "status": 200, "headers": [("a", "b")]},
        {"type": "http.response.start", "status": 200, "headers": [(b"a", "b")]},
        {"type": "http.response.start", "status": 200, "headers": [(b"a", bytearray(b"b"))]},
        {"type": "http.response.start", "status": 200, "headers": [(b"a",)]},
        {"type": "http.response.start", "status": 200, "headers": 3},
        {"type": "http.response.body", "body": b"before the start"},
    ],
)
async def test_13_an_invalid_event_raises_and_can_still_be_answered(message):
    application = Recorded(message, start(), body(b"fine"))
    response = await Peer(application).get()
    assert [type(error) for error in application.errors] == [AppError]
    assert (response.status, response.body) == (200, b"fine")


@pytest.mark.parametrize("content", ["text", 5, None, ["a"]])
async def test_13_a_body_that_is_not_bytes_raises(content):
    application = Recorded(start(), {"type": "http.response.body", "body": content}, body(b"x"))
    response = await Peer(application).get()
    assert [type(error) for error in application.errors] == [AppError]
    assert response.body == b"x"


async def test_13_a_second_start_raises():
    application = Recorded(start(), start(404), body(b"x"))
    assert (await Peer(application).get()).status == 200
    assert [type(error) for error in application.errors] == [AppError]


async def test_13_an_event_without_a_type_raises():
    application = Recorded({"status": 200}, start(), body())
    await Peer(application).get()
    assert [type(error) for error in application.errors] == [KeyError]


async def test_14_unknown_keys_in_an_event_are_ignored():
    application = Recorded(start(nonsense=1), {**body(b"x"), "nonsense": 1})
    assert (await Peer(application).get()).body == b"x"
    assert application.errors == []


async def test_15_an_exception_ends_the_call_and_its_connection(caplog):
    async def application(scope, receive, send):
        await send(start())
        await send(body(b"half", True))
        raise ValueError("broken")

    peer = Peer(application)
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.transport.aborted
    assert not peer.transport.output.endswith(b"0\r\n\r\n")
    assert "ValueError: broken" in caplog.text


async def test_15_not_even_system_exit_stops_the_server(caplog):
    async def application(scope, receive, send):
        if scope["path"] == "/exit":
            raise SystemExit("no")
        await hello(scope, receive, send)

    peer = Peer(application)
    assert (await peer.get("/exit")).status == 500
    assert (await peer.get("/")).status == 200


async def test_16_messages_after_the_close_are_harmless_in_mode_ignore():
    finished = asyncio.Event()

    async def application(scope, receive, send):
        await send(start())
        await send(body(b"x", True))
        await receive()
        await receive()
        for _ in range(3):
            await send(body(b"x", True))
        await send(body())
        finished.set()

    peer = Peer(application, Policy(on_disconnect="ignore"))
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await peer.leave()
    assert finished.is_set()


async def test_17_our_own_disconnect_error_is_not_logged(caplog):
    raised = []

    async def application(scope, receive, send):
        await send(start())
        await send(body(b"x", True))
        await receive()
        await receive()
        try:
            await send(body(b"x"))
        except OSError as error:
            raised.append(error)
            raise

    caplog.set_level(logging.INFO)
    peer = Peer(application)
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await peer.leave()
    assert [type(error) for error in raised] == [ClientDisconnected]
    assert caplog.text == ""


async def test_18_only_usable_extensions_are_advertised():
    application = Recorded()
    await Peer(application).get()
    names = ("pathsend", "zerocopysend", "early_hint")
    wanted = {"tidegate.drain", *(f"http.response.{name}" for name in names)}
    assert application.scopes[0]["extensions"] == {name: {} for name in wanted}


async def test_19_one_broken_call_leaves_the_next_ones_as_they_were(caplog):
    async def application(scope, receive, send):
        await send(start())
        if scope["path"] == "/broken":
            await send(body(b"half", True))
        raise RuntimeError("broken")

    peer = Peer(application)
    await peer.send("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(3):
        peer.connect()
        assert (await peer.get("/")).status == 500


async def test_content_and_answer_arrive_whole():
    peer = Peer(echo)
    await peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    await peer.send("def")
    assert peer.response().body == b"abcdef"
