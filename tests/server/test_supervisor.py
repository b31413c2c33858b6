"""Several workers on one socket: each is replaced when it dies, and all stop together."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.server.config import Config
from tidegate.server.supervisor import Supervisor, cause

from .process import Process, answer, ask, connect, get, launched

APPLICATION = """
import asyncio
import os
import sys

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print(f"worker {os.getpid()} serves", file=sys.stderr, flush=True)
        await receive()
        print(f"worker {os.getpid()} shuts down", file=sys.stderr, flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/exit":
        os._exit(7)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""

WORKERS = ("site_of_workers:app", "--workers", "2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site_of_workers.py").write_text(APPLICATION)
    return tmp_path


def pids(process: Process, count: int = 2) -> set[int]:
    """Wait until so many workers have begun to serve; return them all."""
    process.says("worker \\d+ serves", count)
    return set(map(int, re.findall(r"worker (\d+) serves", process.log)))


def answering(port: int) -> set[int]:
    """Return the workers that answer many requests sent at once."""
    clients = [connect(port) for _ in range(32)]
    for client in clients:
        ask(client)
    return {int(answer(client)) for client in clients}


def test_all_workers_answer_and_sigterm_stops_them_all(folder: Path) -> None:
    with launched(folder, *WORKERS) as process:
        port = process.port()
        workers = pids(process)
        assert len(workers) == 2
        assert process.pid not in workers
        assert answering(port) <= workers
        assert process.stop() == 0
    assert f"Starting 2 workers, supervised by process {process.pid}" in process.log
    for pid in workers:
        assert f"worker {pid} shuts down" in process.log
    assert process.log.rstrip().endswith("All workers have stopped")
    assert "Traceback" not in process.log


def test_a_worker_that_is_killed_is_replaced(folder: Path) -> None:
    with launched(folder, *WORKERS) as process:
        port = process.port()
        killed, other = pids(process)
        process.says("Workers ready: 2")
        os.kill(killed, signal.SIGKILL)
        after = pids(process, 3)
        process.says(f"Worker {killed} died [(]signal SIGKILL[)] after \\d+ s; its last words:")
        process.says("Starting another worker in 0.0 s")
        assert after > {killed, other}
        assert killed not in answering(port)
        assert process.stop() == 0


def test_a_worker_that_exits_is_replaced_each_time_after_a_longer_pause(folder: Path) -> None:
    with launched(folder, "site_of_workers:app", "--supervise") as process:
        port = process.port()
        for count, pause in enumerate(("0.0", "0.5", "1.0"), 1):
            pids(process, count)
            assert get(port, "/exit") == b""
            process.says("died [(]exit status 7[)]", count)
            process.says(f"Starting another worker in {pause} s")
        pids(process, 4)
        assert process.stop() == 0


def test_a_worker_that_has_served_its_requests_is_replaced_at_once(folder: Path) -> None:
    with launched(folder, *WORKERS, "--limit-max-requests", "1") as process:
        port = process.port()
        first = pids(process)
        assert int(get(port)) in first
        assert len(pids(process, 3)) == 3
        process.says(r"Worker \d+ has served 1 requests; starting another in its place")
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / 0\n", "ZeroDivisionError"),
        ("x = 1\n", "has no attribute 'app'"),
        (
            "async def app(scope, receive, send):\n"
            "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n",
            "The application did not start: no database",
        ),
    ],
)
def test_an_application_that_cannot_start_is_not_started_again_and_again(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "no_start.py").write_text(text)
    with launched(tmp_path, "no_start:app", "--workers", "2", "--lifespan", "on") as process:
        assert process.wait() == 3
    assert words in process.log
    assert "starting another" not in process.log


def test_the_second_sigint_cuts_what_is_in_progress(folder: Path) -> None:
    with launched(folder, *WORKERS) as process:
        port = process.port()
        pids(process)
        client = connect(port)
        ask(client, "/stream")
        received = b""
        while b"begun" not in received:
            received += client.recv(1000)
        process.send_signal(signal.SIGINT)
        process.says("Waiting up to 30 s for 1 request to end")
        process.send_signal(signal.SIGINT)
        process.says("Asked again: cancelling 1 request")
        assert process.wait() == 0
        client.close()


def test_a_unix_socket_is_removed_when_all_workers_have_stopped(folder: Path) -> None:
    with launched(folder, *WORKERS, "--uds", "s") as process:
        pids(process)
        assert (folder / "s").is_socket()
        assert process.stop() == 0
    assert not (folder / "s").exists()


def test_workers_need_a_target_they_can_import() -> None:
    async def app(*_: object) -> None: ...

    with pytest.raises(ConfigError, match="workers: several need the target as 'module:attribute'"):
        Supervisor(Config(app, workers=2))


@pytest.mark.parametrize(
    ("exitcode", "text"),
    [
        (1, "exit status 1"),
        (-9, "signal SIGKILL"),
        (-200, "signal 200"),
        (None, "exit status None"),
    ],
)
def test_the_cause_of_a_death_is_named(exitcode: int | None, text: str) -> None:
    assert cause(exitcode) == text
