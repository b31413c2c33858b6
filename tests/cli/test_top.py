"""``tidegate top`` and ``tidegate ctl`` against a server that runs, in a real terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.server.process import SECONDS, Process, get, launched

from tidegate.cli import main
from tidegate.cli.screen import Seen, frame

APPLICATION = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/wait":
        await receive()
        await receive()
    await send({"type": "http.response.body", "body": b"hello"})
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "shop.py").write_text(APPLICATION)
    with launched(tmp_path, "shop:app", "--control-socket", str(tmp_path / "control")) as process:
        process.port()
        yield process


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def ask(folder: Path, *arguments: str) -> object:
    result = run("ctl", *arguments, "--socket", str(folder / "control"))
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_once_prints_one_picture(server: Process, tmp_path: Path) -> None:
    assert get(server.port()) == b"hello"
    result = run("top", "--once", "--socket", str(tmp_path / "control"))
    assert result.exit_code == 0
    assert re.match(
        r"Tidegate \S+ \| process \d+ \| 1 worker \| 0 restarts \| 1 request$", result.stdout, re.M
    )
    assert re.search(rf"^{server.pid} .* 1 +0(  http/1 1)?$", result.stdout, re.MULTILINE)
    assert "LATENCY" in result.stdout
    assert "\x1b" not in result.stdout


def test_json_is_for_programs(server: Process, tmp_path: Path) -> None:
    result = run("top", "--once", "--json", "--socket", str(tmp_path / "control"))
    picture = json.loads(result.stdout)
    assert picture["status"]["workers"][0]["pid"] == server.pid
    assert picture["stalls"] == []


def test_the_socket_is_found_in_the_settings(
    server: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegate.toml").write_text('control_socket = "control"\n')
    assert run("top", "--once").exit_code == 0
    (tmp_path / "tidegate.toml").unlink()
    monkeypatch.setenv("TIDEGATE_CONTROL_SOCKET", str(tmp_path / "control"))
    assert run("top", "--once").exit_code == 0


def test_ctl_makes_one_call(server: Process, tmp_path: Path) -> None:
    status = ask(tmp_path, "status")
    assert isinstance(status, dict)
    assert status["pid"] == server.pid
    assert ask(tmp_path, "log_level", "level=debug") == ["debug"]
    assert ask(tmp_path, "drain") is True
    assert server.wait() == 0


def test_ctl_says_what_the_server_says(server: Process, tmp_path: Path) -> None:
    result = run("ctl", "cancel", "id=5", "--socket", str(tmp_path / "control"))
    assert (result.exit_code, result.stderr) == (2, "tidegate: no request 5 is in flight\n")
    result = run("ctl", "cancel", "5", "--socket", str(tmp_path / "control"))
    assert "'5' is not NAME=VALUE" in result.stderr


def test_without_a_socket_one_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("top", "--once")
    assert result.exit_code == 2
    assert "Start it with --control-socket PATH" in result.stderr


def test_a_socket_that_nobody_answers_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    result = run("top", "--once", "--socket", path)
    assert result.stderr == f"tidegate: {path}: there is no such socket: is the server running?\n"
    (tmp_path / "control").write_text("")
    result = run("top", "--once", "--socket", path)
    assert result.stderr.startswith(f"tidegate: {path}: ")


def test_a_pipe_is_no_terminal(server: Process, tmp_path: Path) -> None:
    result = run("top", "--socket", str(tmp_path / "control"))
    assert "this is no terminal: use --once" in result.stderr


class Terminal:
    """``tidegate top`` in a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = pty.openpty()
        self._fd = ours
        command = [sys.executable, "-m", "tidegate", "top", "--socket", str(folder / "control")]
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def shows(self, pattern: str) -> None:
        """Wait until the terminal was sent this, and forget what was before."""
        while (found := re.search(pattern, self.shown)) is None:
            ready, _, _ = select.select([self._fd], [], [], SECONDS)
            if not ready:
                pytest.fail(f"the terminal does not show {pattern!r}:\n{self.shown}")
            try:
                piece = os.read(self._fd, 65536)
            except OSError:  # Linux says so at the end
                piece = b""
            if not piece:
                pytest.fail(f"it ended without showing {pattern!r}:\n{self.shown}")
            self.shown += piece.decode()
        self.shown = self.shown[found.end() :]

    def press(self, key: str) -> None:
        os.write(self._fd, key.encode())

    def wait(self) -> int:
        """Return the exit status; what is written meanwhile is read."""
        while self.process.poll() is None:
            if select.select([self._fd], [], [], SECONDS)[0]:
                try:
                    self.shown += os.read(self._fd, 65536).decode()
                except OSError:
                    return self.process.wait(SECONDS)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._fd)


