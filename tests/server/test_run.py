"""``tidegate.run`` and ``tidegate run`` as a process."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

import tidegate
from tidegate.asgi import Receive, Scope, Send
from tidegate.errors import ConfigError
from tidegate.server.config import Config
from tidegate.server.loops import loop_factory
from tidegate.server.server import StartupFailed

from .process import ask, connect, launched

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


STUCK = """
import asyncio
import threading

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    await asyncio.to_thread(threading.Event().wait)
"""


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse to start, so that ``run`` returns."""
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "not today"})


@pytest.mark.parametrize("loop", ["auto", "asyncio", "uvloop"])
def test_an_application_that_does_not_start_is_the_callers_to_know(loop: Any) -> None:
    with pytest.raises(StartupFailed, match="not today"):
        tidegate.run(refusing, port=0, lifespan="on", loop=loop)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prot": 8000}, "got an unexpected keyword argument 'prot'"),
        ({"port": 70000}, "port must be at most 65535, not 70000"),
        ({"workers": 2}, "workers: several need the target as 'module:attribute'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(settings: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tidegate.run(refusing, **{"port": 0, **settings})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("loop", "module"), [("auto", "uvloop"), ("asyncio", "asyncio"), ("uvloop", "uvloop")]
)
def test_the_loop_is_the_one_asked_for(loop: Any, module: str) -> None:
    made = loop_factory(Config("a:b", loop=loop))()
    assert type(made).__module__.partition(".")[0] == module
    made.close()


@pytest.mark.parametrize(("text", "words"), [(DEAF, "Leaving 1 request"), (STUCK, "cancelling")])
def test_an_application_that_does_not_let_go_does_not_keep_the_process(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "deaf.py").write_text(text)
    options = ["deaf:app", "--timeout-graceful-shutdown", "0"]
    with launched(tmp_path, *options) as process, connect(process.port()) as client:
        ask(client)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        process.send_signal(signal.SIGTERM)
        process.says(words)
        process.says("Stopped")
        assert process.wait() == 0


def test_a_signal_ends_the_process_with_success(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("async def app(scope, receive, send): raise ValueError\n")
    with launched(tmp_path, "plain:app") as process:
        process.port()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
