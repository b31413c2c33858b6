"""A program that starts uvicorn starts Tidegate, and sees what it is used to see."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tidegate.uvicorn_compat as uvicorn
from tidegate.asgi import Receive, Scope, Send

SECONDS = 20.0


class Site:
    """An application that says when it has started, and answers with the path."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.fails = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            if self.fails:
                await send({"type": "lifespan.startup.failed", "message": "no database"})
                return
            await send({"type": "lifespan.startup.complete"})
            self.started.set()
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = scope["path"].encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@contextmanager
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def get(place: socket.socket | int, path: str) -> bytes:
    port = place if isinstance(place, int) else place.getsockname()[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as answer:
        content: bytes = answer.read()
        return content


def test_a_server_in_a_thread_answers_and_stops() -> None:
    site = Site()
    server = uvicorn.Server(uvicorn.Config(site, log_level="warning"))
    assert not server.started
    assert server.servers == []
    assert server.server_state.total_requests == 0
    with listener() as place:
        port = place.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        try:
            assert site.started.wait(SECONDS)
            assert get(port, "/a") == b"/a"
            assert server.started
            assert server.servers[0].sockets[0].getsockname()[1] == port
            assert server.server_state.total_requests == 1
            assert server.server_state.tasks == set()
            with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
                client.sendall(b"GET /c HTTP/1.1\r\nHost: test\r\n\r\n")
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
                assert len(server.server_state.connections) == 1
        finally:
            server.should_exit = True
            thread.join(SECONDS)
    assert not thread.is_alive()
    assert server.started


async def test_a_server_in_a_running_loop_answers_and_stops() -> None:
    server = uvicorn.Server(uvicorn.Config(Site(), port=0, log_config=None))
    serving = asyncio.ensure_future(server.serve())
    async with asyncio.timeout(SECONDS):
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        assert await asyncio.to_thread(get, port, "/b") == b"/b"
        server.handle_exit(signal.SIGTERM, None)
        assert server.should_exit
        await serving


async def test_a_server_that_was_told_to_exit_does_not_stay() -> None:
    server = uvicorn.Server(uvicorn.Config(Site(), port=0, log_config=None))
    server.should_exit = True
    async with asyncio.timeout(SECONDS):
        await server.serve()
    assert server.should_exit


async def test_an_application_that_does_not_start_is_no_exception() -> None:
    site = Site()
    site.fails = True
    server = uvicorn.Server(uvicorn.Config(site, port=0, log_config=None))
    await server.serve()
    assert not server.started
    assert server.should_exit


def test_run_leaves_with_status_3_if_the_application_does_not_start() -> None:
    site = Site()
    site.fails = True
    with pytest.raises(SystemExit) as caught:
        uvicorn.run(site, port=0, log_config=None)
    assert caught.value.code == 3


def test_run_leaves_with_status_3_if_there_is_no_application(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        uvicorn.run("no_such_module:app", port=0, log_config=None, app_dir=str(tmp_path))
    assert caught.value.code == 3


def test_run_leaves_with_status_3_if_several_workers_cannot_be() -> None:
    with pytest.raises(SystemExit) as caught:
        uvicorn.run(Site(), workers=2, port=0, log_config=None)
    assert caught.value.code == 3


def test_run_returns_after_a_signal() -> None:
    class Leaving(Site):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            await super().__call__(scope, receive, send)

    uvicorn.run(Leaving(), port=0, log_config=None)


PROGRAM = """
import tidegate.uvicorn_compat as uvicorn

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

if __name__ == "__main__":
    uvicorn.run("served_program:app", port=0, workers=2)
"""


@pytest.mark.parametrize("setting", ["workers=2", "reload=True"])
def test_a_program_serves_from_other_processes(tmp_path: Path, setting: str) -> None:
    (tmp_path / "served_program.py").write_text(PROGRAM.replace("workers=2", setting))
    command = [sys.executable, "served_program.py"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stderr is not None
            running = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
            assert running is not None
            assert get(int(running[1]), "/a?b") == b""
        finally:
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    line = r'INFO: {5}127\.0\.0\.1:\d+ - "GET /a\?b HTTP/1\.1" 204 No Content\n'
    assert re.fullmatch(line, out)


# Logging.


class Kept(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


async def logged(**settings: Any) -> None:
    """Serve one request."""
    server = uvicorn.Server(uvicorn.Config(Site(), port=0, **settings))
    serving = asyncio.ensure_future(server.serve())
    async with asyncio.timeout(SECONDS):
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        await asyncio.to_thread(get, port, "/path?query=1")
        server.should_exit = True
        await serving


async def test_records_of_the_access_log_have_the_arguments_that_filters_expect() -> None:
    kept = Kept()
    access = logging.getLogger("uvicorn.access")
    access.addHandler(kept)
    access.setLevel(logging.INFO)
    await logged(log_config=None)
    (record,) = kept.records
    assert record.name == "uvicorn.access"
    assert isinstance(record.args, tuple)
    client, *rest = record.args
    assert str(client).startswith("127.0.0.1:")
    assert rest == ["GET", "/path?query=1", "1.1", 200]
    assert record.getMessage() == f'{client} - "GET /path?query=1 HTTP/1.1" 200'


async def test_other_records_go_to_the_logger_for_errors() -> None:
    kept = Kept()
    errors = logging.getLogger("uvicorn.error")
    errors.addHandler(kept)
    errors.setLevel(logging.INFO)
    await logged(log_config=None)
    assert any("running on" in record.getMessage() for record in kept.records)


async def test_lines_look_as_they_are_configured(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    config["formatters"]["access"]["fmt"] = (
        "%(levelprefix)s %(method)s %(full_path)s %(status_code)s"
    )
    for formatter in config["formatters"].values():
        formatter["()"] = formatter["()"].replace("tidegate.server.uvicorn_logs", "uvicorn.logging")
    await logged(log_config=config, use_colors=False)
    out, err = capfd.readouterr()
    assert out == "INFO:     GET /path?query=1 200 OK\n"
    assert err.startswith("INFO:     Tidegate ")


async def test_lines_can_be_coloured(capfd: pytest.CaptureFixture[str]) -> None:
    await logged(use_colors=True)
    assert capfd.readouterr().out.startswith("\x1b[32mINFO\x1b[0m:     127.0.0.1:")


async def test_the_level_is_heard(capfd: pytest.CaptureFixture[str]) -> None:
    await logged(log_level="warning")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


async def test_the_access_log_can_be_off(capfd: pytest.CaptureFixture[str]) -> None:
    await logged(access_log=False)
    assert capfd.readouterr().out == ""
