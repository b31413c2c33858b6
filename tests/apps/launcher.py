"""How does a test run a real server?  ``python -m tidegate run`` as a child process.

Everything is awaited through the pipe, the process or a condition, each with a
deadline: nothing here sleeps for a guessed time.  A server that dies or prints
a traceback nobody announced fails the test, with its log in the message.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

__all__ = ["TRACEBACK", "Launcher", "PeakMemory", "Server", "environment", "eventually"]

# A cold start imports a whole framework, perhaps under coverage and beside another test run.
START_TIMEOUT = 30.0
# Longer than any wait a server makes at its end, shorter than the time of a test.
STOP_TIMEOUT = 15.0
TRACEBACK = "Traceback (most recent call last)"
SERVING = re.compile(r"running on (?P<where>\S+)")
# What an operator's shell may set, and no test wants.
FOREIGN_SETTINGS = ("WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS")

Answer = TypeVar("Answer")


def eventually(predicate: Callable[[], Answer], within: float = 20.0, what: str = "") -> Answer:
    """Return the first true answer of ``predicate``; fail the test after ``within`` seconds."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within} s: {what or predicate.__name__}; last: {answer!r}")
        pause.wait(0.02)


class Server:
    """One ``tidegate run`` process, its address and its log."""

    serving = SERVING  # what it says once it serves

    def __init__(
        self,
        target: str,
        *options: str,
        app_dir: Path,
        env: Mapping[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.process = subprocess.Popen(
            self.command(target, options, app_dir),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(env),
            pass_fds=pass_fds,
        )
        self.pid = self.process.pid
        self.base_url = ""  # empty until the process says where it serves
        self._log: list[str] = []
        self._checked = 0  # log lines already looked at by check()
        self._news = threading.Condition()
        self._closed = False  # True once the pipe is at its end
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def command(self, target: str, options: tuple[str, ...], app_dir: Path) -> list[str]:
        """Return what to start."""
        # An address given in another way replaces the usual one.
        elsewhere = {"--uds", "--fd"} & set(options)
        address = () if elsewhere else ("--host", "127.0.0.1", "--port", "0")
        command = [sys.executable, "-m", "tidegate", "run", target, *address]
        return [*command, "--app-dir", str(app_dir), *options]

    @property
    def log(self) -> str:
        """All that the process has written so far, both streams in order."""
        with self._news:
            return "".join(self._log)

    @property
    def end_of_log(self) -> str:
        """What a message of a failed test shows."""
        return "".join(self.log.splitlines(keepends=True)[-60:])

    @property
    def port(self) -> int:
        """The TCP port the kernel picked."""
        return int(self.base_url.rpartition(":")[2])

    def wait_for_log(self, pattern: str | re.Pattern[str], within: float = 5.0) -> re.Match[str]:
        """Return the first match in what ``check`` has not judged yet.

        Fails the test when the time or the process ends without one.
        """
        deadline = time.monotonic() + within
        with self._news:
            while True:
                found = re.search(pattern, "".join(self._log[self._checked :]))
                if found:
                    return found
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    break
                self._news.wait(left)
        pytest.fail(f"the log never said {pattern!r}:\n{self.end_of_log}")

    def wait_until_serving(self) -> None:
        """Learn the address; fail the test if the process ends before it serves."""
        where = self.wait_for_log(self.serving, within=START_TIMEOUT)["where"]
        self.base_url = where.rstrip("/")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process and no other."""
        self.process.send_signal(number)

    def wait(self, within: float = STOP_TIMEOUT) -> int:
        """Return the exit code; a process that outlives the deadline fails the test."""
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the server did not end within {within} s:\n{self.end_of_log}")
        self._reader.join(within)
        return code

    def stop(self) -> int:
        """SIGTERM, then the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End the process whatever state it is in; never fails."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(STOP_TIMEOUT)

    def check(self) -> None:
        """Fail the test if the log gained a traceback since the last check, or the process died."""
        self.check_log()
        if self.process.poll() is not None:
            code = self.process.returncode
            pytest.fail(f"the server died with code {code}:\n{self.end_of_log}")

    def check_log(self) -> None:
        """Fail the test if the log gained a traceback since the last check."""
        with self._news:
            news = "".join(self._log[self._checked :])
            self._checked = len(self._log)
        if TRACEBACK in news:
            pytest.fail(f"the server printed a traceback:\n{news}")

    def forgive(self) -> None:
        """Take what the log holds so far as expected."""
        with self._news:
            self._checked = len(self._log)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as pipe:
            for line in pipe:
                with self._news:
                    self._log.append(line.decode("utf-8", "replace"))
                    self._news.notify_all()
        with self._news:
            self._closed = True
            self._news.notify_all()


class Launcher:
    """Starts servers, and stops whatever is left of them at the end.

    Call it like ``Server``; it returns when the server serves.
    """

    def __init__(self, app_dir: Path, kind: type[Server] = Server) -> None:
        self.app_dir = app_dir
        self.kind = kind
        self.servers: list[Server] = []

    def __call__(
        self,
        target: str,
        *options: str,
        app_dir: Path | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> Server:
        server = self.kind(
            target, *options, app_dir=app_dir or self.app_dir, env=env, pass_fds=pass_fds
        )
        self.servers.append(server)
        server.wait_until_serving()
        return server

    @contextmanager
    def opened(self) -> Iterator[Launcher]:
        """Stop every server that still runs when the block ends, and judge the logs."""
        try:
            yield self
            for server in self.servers:
                # A server the test itself has stopped was judged by the test.
                if server.process.poll() is None:
                    server.check()
                    code = server.stop()
                    server.check_log()
                    if code != 0:
                        pytest.fail(f"the server ended with code {code}:\n{server.end_of_log}")
        finally:
            for server in self.servers:
                server.kill()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child process.

    It keeps what measures coverage in child processes and what chooses the
    speed (``TIDEGATE_PURE``), and drops what an operator's shell may have set.
    """
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_SETTINGS}
    return {**kept, "PYTHONUNBUFFERED": "1", **(extra or {})}


class PeakMemory:
    """Measures by how many bytes the resident memory of a process grew at most."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            # Makes the peak start again from what is resident now (Linux, proc(5)).
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError:
            pass  # then the peak starts from the highest so far: a milder test
        self.before = self._peak()

    def growth(self) -> int:
        return self._peak() - self.before

    def _peak(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        assert found, status
        return int(found[1]) * 1024
