"""``tidegate run`` as a child process, for what only shows in one."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

# A cold start, perhaps under coverage and beside other tests.
SECONDS = 15.0

RUN = ("-m", "tidegate", "run")

REQUEST = b"GET %b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


class Process:
    """A server and what it logs; ends with the block of ``launched``."""

    def __init__(self, folder: Path, *options: str, program: Sequence[str] = RUN) -> None:
        command = [sys.executable, *program, *options]
        if "--uds" not in options:
            command += ["--port", "0"]
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith(("TIDEGATE_", "WEB_"))},
        )
        self.pid = self._process.pid
        self.log = ""
        self._news = threading.Condition()
        self._over = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self.log += line
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def says(self, pattern: str, times: int = 1) -> str:
        """Wait until the log holds ``pattern`` so often; return the last, or its group."""

        def found() -> list[re.Match[str]]:
            return list(re.finditer(pattern, self.log))

        with self._news:
            self._news.wait_for(lambda: len(found()) >= times or self._over, SECONDS)
            if len(found()) < times:
                pytest.fail(f"the log does not say {pattern!r}:\n{self.log}")
            last = found()[-1]
            return last[1] if last.re.groups else last[0]

    def port(self) -> int:
        return int(self.says(r"running on http://127\.0\.0\.1:(\d+)"))

    def send_signal(self, signum: int) -> None:
        self._process.send_signal(signum)

    def status(self) -> int:
        """Return the exit status."""
        try:
            return self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the server did not end:\n{self.log}")

    def wait(self) -> int:
        """Return the exit status, and the log is whole."""
        status = self.status()
        self._reader.join(SECONDS)
        return status

    def stop(self) -> int:
        self.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        # Workers that outlive their supervisor hold the pipe.
        for pid in set(map(int, re.findall(r"worker (\d+) serves", self.log))):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._reader.join(SECONDS)
        assert self._process.stderr is not None
        self._process.stderr.close()


@contextmanager
def launched(folder: Path, *options: str, program: Sequence[str] = RUN) -> Iterator[Process]:
    """Run ``tidegate run``, or another program of Python's, in a folder."""
    process = Process(folder, *options, program=program)
    try:
        yield process
    finally:
        process.kill()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def ask(client: socket.socket, path: str = "/") -> None:
    client.sendall(REQUEST % path.encode())


def answer(client: socket.socket) -> bytes:
    """Return the content of the response; the connection is closed."""
    with client:
        received = b""
        while piece := client.recv(65536):
            received += piece
    return received.partition(b"\r\n\r\n")[2]


def get(port: int, path: str = "/") -> bytes:
    client = connect(port)
    ask(client, path)
    return answer(client)
