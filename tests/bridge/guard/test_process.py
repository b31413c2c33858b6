"""``tidegate run`` names a line that blocks its loop."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from tests.server.process import Process, get, launched

# Waiting on an event is what ``time.sleep`` does, with a name of its own.
BLOCKS = """
import threading
import time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        threading.Event().wait(0.3)
        return
    answer()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"done"})

def answer():
    time.sleep(0.3)
"""

LINE = BLOCKS[: BLOCKS.index("time.sleep(")].count("\n") + 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(BLOCKS)
    return tmp_path


def ask_until(process: Process, pattern: str) -> str:
    """Ask until the log matches: one stall may pass while the machine looks elsewhere."""
    port = process.port()
    for _ in range(20):
        assert get(port, "/page") == b"done"
        if re.search(pattern, process.log):
            break
    return process.says(pattern)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_blocking_line_is_named_with_request_and_advice(folder: Path, loop: str) -> None:
    with launched(folder, "slow:app", "--loop", loop) as process:
        text = ask_until(process, r"Event loop blocked \d+ ms at .*\n")
        process.stop()
    assert f"slow.py:{LINE} in answer() while serving GET /page: time.sleep(0.3)" in text
    assert "[waited; " in text
    assert "Advice: time.sleep -> asyncio.sleep" in text
    assert "in app()" not in process.log  # the start of the application may block


def test_without_a_guard_nothing_is_said(folder: Path) -> None:
    with launched(folder, "slow:app", "--no-guard") as process:
        assert get(process.port()) == b"done"
        process.stop()
    assert "blocked" not in process.log


def test_the_threshold_can_be_set(folder: Path) -> None:
    with launched(folder, "slow:app", "--guard-threshold", "60") as process:
        assert get(process.port()) == b"done"
        process.stop()
    assert "blocked" not in process.log


def test_call_sites_are_named_at_the_first_call(folder: Path) -> None:
    with launched(folder, "slow:app", "--guard-sites", "--guard-threshold", "60") as process:
        assert get(process.port()) == b"done"
        if sys.version_info >= (3, 12):
            text = process.says(r"Blocking call on the event loop at .*\n")
            assert f"slow.py:{LINE} in answer(): time.sleep(0.3)" in text
        else:
            process.says("needs Python 3.12")
        process.stop()
