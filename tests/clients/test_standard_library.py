"""What comes with Python: http.client, urllib and the plain socket."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from launcher import Server, eventually

PIECES = [bytes([number]) * 10_000 for number in range(20)]
WHOLE = b"".join(PIECES)


@pytest.fixture
def connection(server: Server) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.connect()
        yield connection


@pytest.fixture
def opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def wire(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        yield wire


def read_to_end(wire: socket.socket) -> bytes:
    received = bytearray()
    while data := wire.recv(65536):
        received += data
    return bytes(received)


def bodies(received: bytes) -> list[bytes]:
    """The contents of responses that follow each other, each with a content-length."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        found.append(rest[:length])
        received = rest[length:]
    return found


def test_http_client_keeps_its_connection(connection: http.client.HTTPConnection) -> None:
    first = connection.sock
    for method, path, lines in [("GET", "/", 1), ("HEAD", "/", 0), ("GET", "/lines/9", 9)] * 3:
        connection.request(method, path)
        assert len(connection.getresponse().read().splitlines()) == lines
    assert connection.sock is first


@pytest.mark.parametrize("framing", ["chunked", "content-length"])
def test_http_client_sends_a_body(connection: http.client.HTTPConnection, framing: str) -> None:
    headers = {"Content-Length": str(len(WHOLE))} if framing == "content-length" else {}
    connection.request("POST", "/digest", iter(PIECES), headers)
    digest = json.load(connection.getresponse())
    assert (digest["size"], digest["crc32"]) == (len(WHOLE), zlib.crc32(WHOLE))


def test_http_client_gets_the_answer_to_a_body_nobody_read(
    connection: http.client.HTTPConnection,
) -> None:
    """It reads nothing before all is sent, so the server must take in what it does not want."""
    connection.request("POST", "/refuse", WHOLE)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (413, b"not wanted\n")


def test_urllib_reads_a_page(server: Server, opener: urllib.request.OpenerDirector) -> None:
    with opener.open(f"{server.base_url}/", timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b"hello\n")


def test_urllib_posts_a_form(server: Server, opener: urllib.request.OpenerDirector) -> None:
    with opener.open(f"{server.base_url}/digest", data=b"a=1&b=2", timeout=10) as answer:
        assert json.load(answer)["size"] == 7


def test_urllib_follows_a_redirect(server: Server, opener: urllib.request.OpenerDirector) -> None:
    with opener.open(f"{server.base_url}/redirect", timeout=10) as answer:
        assert answer.url == f"{server.base_url}/"


def test_urllib_raises_for_an_error(server: Server, opener: urllib.request.OpenerDirector) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(f"{server.base_url}/status/503", timeout=10)
    with caught.value as answer:
        assert (answer.code, answer.read()) == (503, b"status 503\n")


def test_pipelined_requests_are_answered_in_order(wire: socket.socket) -> None:
    requests = b"".join(
        b"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
        % (number, b"x" * number)
        for number in range(100)
    )
    wire.sendall(requests + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answers = bodies(read_to_end(wire))
    assert answers.pop() == b"hello\n"
    assert [json.loads(answer)["size"] for answer in answers] == list(range(100))


def test_a_pipelined_request_waits_for_the_one_before(
    server: Server, wire: socket.socket, key: str
) -> None:
    wire.sendall(
        b"GET /hold/%s HTTP/1.1\r\nHost: x\r\n\r\n" % key.encode()
        + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as other:

        def ask(path: str) -> bytes:
            other.request("GET", path)
            return other.getresponse().read()

        eventually(lambda: b"here" in ask(f"/notes/{key}"), what="the first request is in")
        wire.setblocking(False)
        with pytest.raises(BlockingIOError):
            wire.recv(1)
        wire.settimeout(10)
        ask(f"/release/{key}")
    assert bodies(read_to_end(wire)) == [b"released\n", b"hello\n"]


def test_a_request_may_come_byte_by_byte(wire: socket.socket) -> None:
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = (
        b"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    )
    for byte in request:
        wire.sendall(bytes([byte]))
    (answer,) = bodies(read_to_end(wire))
    assert json.loads(answer)["crc32"] == zlib.crc32(b"abc")


def test_a_client_may_close_its_sending_side_and_wait(wire: socket.socket) -> None:
    wire.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    wire.shutdown(socket.SHUT_WR)
    assert bodies(read_to_end(wire)) == [b"hello\n"]


def test_a_client_that_leaves_in_the_middle_of_its_upload_is_noticed(
    server: Server, wire: socket.socket, key: str
) -> None:
    head = b"POST /swallow/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"
    wire.sendall(head % key.encode())
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as other:

        def notes() -> list[str]:
            other.request("GET", f"/notes/{key}")
            return json.load(other.getresponse())

        eventually(lambda: notes() == ["here"], what="the request is in")
        wire.close()
        eventually(lambda: notes() == ["here", "http.disconnect"], what="the application was told")


def test_fifty_threads_are_served(server: Server) -> None:
    def ask(number: int) -> int:
        with closing(
            http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        ) as connection:
            connection.request("POST", "/digest", b"x" * number)
            return json.load(connection.getresponse())["size"]

    with ThreadPoolExecutor(50) as threads:
        assert list(threads.map(ask, range(50))) == list(range(50))
