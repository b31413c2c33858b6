"""The checks of a WSGI server, numbered: what is on the wire, and what the application sees."""

from __future__ import annotations

import contextvars
import io
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from tests.bridge.wsgi.conftest import Serve
from tests.bridge.wsgi.hosting import (
    SECONDS,
    Answer,
    read_all,
    read_one,
    read_until,
    request,
    reset,
)

Environ = dict[str, Any]
Start = Callable[..., Any]

TEXT = [("Content-Type", "text/plain")]


class Tell:
    """Answers with whatever a function makes of the environ."""

    def __init__(self, look: Callable[[Environ], Any]) -> None:
        self.look = look
        self.seen: list[Any] = []

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.seen.append(self.look(environ))
        start_response("200 OK", TEXT)
        return [repr(self.seen[-1]).encode()]


def value(key: str) -> Tell:
    return Tell(lambda environ: environ.get(key))


def body(read: Callable[[Any], Any]) -> Tell:
    return Tell(lambda environ: read(environ["wsgi.input"]))


class Closing:
    """An iterable that notes what happens to it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = iter(chunks)
        self.taken = 0
        self.closed: list[int] = []
        self.over = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.taken += 1
        return next(self.chunks)

    def close(self) -> None:
        self.closed.append(threading.get_ident())
        self.over.set()


def failing(*chunks: bytes) -> Iterator[bytes]:
    yield from chunks
    raise ZeroDivisionError


def application(
    chunks: Any, status: str = "200 OK", headers: list[tuple[str, str]] = TEXT
) -> Callable[[Environ, Start], Any]:
    def application(environ: Environ, start_response: Start) -> Any:
        start_response(status, headers.copy())
        return chunks

    return application


def status_only(error: Exception) -> tuple[type[Exception], Exception, None]:
    return type(error), error, None


# 1 to 12: environ.


def test_01_server_port_is_a_str(serve: Serve) -> None:
    tell = value("SERVER_PORT")
    host = serve(tell)
    host.ask()
    assert tell.seen == [str(host.port)]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_02_the_validator_has_no_complaint(serve: Serve, method: str) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        # It allows neither read() without a size nor other ways of reading.
        content = environ["wsgi.input"].read(100)
        environ["wsgi.errors"].write("read\n")
        environ["wsgi.errors"].flush()
        start_response("200 OK", TEXT.copy())
        return [content or b"none"] if method != "HEAD" else []

    # Python 3.13 no longer knows HEAD, but it is no complaint.
    content = b"hello" if method == "POST" else b""
    length = [f"Content-Length: {len(content)}"] if content else []
    answer = serve(validator(app)).ask(method, *length, body=content)
    assert answer.status == 200
    assert answer.body == (b"" if method == "HEAD" else content or b"none")


def test_03_wsgi_errors_is_the_error_log(
    serve: Serve, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        print("something \N{SNOWMAN} \ud800", file=environ["wsgi.errors"])
        start_response("200 OK", TEXT)
        return [b"ok"]

    assert serve(app).ask().body == b"ok"
    assert [(r.name, r.getMessage()) for r in caplog.records if r.levelno >= logging.ERROR] == [
        ("tidegate.error", "something \N{SNOWMAN} \\ud800")
    ]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("several", [True, False])
def test_04_multiprocess_and_multithread_say_what_is(serve: Serve, several: bool) -> None:
    keys = ("wsgi.multiprocess", "wsgi.multithread", "wsgi.run_once")
    tell = Tell(lambda environ: [environ[key] for key in keys])
    serve(tell, multiprocess=several, threads=2 if several else 1).ask()
    assert tell.seen == [[several, several, False]]


def test_05_the_address_of_the_client_is_known(serve: Serve) -> None:
    tell = Tell(lambda environ: (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]))
    with serve(tell).connect() as client:
        client.sendall(request("GET", "/"))
        read_one(client)
        address, port = client.getsockname()
    assert tell.seen == [(address, str(port))]


@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
def test_06_the_target_is_known_undecoded(serve: Serve, key: str) -> None:
    tell = value(key)
    serve(tell).ask(path="/a%2Fb?c=%20d")
    assert tell.seen == ["/a%2Fb?c=%20d"]


def test_07_the_path_keeps_bytes_that_are_no_text(serve: Serve) -> None:
    tell = value("PATH_INFO")
    serve(tell).ask(path="/%E9/%C3%A9")
    assert tell.seen == ["/\xe9/\xc3\xa9"]


def test_08_cookies_are_joined_with_a_semicolon(serve: Serve) -> None:
    tell = Tell(lambda environ: (environ["HTTP_COOKIE"], environ["HTTP_ACCEPT"]))
    serve(tell).ask("Cookie: a=1", "Cookie: b=2", "Accept: x", "Accept: y")
    assert tell.seen == [("a=1; b=2", "x,y")]


def test_09_a_name_with_an_underscore_cannot_pass_for_another(serve: Serve) -> None:
    tell = value("HTTP_X_FORWARDED_FOR")
    serve(tell).ask("X_Forwarded_For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8")
    assert tell.seen == ["5.6.7.8"]


def test_10_there_is_one_content_length(serve: Serve) -> None:
    tell = Tell(lambda environ: sorted(key for key in environ if "CONTENT_" in key))
    serve(tell).ask("POST", "Content_Length: 9", "Content-Length: 2", body=b"ab")
    assert tell.seen == [["CONTENT_LENGTH"]]


def test_11_proxy_is_no_variable(serve: Serve) -> None:
    tell = Tell(lambda environ: sorted(key for key in environ if key.startswith("HTTP_")))
    serve(tell).ask("Proxy: evil:80", "TE: trailers", "Upgrade: h2c", "Keep-Alive: 5")
    assert tell.seen == [["HTTP_HOST"]]


def test_12_a_header_keeps_its_bytes(serve: Serve) -> None:
    tell = value("HTTP_X_NAME")
    serve(tell).ask(b"X-Name: caf\xe9")
    assert tell.seen == ["caf\xe9"]


# 13 to 23: content of the request.

CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"


@pytest.mark.parametrize("chunked", ["stream", "spool"])
def test_13_chunked_content_can_be_read(serve: Serve, chunked: str) -> None:
    tell = body(lambda stream: (stream.read(), stream.read(), stream.read(1)))
    serve(tell, chunked=chunked).ask("POST", CHUNKED, body=CHUNKS)
    assert tell.seen == [(b"hello world", b"", b"")]


def test_14_the_input_is_known_to_end(serve: Serve) -> None:
    tell = value("wsgi.input_terminated")
    serve(tell).ask()
    assert tell.seen == [True]


@pytest.mark.parametrize(("chunked", "length"), [("stream", None), ("spool", "11")])
def test_15_spooled_content_has_a_length(serve: Serve, chunked: str, length: str | None) -> None:
    tell = value("CONTENT_LENGTH")
    serve(tell, chunked=chunked).ask("POST", CHUNKED, body=CHUNKS)
    assert tell.seen == [length]


def test_15_the_length_is_that_of_content_that_came_in_pieces(serve: Serve) -> None:
    tell = Tell(lambda environ: (environ["CONTENT_LENGTH"], environ["wsgi.input"].read()))
    with serve(tell, chunked="spool").connect() as client:
        client.sendall(request("POST", "/", CHUNKED, "Expect: 100-continue"))
        read_until(client, b"100 Continue\r\n\r\n")
        client.sendall(CHUNKS)
        read_one(client)
    assert tell.seen == [("11", b"hello world")]


LINES = b"one\ntwo\n\nlast"

READINGS: dict[str, tuple[Callable[[Any], Any], bytes, Any]] = {
    "16 readline": (
        lambda stream: [stream.readline() for _ in range(5)],
        LINES,
        [b"one\n", b"two\n", b"\n", b"last", b""],
    ),
    "16 iteration": (list, LINES, [b"one\n", b"two\n", b"\n", b"last"]),
    "17 readline(n)": (
        lambda stream: [stream.readline(2), stream.readline(9), stream.readline(-1)],
        LINES,
        [b"on", b"e\n", b"two\n"],
    ),
    "18 readlines": (
        lambda stream: stream.readlines(),
        LINES,
        [b"one\n", b"two\n", b"\n", b"last"],
    ),
    "18 readlines(bytes)": (lambda stream: stream.readlines(5), LINES, [b"one\n", b"two\n"]),
    "18 readlines of nothing": (lambda stream: stream.readlines(), b"", []),
    "19 read(None)": (lambda stream: stream.read(None), LINES, LINES),
    "19 read(-1)": (lambda stream: stream.read(-1), LINES, LINES),
    "19 read(n)": (lambda stream: [stream.read(5), stream.read(99)], LINES, [LINES[:5], LINES[5:]]),
    "19 read(0)": (lambda stream: stream.read(0), LINES, b""),
}


@pytest.mark.parametrize("pieces", [True, False])
@pytest.mark.parametrize("name", READINGS)
def test_16_to_19_every_way_of_reading(serve: Serve, name: str, pieces: bool) -> None:
    read, content, expected = READINGS[name]
    tell = body(read)
    with serve(tell).connect() as client:
        client.sendall(request("POST", "/", f"Content-Length: {len(content)}"))
        for byte in [content[i : i + 1] for i in range(len(content))] if pieces else [content]:
            client.sendall(byte)
        read_one(client)
    assert tell.seen == [expected]


def test_20_content_reaches_the_application_as_it_comes(serve: Serve) -> None:
    first = threading.Event()

    def read(stream: Any) -> bytes:
        line = stream.readline()
        first.set()
        return bytes(line + stream.read())

    tell = body(read)
    with serve(tell).connect() as client:
        client.sendall(request("POST", "/", CHUNKED) + b"4\r\none\n\r\n")
        assert first.wait(SECONDS)
        client.sendall(b"3\r\ntwo\r\n0\r\n\r\n")
        read_one(client)
    assert tell.seen == [b"one\ntwo"]


def test_21_a_client_is_held_back_while_nobody_reads(serve: Serve) -> None:
    size = 96 * 1024 * 1024
    go_on = threading.Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        go_on.wait(SECONDS)
        start_response("200 OK", TEXT)
        return [b"ok"]

    with serve(app).connect() as client:
        client.sendall(request("POST", "/", f"Content-Length: {size}"))
        client.settimeout(0.5)
        piece = bytes(1024 * 1024)
        sent = 0
        try:
            while sent < size:
                sent += client.send(piece)
        except TimeoutError:
            pass
        go_on.set()
    assert sent < size / 2


def test_22_content_cut_off_is_an_error(serve: Serve) -> None:
    raised = []
    over = threading.Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            raised.append(type(error).__name__)
            raise
        finally:
            over.set()
        return []

    with serve(app).connect() as client:
        client.sendall(request("POST", "/", "Content-Length: 1000", body=b"0123456789"))
        client.shutdown(socket.SHUT_WR)
        assert over.wait(SECONDS)
    assert raised == ["ClientDisconnected"]


@pytest.mark.parametrize("reads", [True, False])
def test_23_the_client_is_told_to_go_on_when_the_application_reads(
    serve: Serve, reads: bool
) -> None:
    tell = body(lambda stream: stream.read() if reads else b"")
    with serve(tell).connect() as client:
        client.sendall(request("POST", "/", "Content-Length: 5", "Expect: 100-continue"))
        if reads:
            assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"hello")
            assert read_one(client).status == 200
        else:
            assert b"100 Continue" not in read_until(client, b"b''")
    assert tell.seen == [b"hello" if reads else b""]


def test_23_a_client_that_waits_is_not_told_to_go_on_while_the_application_works(
    serve: Serve,
) -> None:
    called, may_answer = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            called.set()
            may_answer.wait(SECONDS)
        start_response("200 OK", [])
        return [b"done"]

    server = serve(app)
    with server.connect() as client, server.connect() as other:
        client.sendall(request("POST", "/", "Content-Length: 5", "Expect: 100-continue"))
        assert called.wait(SECONDS)
        other.sendall(request("GET", "/"))
        assert read_one(other).status == 200
        may_answer.set()
        assert b"100 Continue" not in read_until(client, b"done")


# 24 to 34: start_response, write and the course of a call.


def test_24_what_is_written_is_sent_at_once(serve: Serve) -> None:
    go_on = threading.Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"written")
        go_on.wait(SECONDS)
        return [b"returned"]

    with serve(app).connect() as client:
        client.sendall(request("GET", "/", "Connection: close"))
        begun = read_until(client, b"written")
        go_on.set()
        answer = Answer(begun + read_all(client))
    assert (answer.body, answer.whole) == (b"writtenreturned", True)


def test_25_close_is_called_after_the_end_in_the_same_thread(serve: Serve) -> None:
    closing = Closing([b"a", b"b"])
    threads = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        threads.append(threading.get_ident())
        start_response("200 OK", TEXT)
        return closing

    assert serve(app).ask().body == b"ab"
    assert closing.over.wait(SECONDS)
    assert closing.closed == threads


def test_26_close_is_called_after_an_exception(serve: Serve) -> None:
    closing = Closing(failing(b"a"))
    assert serve(application(closing)).ask().whole is False
    assert closing.over.wait(SECONDS)
    assert len(closing.closed) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_27_an_exception_before_any_content_is_answered_500(
    serve: Serve, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("X-Secret", "1")])
        raise error

    answer = serve(app).ask()
    assert answer.status == 500
    assert answer.header(b"x-secret") is None
    assert error.__name__ in caplog.text


def test_28_an_exception_amid_content_truncates(serve: Serve) -> None:
    answer = serve(application(failing(b"a", b"b"))).ask()
    assert not answer.whole
    assert answer.body in (b"", b"a", b"ab")


def test_29_a_second_start_response_needs_exc_info(serve: Serve) -> None:
    raised = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        try:
            start_response("404 Not Found", TEXT)
        except AssertionError as error:
            raised.append(error)
        return [b"ok"]

    assert serve(app).ask().status == 200
    assert len(raised) == 1


def test_29_also_when_the_first_one_raised(serve: Serve) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        with pytest.raises(Exception, match="status"):
            start_response("nonsense", TEXT)
        with pytest.raises(AssertionError):
            start_response("200 OK", TEXT)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            start_response("503 Busy", TEXT, (type(error), error, error.__traceback__))
        return [b"busy"]

    assert serve(app).ask().status == 503


def test_30_exc_info_before_any_content_replaces_all(serve: Serve) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("X-A", "1"), ("Content-Length", "99")])
        start_response("500 Oops", [("X-B", "2")], status_only(ZeroDivisionError()))
        return [b"sorry"]

    answer = serve(app).ask()
    assert (answer.status, answer.body) == (500, b"sorry")
    assert answer.header(b"x-a") is None
    assert answer.header(b"x-b") == b"2"


def test_31_exc_info_after_content_raises(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    raised = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", TEXT)(b"partial")
        original = ZeroDivisionError("the original")
        try:
            start_response("500 Oops", TEXT, status_only(original))
        except ZeroDivisionError as error:
            raised.append(error is original)
            raise
        return [b"TAIL"]

    answer = serve(app).ask()
    assert raised == [True]
    assert not answer.whole
    assert b"TAIL" not in answer.raw
    assert "the original" in caplog.text


def test_32_the_head_waits_for_content_that_is_not_empty(serve: Serve) -> None:
    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b""
        yield b""
        start_response("404 Not Found", TEXT, status_only(ZeroDivisionError()))
        yield b"none"

    assert serve(app).ask().status == 404


def test_33_start_response_may_be_called_while_iterating(serve: Serve) -> None:
    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("202 Accepted", [("X-Late", "yes")])
        yield b"late"

    answer = serve(app).ask()
    assert (answer.status, answer.header(b"x-late"), answer.body) == (202, b"yes", b"late")


@pytest.mark.parametrize("chunks", [[], [b"x"], [b"x", b"y"], (b"x",)])
def test_34_without_start_response_the_answer_is_500(serve: Serve, chunks: Any) -> None:
    assert serve(lambda environ, start_response: chunks).ask().status == 500


# 35 to 46: what a response may be.


class Sized:
    """Knows its length, and is no list."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"hello"])


