"""What a worker was doing stands in its file, and is told when it is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.server.recorder import last_words

WORKER = """
import os, signal, sys, types
from pathlib import Path
from tidegate.server.recorder import Recorder

recorder = Recorder(Path(sys.argv[1]))
request = types.SimpleNamespace(head=types.SimpleNamespace(method="GET", target=b"/shop?id=7"))
recorder.write(request, None, 200)
recorder.write_socket(types.SimpleNamespace(target=b"/live"), "accepted", None)
recorder.beat({
    "in_flight": 1, "requests": 12, "rss": 50 * 2**20,
    "oldest": [{"age": 3.25, "method": "POST", "path": "/pay", "client": "a:1", "at": "shop.py:9"}],
})

def stands_here():
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))

stands_here()
if sys.argv[2] == "SIGQUIT":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGQUIT", "SIGSEGV"])
def test_the_file_outlives_the_worker_whatever_ended_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "worker-1"
    done = subprocess.run([sys.executable, "-c", WORKER, str(path), name], check=False)
    assert -done.returncode == (signal.SIGSEGV if name == "SIGSEGV" else signal.SIGKILL)
    words = last_words(path)
    assert "1 in flight, 12 served, 50 MB" in words
    assert "POST /pay from a:1, at shop.py:9" in words
    assert "GET /shop?id=7 200" in words
    assert "WebSocket /live accepted" in words
    assert ("in stands_here" in words) == (name != "SIGKILL")
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_wrote_nothing_said_nothing(tmp_path: Path) -> None:
    assert last_words(tmp_path / "worker-1") == ""


def test_many_stacks_are_cut(tmp_path: Path) -> None:
    (tmp_path / "worker.stacks").write_text("line\n" * 100)
    assert last_words(tmp_path / "worker").endswith("and 40 more lines")
