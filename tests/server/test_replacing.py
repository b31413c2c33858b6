"""Workers are replaced under load: by reload, by age, by force; nobody else notices."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from tests.server.load import load
from tests.server.process import SECONDS, Process, ask, connect, get, launched

APPLICATION = """
import asyncio, os, sys, time

VERSION = "one"

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print(f"worker {os.getpid()} serves", file=sys.stderr, flush=True)
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    if scope["path"] == "/block":
        time.sleep(60)
    if scope["path"] == "/grow":
        app.ballast = os.urandom(96 * 1024 * 1024)
    content = str(os.getpid()) if scope["path"] == "/pid" else VERSION
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": content.encode()})
"""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "replaced.py").write_text(APPLICATION)
    return tmp_path


def served(process: Process, times: int) -> list[int]:
    """Wait until so many workers have begun to serve; return them, the last one last."""
    process.says(r"worker \d+ serves", times)
    return [int(pid) for pid in re.findall(r"worker (\d+) serves", process.log)]


@pytest.mark.parametrize("workers", [("--workers", "2"), ("--supervise",)])
def test_ten_reloads_under_load_lose_no_request(folder: Path, workers: tuple[str, ...]) -> None:
    with launched(folder, "replaced:app", *workers, "--no-access-log") as process:
        served(process, 2 if "2" in workers else 1)
        with load(process.port()) as clients:
            for count in range(1, 11):
                before = clients.total()
                process.send_signal(signal.SIGHUP)
                process.says("Reloaded", count)
                clients.wait_for(lambda: clients.total() > before + 10)  # noqa: B023
        assert clients.failures == []
        assert process.stop() == 0


def test_a_reload_brings_the_new_code_and_the_new_configuration(folder: Path) -> None:
    (folder / "tidegate.toml").write_text('app = "replaced:app"\nworkers = 1\nsupervise = true\n')
    with launched(folder) as process:
        served(process, 1)
        port = process.port()
        assert get(port) == b"one"
        (folder / "replaced.py").write_text(APPLICATION.replace('"one"', '"the second"'))
        (folder / "tidegate.toml").write_text('app = "replaced:app"\nworkers = 3\n')
        process.send_signal(signal.SIGHUP)
        process.says("Reloaded")
        served(process, 4)
        assert get(port) == b"the second"
        assert process.stop() == 0


def test_a_reload_replaces_also_the_workers_that_are_starting(folder: Path) -> None:
    source = APPLICATION.replace('"one"', 'open("version").read()').replace(
        "        await send(",
        '        print(f"worker {os.getpid()} starts", file=sys.stderr, flush=True)\n'
        '        while not os.path.exists("go"):\n'
        "            await asyncio.sleep(0.01)\n"
        "        await send(",
        1,
    )
    (folder / "replaced.py").write_text(source)
    (folder / "version").write_text("one")
    with launched(folder, "replaced:app", "--workers", "2") as process:
        process.says(r"worker \d+ starts", 2)
        (folder / "version").write_text("two")
        process.send_signal(signal.SIGHUP)
        process.says("Reloading")
        (folder / "go").touch()
        process.says("Reloaded")
        port = process.port()
        served(process, 4)
        assert {get(port) for _ in range(8)} == {b"two"}
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("tidegate.toml", 'app = "replaced:app"\nworkers = "many"\n', "Nothing is reloaded"),
        ("replaced.py", "1 / 0\n", "The new worker did not start"),
    ],
)
def test_what_cannot_be_used_is_not_reloaded(
    folder: Path, name: str, text: str, words: str
) -> None:
    (folder / "tidegate.toml").write_text('app = "replaced:app"\nworkers = 2\n')
    with launched(folder) as process:
        before = served(process, 2)
        port = process.port()
        (folder / name).write_text(text)
        process.send_signal(signal.SIGHUP)
        process.says(words)
        assert {int(get(port, "/pid")) for _ in range(8)} <= set(before)
        assert process.stop() == 0


def test_a_worker_killed_under_load_takes_only_its_own_requests_with_it(folder: Path) -> None:
    with launched(folder, "replaced:app", "--workers", "2", "--no-access-log") as process:
        served(process, 2)
        clients = [HTTPConnection("127.0.0.1", process.port(), SECONDS) for _ in range(16)]
        workers = [asked(client) for client in clients]
        killed = workers[0]
        others = [c for c, pid in zip(clients, workers, strict=True) if pid != killed]
        asking = threading.Event()
        failures: list[str] = []

        def keep_asking(client: HTTPConnection, worker: int) -> None:
            try:
                while asking.is_set():
                    if asked(client) != worker:
                        failures.append("another worker answers on the same connection")
            except (OSError, HTTPException) as error:
                failures.append(repr(error))

        asking.set()
        threads = [
            threading.Thread(target=keep_asking, args=(client, pid))
            for client, pid in zip(clients, workers, strict=True)
            if pid != killed
        ]
        for thread in threads:
            thread.start()
        os.kill(killed, signal.SIGKILL)
        process.says(f"Worker {killed} died [(]signal SIGKILL[)]")
        process.says("Starting another worker in 0.0 s")
        fresh = served(process, 3)[-1]
        with load(process.port()) as more:
            more.wait_for(lambda: more.total() > 20)
        asking.clear()
        for thread in threads:
            thread.join(SECONDS)
        assert (failures, more.failures) == ([], [])
        assert fresh not in workers
        assert len(others) == len(threads)
        for client in clients:
            client.close()
        assert process.stop() == 0


def asked(client: HTTPConnection) -> int:
    """Return the worker that answers on a connection, which stays open."""
    client.request("GET", "/pid")
    return int(client.getresponse().read())


def test_a_worker_less_is_no_connection_less(folder: Path) -> None:
    options = ("--workers", "2", "--reuse-port", "--no-access-log", "--drain-linger", "0")
    with launched(folder, "replaced:app", *options) as process:
        served(process, 2)
        process.send_signal(signal.SIGTTOU)
        process.says("Stopped")
        # The kernel must not choose a socket that nobody serves.
        assert {get(process.port()) for _ in range(40)} == {b"one"}
        assert process.stop() == 0


def test_a_blocked_worker_is_replaced_and_its_last_words_say_where_it_stood(folder: Path) -> None:
    options = ("--workers", "1", "--supervise", "--timeout-worker-healthcheck", "2", "--no-guard")
    with launched(folder, "replaced:app", *options) as process:
        (blocked,) = served(process, 1)
        client = connect(process.port())
        ask(client, "/block")
        process.says(f"Worker {blocked} hung and was killed")
        process.says(r'File ".*replaced.py", line \d+ in app')
        assert served(process, 2)[-1] != blocked
        assert get(process.port()) == b"one"
        client.close()
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("options", "path", "why"),
    [
        (("--limit-max-requests", "5"), "/", "has served 5 requests"),
        (("--max-worker-age", "1"), "/", r"is \d s old"),
        (("--max-worker-memory", "100000000"), "/grow", r"holds \d+ MB"),
    ],
)
def test_a_single_worker_is_replaced_before_it_goes(
    folder: Path, options: tuple[str, ...], path: str, why: str
) -> None:
    with launched(folder, "replaced:app", *options, "--no-access-log") as process:
        (first,) = served(process, 1)
        port = process.port()
        get(port, path)
        with load(port) as clients:
            process.says(f"Worker {first} {why}; starting another in its place")
            served(process, 2)
            clients.wait_for(lambda: clients.total() > 20)
        assert clients.failures == []
        assert process.stop() == 0


def test_ttin_and_ttou_change_the_number_of_workers(folder: Path) -> None:
    with launched(folder, "replaced:app", "--workers", "1", "--supervise") as process:
        served(process, 1)
        process.send_signal(signal.SIGTTIN)
        served(process, 2)
        process.send_signal(signal.SIGTTOU)
        process.says("Workers from now on: 1")
        process.says("Stopped")
        process.send_signal(signal.SIGTTOU)
        process.says("Workers from now on: 1", 2)
        assert get(process.port()) == b"one"
        assert process.stop() == 0


def test_workers_stop_when_their_supervisor_is_killed(folder: Path) -> None:
    with launched(folder, "replaced:app", "--workers", "2") as process:
        served(process, 2)
        process.send_signal(signal.SIGKILL)
        process.says("Stopped", 2)


def test_the_pid_file_is_there_while_we_serve(folder: Path) -> None:
    with launched(folder, "replaced:app", "--pid", "tidegate.pid") as process:
        process.says("Workers ready: 1")
        path = folder / "tidegate.pid"
        assert path.read_text().strip() == str(process.pid)
        assert process.stop() == 0
        assert not path.exists()


def test_preloaded_workers_serve(folder: Path) -> None:
    with launched(folder, "replaced:app", "--workers", "2", "--preload") as process:
        served(process, 2)
        assert get(process.port()) == b"one"
        assert process.stop() == 0


def test_each_worker_may_have_a_socket_of_its_own(folder: Path) -> None:
    with launched(folder, "replaced:app", "--workers", "2", "--reuse-port") as process:
        both = set(served(process, 2))
        port = process.port()
        deadline = time.monotonic() + SECONDS
        seen: set[int] = set()
        while seen != both and time.monotonic() < deadline:
            seen.add(int(get(port, "/pid")))
        assert seen == both
        assert process.stop() == 0


def test_several_places_are_listened_on(folder: Path) -> None:
    options = (
        "--bind",
        "127.0.0.1:0",
        "--bind",
        "[::1]:0",
        "--bind",
        "unix:s",
        "--uds-mode",
        "600",
    )
    with launched(folder, "replaced:app", *options) as process:
        port = process.port()
        other = int(process.says(r"running on http://\[::1\]:(\d+)"))
        process.says("running on unix:s")
        assert get(port) == b"one"
        with socket.create_connection(("::1", other), SECONDS) as client:
            ask(client)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert (folder / "s").stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(SECONDS)
            client.connect(str(folder / "s"))
            ask(client)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert process.stop() == 0
        assert not (folder / "s").exists()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What a service manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield line


def test_the_service_manager_is_told_of_everything(
    folder: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    told = []

    def hears(state: str) -> None:
        while not any(each.startswith(state) for each in told):
            told.extend(manager.recv(1000).decode().splitlines())
        told.clear()

    with launched(folder, "replaced:app", "--workers", "2") as process:
        hears("READY=1")
        hears("WATCHDOG=1")
        process.send_signal(signal.SIGHUP)
        hears("RELOADING=1")
        hears("READY=1")
        process.send_signal(signal.SIGTERM)
        hears("STOPPING=1")
        assert process.wait() == 0


def test_sockets_of_the_service_manager_are_served(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        activated = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); "
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
            "os.execv(sys.executable, [sys.executable, '-m', 'tidegate', 'run', *sys.argv[2:]])"
        )
        command = [sys.executable, "-c", activated, str(listener.fileno()), "replaced:app"]
        child = subprocess.Popen(
            [*command, "--workers", "2"],
            cwd=folder,
            pass_fds=[listener.fileno(), 3] if listener.fileno() != 3 else [3],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert child.stderr is not None
            for line in child.stderr:
                if "serves" in line:
                    break
            assert get(port) == b"one"
        finally:
            child.terminate()
            child.communicate(timeout=SECONDS)


def test_another_server_takes_over_without_losing_a_request(folder: Path) -> None:
    options = ("--workers", "2", "--no-access-log", "--pid", "tidegate.pid")
    with launched(folder, "replaced:app", *options) as process:
        process.says("Workers ready: 2")
        port = process.port()
        with load(port) as clients:
            clients.wait_for(lambda: clients.total() > 10)
            process.send_signal(signal.SIGUSR2)
            process.says("Ready; stopping process")
            process.says("All workers have stopped")
            before = clients.total()
            clients.wait_for(lambda: clients.total() > before + 20)
        assert clients.failures == []
        successor = int((folder / "tidegate.pid").read_text())
        assert successor != process.pid
        # It leaves the log to its successor.
        assert process.status() == 0
        assert "is no option" not in process.log
        os.kill(successor, signal.SIGTERM)
        process.says("All workers have stopped", 2)