@pytest.mark.parametrize("chunks", [[b"hello"], (b"hello",), Sized()])
def test_35_the_length_of_an_only_chunk_is_announced(serve: Serve, chunks: Any) -> None:
    answer = serve(application(chunks)).ask()
    assert (answer.header(b"content-length"), answer.body) == (b"5", b"hello")


FIVE = [*TEXT, ("Content-Length", "5")]


@pytest.mark.parametrize("chunks", [[b"hello world"], [b"hel", b"lo world"], [b"hello", b"x"]])
def test_36_content_is_cut_at_its_length(serve: Serve, chunks: list[bytes]) -> None:
    with serve(application(chunks, headers=FIVE)).connect() as client:
        for _ in range(2):
            client.sendall(request("GET", "/"))
            assert read_one(client).body == b"hello"  # type: ignore[attr-defined]


def test_37_nothing_is_asked_for_past_the_length(serve: Serve) -> None:
    closing = Closing([b"hel", b"lo", b"never"])
    assert serve(application(closing, headers=FIVE)).ask().body == b"hello"
    assert closing.over.wait(SECONDS)
    assert closing.taken == 2


@pytest.mark.parametrize("chunks", [[b"hel"], [b"h", b"e"], []])
def test_38_content_that_is_too_short_ends_the_connection(
    serve: Serve, chunks: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with serve(application(chunks, headers=FIVE)).connect() as client:
        client.sendall(request("GET", "/") + request("GET", "/", "Connection: close"))
        received = read_all(client)
    # If it is known in time, it can still be answered; otherwise the answer is cut off.
    answers = received.split(b"HTTP/1.1 ")[1:]
    cut_off = answers[-1].startswith(b"200") and not answers[-1].endswith(b"hello")
    assert cut_off or len(answers) == 2
    assert all(answer.startswith(b"500") for answer in (answers[:-1] if cut_off else answers))
    assert "content-length announced" in caplog.text


@pytest.mark.parametrize(
    ("chunks", "headers", "length"),
    [
        ([b"hello"], TEXT, "5"),
        ([b"hello"], FIVE, "5"),
        ([], FIVE, "5"),
        (iter([b"hel", b"lo"]), TEXT, None),
    ],
)
def test_39_an_answer_to_head_has_no_content(
    serve: Serve, chunks: Any, headers: Any, length: str | None
) -> None:
    closing = Closing(chunks) if not isinstance(chunks, list) else None
    with serve(application(closing or chunks, headers=headers)).connect() as client:
        client.sendall(request("HEAD", "/"))
        response = read_one(client, "HEAD")
        assert (response.status, response.getheader("content-length")) == (200, length)
        # Content would be taken for the beginning of the next answer.
        client.sendall(request("HEAD", "/"))
        assert read_one(client, "HEAD").status == 200
    if closing is not None:
        assert closing.over.wait(SECONDS)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("chunks", [[b"hello"], [b"hel", b"lo"]])
def test_40_where_no_content_may_be_none_is_sent(
    serve: Serve, status: str, chunks: list[bytes]
) -> None:
    with serve(application(chunks, status)).connect() as client:
        for _ in range(2):
            client.sendall(request("GET", "/"))
            response = read_one(client)
            assert response.status == int(status[:3])
            assert response.getheader("content-length") is None
            assert response.getheader("transfer-encoding") is None


HOP_BY_HOP = [
    *(("Connection", "keep-alive, upgrade"), ("Keep-Alive", "99"), ("TE", "x"), ("Trailer", "x")),
    *(("Transfer-Encoding", "chunked"), ("Upgrade", "h2c"), ("Proxy-Authenticate", "Basic")),
]


def test_41_fields_of_the_connection_are_not_the_application_s(serve: Serve) -> None:
    answer = serve(application([b"hello"], headers=[*HOP_BY_HOP, ("X-A", "1")])).ask()
    names = {name for name, _ in answer.headers}
    assert names == {b"date", b"server", b"x-a", b"content-length", b"connection"}
    assert answer.header(b"connection") == b"close"


@pytest.mark.parametrize(
    "header",
    [
        *(("X-A", "1\r\nX-B: 2"), ("X-A", "1\n"), ("X-A", "\x00"), ("X-A: 1\r\nX-B", "2")),
        *(("", "1"), ("X A", "1"), ("X-\N{SNOWMAN}", "1"), ("X-A", "\N{SNOWMAN}")),
        *((b"X-A", b"1"), ("X-A", 1), ("X-A",), "X-A", ("Content-Length", "+1")),
    ],
)
def test_42_a_header_that_cannot_be_sent_is_refused_in_the_call(serve: Serve, header: Any) -> None:
    raised = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        try:
            start_response("200 OK", [header])
        except Exception as error:
            raised.append(error)
            start_response("500 Oops", TEXT, status_only(error))
        return [b"handled"]

    answer = serve(app).ask()
    assert (answer.status, answer.body) == (500, b"handled")
    assert answer.header(b"x-b") is None
    assert len(raised) == 1


def test_43_a_header_is_sent_in_latin_1(serve: Serve) -> None:
    answer = serve(application([b"x"], headers=[("X-Name", "caf\xe9")])).ask()
    assert answer.header(b"x-name") == b"caf\xe9"


def test_44_a_reason_of_the_application_s_own_is_kept(serve: Serve, carrier: str) -> None:
    answer = serve(application([b"x"], "404 Pas trouv\xe9")).ask()
    # ASGI has no place for it.
    expected = b"Pas trouv\xe9" if carrier == "native" else b"Not Found"
    assert (answer.status, answer.reason) == (404, expected)


def test_45_a_status_needs_no_reason(serve: Serve) -> None:
    answer = serve(application([b"x"], "404")).ask()
    assert (answer.status, answer.reason) == (404, b"Not Found")


@pytest.mark.parametrize(
    "status",
    ["200 O\nK", "200 \N{SNOWMAN}", "20 OK", "1000 OK", "100 Continue", "OK", "", 200, b"200 OK"],
)
def test_45_a_status_that_is_none_is_refused(serve: Serve, status: Any) -> None:
    assert serve(application([b"x"], status)).ask().status == 500


@pytest.mark.parametrize(
    "chunks", ["text", b"bytes", bytearray(b"bytes"), ["text"], ["a", "b"], [1], [None], None, 5]
)
def test_46_what_is_not_an_iterable_of_bytes_is_an_error(serve: Serve, chunks: Any) -> None:
    assert serve(application(chunks)).ask().status == 500


# 47 to 51: the client, the threads.


def test_47_an_application_is_held_back_while_the_client_does_not_read(serve: Serve) -> None:
    pieces = 1024
    finished = threading.Event()
    produced = []

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        for _ in range(pieces):
            produced.append(1)
            yield bytes(65536)
        finished.set()

    with serve(app).connect() as client:
        client.sendall(request("GET", "/", "Connection: close"))
        assert not finished.wait(1.0)
        waiting = len(produced)
        response = read_one(client)
        assert len(response.body) == pieces * 65536  # type: ignore[attr-defined]
    assert waiting < pieces / 2


@pytest.mark.parametrize("leave", [reset, socket.socket.close])
def test_48_the_application_stops_when_the_client_is_gone(
    serve: Serve, leave: Callable[[socket.socket], None]
) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1024)

    closing = Closing(endless())
    client = serve(application(closing)).connect()
    client.sendall(request("GET", "/"))
    read_until(client, bytes(1024))
    leave(client)
    assert closing.over.wait(SECONDS)
    assert len(closing.closed) == 1


