"""``tidegate.run`` and whole processes: what only shows in one."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tidegate
from tidegate.asgi import Receive, Scope, Send
from tidegate.errors import ConfigError
from tidegate.server.config import Config
from tidegate.server.run import loop_factory
from tidegate.server.server import StartupFailed

DEAF = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
"""


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse to start, so that ``run`` returns."""
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "not today"})


@contextmanager
def process(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run ``tidegate run`` in a folder; yield the process and its port."""
    command = [sys.executable, "-m", "tidegate", "run", *options, "--port", "0"]
    with subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as running:
        try:
            assert running.stderr is not None
            for line in running.stderr:
                found = re.search(r"running on http://127\.0\.0\.1:(\d+)", line)
                if found:
                    yield running, int(found[1])
                    return
            pytest.fail("the server never said where it listens")
        finally:
            running.kill()


def test_an_application_that_does_not_start_is_the_callers_to_know() -> None:
    with pytest.raises(StartupFailed, match="not today"):
        tidegate.run(refusing, port=0, lifespan="on")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prot": 8000}, "got an unexpected keyword argument 'prot'"),
        ({"port": 70000}, "port must be from 0 to 65535, not 70000"),
        ({"workers": 2}, "workers: several need the target as 'module:attribute'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(settings: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tidegate.run(refusing, **{"port": 0, **settings})
    assert words in str(caught.value)


@pytest.mark.parametrize(("loop", "module"), [("asyncio", "asyncio"), ("uvloop", "uvloop")])
def test_the_loop_is_the_one_asked_for(loop: str, module: str) -> None:
    made = loop_factory(Config("a:b", loop=loop))()
    assert type(made).__module__.partition(".")[0] == module
    made.close()


def test_an_application_that_ignores_its_cancellation_does_not_keep_the_process(
    tmp_path: Path,
) -> None:
    (tmp_path / "deaf.py").write_text(DEAF)
    options = ["deaf:app", "--timeout-graceful-shutdown", "0"]
    with process(tmp_path, *options) as (running, port):
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        with client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
            running.send_signal(signal.SIGTERM)
            assert running.wait(timeout=10) == 0
