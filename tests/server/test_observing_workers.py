"""Several workers watched as one server."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .process import SECONDS, Process, answer, connect, get, launched

APPLICATION = """
import os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "shop.py").write_text(APPLICATION)
    options = ("--workers", "2", "--metrics-bind", "127.0.0.1:0", "--metrics-path", "/metrics")
    control = ("--control-socket", str(tmp_path / "control"), "--log-level", "debug")
    with launched(tmp_path, "shop:app", *options, *control) as process:
        process.port()
        process.says(r"Started in", times=2)
        yield process


class Asking:
    """A client of the control socket."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SECONDS)
        self._socket.connect(str(folder / "control"))
        self._file = self._socket.makefile("rw")

    def ask(self, call: str, **args: Any) -> Any:
        self._file.write(json.dumps({"call": call, "args": args}) + "\n")
        self._file.flush()
        return json.loads(self._file.readline())

    def until(self, call: str, wanted: Any) -> Any:
        """Ask until the answer is as wanted."""
        patience = threading.Event()
        for _ in range(200):
            found = self.ask(call).get("ok")
            if found is not None and wanted(found):
                return found
            patience.wait(0.1)
        pytest.fail(f"{call} stays at {found}")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def line(server: Process, tmp_path: Path) -> Iterator[Asking]:
    made = Asking(tmp_path)
    made.until("status", lambda status: len(status["workers"]) == 2)
    yield made
    made.close()


def requests(text: bytes | dict[str, float]) -> float:
    """Return how many requests a page, or the samples, count; those for pages too."""
    name = 'tidegate_requests_total{method="GET",status="2xx"}'
    if isinstance(text, dict):
        return text.get(name, 0)
    values = [row.split()[1] for row in text.decode().splitlines() if row.startswith(name)]
    return float(values[0]) if values else 0.0


def test_either_page_tells_of_all_workers(server: Process, line: Asking) -> None:
    for _ in range(20):
        get(server.port())
    apart = int(server.says(r"Metrics are at http://127\.0\.0\.1:(\d+)/metrics"))
    assert requests(get(apart, "/metrics")) == 20
    page = get(server.port(), "/metrics")
    assert requests(page) == 20
    assert b"\ntidegate_workers 2\n" in page
    assert b"\ntidegate_worker_restarts_total 0\n" in page
    assert page.count(b"\ntidegate_process_resident_memory_bytes{") == 2


def test_counts_survive_a_worker_that_is_killed(server: Process, line: Asking) -> None:
    for _ in range(10):
        get(server.port())
    before = line.until("samples", lambda found: requests(found) == 10)
    assert before["tidegate_workers"] == 2
    workers = line.ask("status")["ok"]["workers"]
    os.kill(workers[0]["pid"], signal.SIGKILL)
    after = line.until(
        "samples",
        lambda found: found["tidegate_workers"] == 2 and found["tidegate_worker_restarts_total"],
    )
    assert requests(after) == 10
    assert after["tidegate_request_duration_seconds_count"] == 10
    assert line.ask("status")["ok"]["restarts"] == 1


def test_a_worker_can_be_replaced(server: Process, line: Asking) -> None:
    status = line.ask("status")["ok"]
    old = status["workers"][0]["pid"]
    assert {"drain", "recycle", "reload"} <= set(status["orders"])
    assert "ok" in line.ask("recycle", pid=old)
    found = line.until(
        "status",
        lambda status: (
            len(status["workers"]) == 2 and old not in [each["pid"] for each in status["workers"]]
        ),
    )
    assert found["restarts"] <= 1
    assert "error" in line.ask("recycle", pid=1)
    client = connect(server.port())
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert int(answer(client)) in [each["pid"] for each in found["workers"]]


def test_the_level_is_set_in_every_worker(server: Process, line: Asking) -> None:
    assert line.ask("log_level", level="trace")["ok"] == ["trace", "trace"]


def test_the_whole_server_can_be_drained(server: Process, line: Asking, tmp_path: Path) -> None:
    assert "ok" in line.ask("drain")
    assert server.wait() == 0
    assert not (tmp_path / "control").exists()