@contextmanager
def terminal(folder: Path) -> Iterator[Terminal]:
    made = Terminal(folder)
    try:
        yield made
    finally:
        made.close()


def test_the_picture_is_drawn_again_and_again(server: Process, tmp_path: Path) -> None:
    with terminal(tmp_path) as screen:
        screen.shows(r"\x1b\[\?1049h.*0 requests")
        get(server.port())
        screen.shows(r"\x1b\[H.*1 request \| \d a second")
        screen.press("q")
        # The screen from before, and the cursor, come back.
        screen.shows(r"\x1b\[\?25h\x1b\[\?1049l")
        assert screen.wait() == 0


def test_keys_act(server: Process, tmp_path: Path) -> None:
    with terminal(tmp_path) as screen:
        screen.shows("q quit")
        screen.press("l")
        screen.shows("The log level is debug")
        screen.press("c")
        screen.shows("there are no certificates")
        screen.press("r")
        screen.shows("Replace the oldest worker\\?")
        screen.press("y")
        screen.shows("there is one process")
        screen.press("d")
        screen.shows("Drain and stop the server\\?")
        screen.press("n")
        screen.shows("Not done")
        screen.press("d")
        screen.shows("Drain and stop the server\\?")
        screen.press("y")
        assert server.wait() == 0
        # The terminal is as before, and one knows why.
        screen.shows("tidegate: .*control: .*")
        assert screen.wait() == 2


# The picture itself.


def seen(**changes: object) -> Seen:
    request = {
        "id": "a",
        "age": 75.0,
        "method": "GET",
        "path": "/\x1b[31mred\n",
        "client": "10.0.0.1:5",
        "at": "shop.py:5 in pay()",
    }
    worker = {
        "pid": 10,
        "age": 7300.0,
        "rss": 50_000_000,
        "requests": 100,
        "draining": False,
        "connections": {"http/1": 3, "websocket": 1},
        "in_flight": 1,
        "oldest": [request],
        **changes,
    }
    status = {"version": "1.0", "pid": 9, "restarts": 2, "workers": [worker], "orders": []}
    stall = {
        "count": 3,
        "seconds": 1.5,
        "file": "shop.py",
        "line": 7,
        "function": "pay",
        "call": "time.sleep",
        "code": "sleep(1)",
    }
    histogram = [("0.1", 0), ("0.5", 4), ("1.0", 0), ("5.0", 400), ("+Inf", 0)]
    return Seen(status, histogram, [stall], at=10.0)


def test_a_picture_shows_everything() -> None:
    before = seen(requests=80)
    before.at = 8.0
    assert frame(seen(draining=True), before, 100, 40) == [
        "Tidegate 1.0 | process 9 | 1 worker | 2 restarts | 100 requests | 10 a second",
        "",
        "WORKER       AGE      MEMORY    REQUESTS   IN FLIGHT  CONNECTIONS",
        "10         2h01m       50 MB         100           1  http/1 3, websocket 1  draining",
        "",
        "REQUESTS IN FLIGHT: 1",
        "     AGE   WORKER CLIENT                REQUEST, AND WHERE IT WAITS",
        "   1m15s       10 10.0.0.1:5            GET /?[31mred?  shop.py:5 in pay()",
        "",
        "LATENCY, SECONDS",
        "   <= 0.5 #                                        4",
        "   <= 1.0                                          0",
        "   <= 5.0 ######################################## 400",
        "",
        "WHAT BLOCKED THE EVENT LOOP",
        "     3 times      1.5 s  shop.py:7 in pay(): time.sleep",
    ]


def test_a_picture_is_cut_to_the_terminal() -> None:
    many = seen()
    worker = many.status["workers"][0]
    worker["oldest"] *= 100
    worker["in_flight"] = 5000
    lines = frame(many, None, 30, 24)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 30
    assert any(re.search(r"and 499\d more", line) for line in lines)


def test_a_server_that_does_nothing_has_little_to_show() -> None:
    idle = seen(in_flight=0, oldest=[])
    idle.histogram, idle.stalls = [("0.1", 0), ("+Inf", 0)], []
    text = "\n".join(frame(idle, None, 100, 40))
    assert "REQUESTS IN FLIGHT: 0" in text
    assert "LATENCY" not in text
    assert "BLOCKED" not in text


@pytest.mark.parametrize(
    ("age", "text"), [(1.25, "1.2s"), (59.9, "59.9s"), (3599, "59m59s"), (3 * 86400, "3d00h")]
)
def test_ages_are_short(age: float, text: str) -> None:
    assert f" {text} " in frame(seen(age=age), None, 100, 40)[3]