def test_48_also_one_that_waits_for_something_else_meanwhile(serve: Serve) -> None:
    go_on = threading.Event()

    def slow() -> Iterator[bytes]:
        yield b"first"
        while True:
            go_on.wait(SECONDS)
            yield b"more"

    closing = Closing(slow())
    client = serve(application(closing)).connect()
    client.sendall(request("GET", "/"))
    read_until(client, b"first")
    reset(client)
    go_on.set()
    assert closing.over.wait(SECONDS)


def test_48_write_raises_when_the_client_is_gone(serve: Serve) -> None:
    raised = []
    over = threading.Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", TEXT)
        try:
            while True:
                write(bytes(1024))
        except OSError as error:
            raised.append(type(error).__name__)
            raise
        finally:
            over.set()

    client = serve(app).connect()
    client.sendall(request("GET", "/"))
    read_until(client, bytes(1024))
    reset(client)
    assert over.wait(SECONDS)
    assert raised == ["ClientDisconnected"]


def test_49_requests_do_not_see_each_other_s_context(serve: Serve) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    closed = []

    class Noting(Closing):
        def close(self) -> None:
            closed.append(variable.get())
            super().close()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        seen = variable.get()
        variable.set(environ["PATH_INFO"])
        start_response("200 OK", TEXT)
        return Noting([seen.encode()])

    host = serve(app, threads=1)
    assert [host.ask(path=path).body for path in ("/a", "/b")] == [b"none", b"none"]
    assert closed == ["/a", "/b"]


@pytest.mark.parametrize(("length", "expected"), [(None, b"345678"), ("3", b"345")])
def test_50_a_file_is_sent_from_where_it_stands(
    serve: Serve, length: str | None, expected: bytes
) -> None:
    files = []

    def app(environ: Environ, start_response: Start) -> Any:
        file = io.BytesIO(b"012345678")
        file.seek(3)
        files.append(file)
        start_response("200 OK", [("Content-Length", length)] if length else [])
        return environ["wsgi.file_wrapper"](file, 2)

    host = serve(app, threads=1)
    assert host.ask().body == expected
    # The next request is served when the call is over.
    host.ask()
    assert files[0].closed


def test_51_requests_run_at_once(serve: Serve) -> None:
    together = threading.Barrier(8, timeout=SECONDS)

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        together.wait()
        start_response("200 OK", TEXT)
        return [b"ok"]

    host = serve(app, threads=8)
    clients = [host.connect() for _ in range(8)]
    for client in clients:
        client.sendall(request("GET", "/", "Connection: close"))
    for client in clients:
        with client:
            assert Answer(read_all(client)).body == b"ok"
