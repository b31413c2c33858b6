"""Files of the system and early hints: what the server does for a WSGI application."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.bridge.wsgi.conftest import Serve
from tests.bridge.wsgi.hosting import SECONDS, Answer, read_all, request

Environ = dict[str, Any]
Start = Any

LARGE = os.urandom(1000) * 5000


class Sendfile:
    """Counts what goes through ``os.sendfile``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent = 0
        self._genuine = os.sendfile
        monkeypatch.setattr("os.sendfile", self)

    def __call__(self, out: int, source: int, offset: int, count: int) -> int:
        size = self._genuine(out, source, offset, count)
        self.sent += size
        return size


@pytest.fixture
def sendfile(monkeypatch: pytest.MonkeyPatch) -> Sendfile:
    return Sendfile(monkeypatch)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE)
    return path


@pytest.mark.parametrize(
    ("length", "expected"), [(None, LARGE[3:]), (4_999_997, LARGE[3:]), (300_000, LARGE[3:300_003])]
)
@pytest.mark.parametrize("buffering", [0, -1])
def test_a_file_goes_out_by_sendfile_from_where_it_stands(
    serve: Serve,
    large: Path,
    sendfile: Sendfile,
    length: int | None,
    expected: bytes,
    buffering: int,
) -> None:
    files = []

    def app(environ: Environ, start_response: Start) -> Any:
        file = large.open("rb", buffering)
        files.append(file)
        file.read(3)
        start_response("200 OK", [("Content-Length", str(length))] if length else [])
        return environ["wsgi.file_wrapper"](file)

    host = serve(app, threads=1)
    answer = host.ask()
    assert answer.body == expected
    assert answer.header(b"content-length") == b"%d" % len(expected)
    assert sendfile.sent == len(expected)
    host.ask()
    assert files[0].closed


def test_a_small_file_is_sent_too(serve: Serve, tmp_path: Path, sendfile: Sendfile) -> None:
    (tmp_path / "small").write_bytes(b"small")

    def app(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"]((tmp_path / "small").open("rb"))

    host = serve(app)
    assert (host.ask().body, sendfile.sent) == (b"small", 0)


def test_a_length_larger_than_the_file_breaks_the_response_off(serve: Serve, large: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [("Content-Length", "6000000")])
        return environ["wsgi.file_wrapper"](large.open("rb"))

    assert serve(app).ask().status == 500


def test_head_sends_no_file(serve: Serve, large: Path, sendfile: Sendfile) -> None:
    def app(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [("Content-Length", str(len(LARGE)))])
        return environ["wsgi.file_wrapper"](large.open("rb"))

    host = serve(app)
    answer = host.ask("HEAD")
    assert (answer.body, answer.header(b"content-length")) == (b"", b"%d" % len(LARGE))
    assert sendfile.sent == 0


def test_what_was_written_before_a_file_comes_first(serve: Serve, large: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Any:
        write = start_response("200 OK", [("Content-Length", str(len(LARGE) + 6))])
        write(b"before")
        return environ["wsgi.file_wrapper"](large.open("rb"))

    assert serve(app).ask().body == b"before" + LARGE


class Shouting(io.FileIO):
    """Is not what is in the file."""

    def read(self, size: int | None = -1) -> bytes:
        return (super().read(size) or b"").upper()


def test_what_is_more_than_a_file_is_read(serve: Serve, tmp_path: Path, sendfile: Sendfile) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100_000)

    def app(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/pipe":
            reading, writing = os.pipe()
            os.write(writing, b"from a pipe")
            os.close(writing)
            return environ["wsgi.file_wrapper"](open(reading, "rb"))
        return environ["wsgi.file_wrapper"](Shouting(str(path)))

    host = serve(app)
    assert host.ask().body == b"X" * 100_000
    assert host.ask(path="/pipe").body == b"from a pipe"
    assert sendfile.sent == 0


def test_only_what_is_returned_counts(serve: Serve, large: Path, sendfile: Sendfile) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        with large.open("rb") as file:
            for block in environ["wsgi.file_wrapper"](file):
                yield block[::-1]

    serve(app).ask()
    assert sendfile.sent == 0


def test_a_file_before_start_response_is_an_error(serve: Serve, large: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Any:
        return environ["wsgi.file_wrapper"](large.open("rb"))

    assert serve(app).ask().status == 500


def test_a_slow_client_does_not_hold_the_thread(serve: Serve, large: Path) -> None:
    large.write_bytes(LARGE * 4)
    closed = threading.Event()

    def app(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/quick":
            return [b"quick"]
        wrapper = environ["wsgi.file_wrapper"](large.open("rb", 0))
        close = wrapper.close

        def noting() -> None:
            close()
            closed.set()

        wrapper.close = noting
        return wrapper

    host = serve(app, threads=1)
    with host.connect() as slow:
        slow.sendall(request("GET", "/", "Connection: close"))
        assert closed.wait(SECONDS)
        assert host.ask(path="/quick").body == b"quick"
        assert Answer(read_all(slow)).body == LARGE * 4


def test_early_hints_come_before_the_response(serve: Serve) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload"), ("X-Other", "a")])
        environ["wsgi.early_hints"]([("X-Other", "a")])
        start_response("200 OK", [])
        return [b"ok"]

    host = serve(app)
    with host.connect() as client:
        client.sendall(request("GET", "/", "Connection: close"))
        raw = read_all(client)
    assert raw.startswith(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n"
    )
    assert raw.count(b"103") == 1


@pytest.mark.parametrize("hints", [[("Link", b"a")], [("Link", "a\r\nb: c")], 3, ["a"]])
def test_hints_that_cannot_be_sent_raise(serve: Serve, hints: Any) -> None:
    errors = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        try:
            environ["wsgi.early_hints"](hints)
        except Exception as error:
            errors.append(type(error).__name__)
        start_response("200 OK", [])
        return [b"ok"]

    assert serve(app).ask().body == b"ok"
    assert errors == ["AppError"]


def test_late_hints_are_dropped(serve: Serve) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "1")])
        yield b"a"
        environ["wsgi.early_hints"]([("Link", "</a.css>")])

    host = serve(app)
    assert host.ask().body == b"a"
    assert host.ask().body == b"a"
