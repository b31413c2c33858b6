"""Requests that are answered without the application."""

from __future__ import annotations

import logging

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.exchange.service import Policy
from tidegate.testing.peer import Peer, turns
from tidegate.wire.http1.limits import Http1Limits

from .applications import GET, Held, hello, post, respond

BAD = b"nonsense\r\n\r\n"


# Too many requests at once.


async def busy(application: Held, limit: int) -> Peer:
    """Return a peer on a new connection, with ``limit`` requests in progress."""
    peer = Peer(application, Policy(limit_concurrency=limit))
    for _ in range(limit):
        await peer.send(GET)
        peer.connect()
    assert len(peer.service.running) == limit
    return peer


async def test_a_request_above_the_limit_is_told_to_come_again() -> None:
    application = Held()
    peer = await busy(application, 2)
    response = await peer.get()
    assert response.status == 503
    assert response.header("retry-after") == "1"
    assert len(application.paths) == 2
    application.release()
    await turns()


async def test_there_is_room_again_when_a_request_is_over() -> None:
    application = Held()
    peer = await busy(application, 1)
    application.release()
    await turns()
    assert (await peer.get("/next")).body == b"/next"


async def test_an_idle_connection_does_not_count_as_a_request() -> None:
    peer = Peer(hello, Policy(limit_concurrency=1))
    for _ in range(3):
        assert (await peer.get()).status == 200
        peer.connect()


async def test_a_post_above_the_limit_is_refused_whether_its_content_came_or_not() -> None:
    application = Held()
    peer = await busy(application, 1)
    await peer.send(post(5))
    assert peer.response().status == 503
    await peer.send(b"hello")
    peer.connect()
    await peer.send(post(5, b"hello"))
    assert peer.response().status == 503
    application.release()
    await turns()


async def test_a_head_request_above_the_limit_gets_no_content() -> None:
    application = Held()
    peer = await busy(application, 1)
    await peer.send(GET.replace(b"GET", b"HEAD"))
    head, _, content = peer.transport.output.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert content == b""
    application.release()
    await turns()


# What this server does not do.


async def test_connect_is_for_proxies() -> None:
    peer = Peer(hello)
    await peer.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
    assert peer.response().status == 501
    assert peer.response().header("connection") == "close"


async def test_a_question_about_the_server_itself_is_answered_without_the_application() -> None:
    application = Held()
    peer = Peer(application)
    for _ in range(2):
        response = await peer.get("*", method="OPTIONS")
        assert response.status == 204
        assert "GET" in (response.header("allow") or "")
    assert application.paths == []
    await peer.wait(4)
    assert not peer.transport.closed
    await peer.wait(1)
    assert peer.transport.closed


@pytest.mark.parametrize("content", [b"", b"hello"])
async def test_a_question_about_the_server_itself_has_no_content(content: bytes) -> None:
    peer = Peer(hello)
    await peer.send(post(5, content, target="*").replace(b"POST", b"OPTIONS"))
    assert peer.response().status == 400
    assert peer.transport.eof_written


async def test_the_absolute_form_of_a_target_replaces_host() -> None:
    scopes = []

    async def keeps(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await respond(send)

    peer = Peer(keeps)
    await peer.send(b"GET http://example.com:81/a%20b?c=d HTTP/1.1\r\nHost: other\r\n\r\n")
    (scope,) = scopes
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a b", b"/a%20b", b"c=d")
    assert scope["scheme"] == "http"
    assert dict(scope["headers"])[b"host"] == b"example.com:81"
    assert peer.response().status == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (BAD, 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
async def test_a_request_that_cannot_be_served_is_answered_and_the_connection_closed(
    request_: bytes, status: int
) -> None:
    application = Held()
    peer = Peer(application, limits=Http1Limits(max_body_size=1000))
    await peer.send(request_)
    response = peer.response()
    assert response.status == status
    assert response.header("content-type") == "text/plain; charset=utf-8"
    assert response.body.startswith(b"%d " % status)
    assert response.body.endswith(b"\n")
    assert response.header("connection") == "close"
    assert response.header("retry-after") is None
    assert application.paths == []
    assert peer.transport.eof_written


async def test_a_body_that_turns_out_to_be_too_large_is_refused() -> None:
    application = Held()
    peer = Peer(application, limits=Http1Limits(max_body_size=10))
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    await peer.send(b"b\r\nhello")
    assert peer.response().status == 413
    assert application.paths == ["/"]
    application.release()
    await turns()
    assert peer.transport.output.count(b"HTTP/1.1") == 1


async def test_a_refusal_of_a_head_request_that_was_begun_has_no_content() -> None:
    application = Held()
    peer = Peer(application)
    await peer.send(post(5, b"a").replace(b"POST", b"HEAD"))
    await peer.wait(10)
    head, _, content = peer.transport.output.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert content == b""
    application.release()
    await turns()


async def test_a_bad_request_after_a_head_request_is_told_why() -> None:
    peer = Peer(hello)
    await peer.get(method="HEAD")
    peer.transport.output = b""
    await peer.send(BAD)
    assert peer.response().body.startswith(b"400 ")


# Complaints in the log.


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "tidegate.error"]


async def test_a_refusal_is_logged_with_the_client_and_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")
    peer = Peer(hello)
    await peer.send(BAD)
    (line,) = complaints(caplog)
    assert "127.0.0.1" in line
    assert line.endswith("the request line is not METHOD SP TARGET SP VERSION")


async def test_a_flood_of_refusals_is_not_a_flood_of_log_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")
    peer = Peer(hello)
    await peer.wait(1)
    for _ in range(25):
        await peer.send(BAD)
        peer.connect()
    assert len(complaints(caplog)) == 10
    await peer.wait(1)
    assert complaints(caplog)[10:] == ["Refused 15 more requests in the last second"]
    await peer.wait(1)
    await peer.send(BAD)
    assert len(complaints(caplog)) == 12


async def test_a_client_that_takes_too_slowly_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x" * 1_000_000)

    peer = Peer(large)
    peer.transport.stall()
    await peer.send(GET)
    await peer.wait(20)
    (line,) = complaints(caplog)
    assert "takes the response too slowly: fewer than 500 bytes a second" in line
