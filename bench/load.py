"""Who asks, how fast, and were the answers counted honestly?

One generator per protocol.  Each runs for a fixed time, closed loop, on the
generator's core, and says how many requests were completed and how many
failed; the bytes received must be enough for that many right answers.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import BenchError, ServerError
from .process import pin
from .rows import Request, Row

__all__ = ["GENERATORS", "Generator", "Load", "Sockets", "Wrk"]

# Beyond the time it was asked to run for, a generator may take this long.
GRACE = 15.0


@dataclass(frozen=True)
class Load:
    """What one run of a generator counted."""

    requests: int
    seconds: float
    errors: int
    p99_milliseconds: float


class Generator(Protocol):
    """A program that asks."""

    name: str

    def version(self) -> str:
        """Return its name and version.  Raises ``BenchError`` if it is not installed."""

    def run(self, row: Row, port: int, seconds: int, core: int) -> Load:
        """Ask for ``seconds`` seconds.  Raises ``ServerError`` if nothing can be counted."""


class Wrk:
    """HTTP/1.1, by wrk: one thread, many keep-alive connections, no pipelining."""

    name = "wrk"

    def version(self) -> str:
        if shutil.which("wrk") is None:
            raise BenchError(
                "wrk, the load generator, is not installed. Debian and Ubuntu:"
                " `apt-get install wrk`; Fedora: `dnf install wrk`; Arch: `pacman -S wrk`"
            )
        # It answers -v with its usage and an exit code of 1.
        answer = subprocess.run(["wrk", "-v"], capture_output=True, text=True, timeout=10)
        found = re.match(r"wrk (\S+)", answer.stdout)
        return f"wrk {found[1].removeprefix('debian/')}" if found else "wrk"

    def run(self, row: Row, port: int, seconds: int, core: int) -> Load:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            script = Path(folder, "request.lua")
            script.write_bytes(lua(row.request))
            command = [
                "wrk",
                "--threads=1",
                f"--connections={row.connections}",
                f"--duration={seconds}s",
                "--timeout=5s",
                f"--script={script}",
                f"http://127.0.0.1:{port}{row.request.path}",
            ]
            try:
                done = subprocess.run(
                    command,
                    capture_output=True,
                    text=True,
                    timeout=seconds + GRACE,
                    preexec_fn=pin(core),
                )
            except subprocess.TimeoutExpired:
                raise ServerError("the load generator did not end in time") from None
        return read_summary(done.stdout, done.stderr, row.request)


class Sockets:
    """WebSocket, by our own client: one thread, an echo at a time on each connection."""

    name = "bench.sockets"

    def version(self) -> str:
        return self.name

    def run(self, row: Row, port: int, seconds: int, core: int) -> Load:
        command = [sys.executable, "-m", "bench.sockets"]
        command += [str(port), str(row.connections), str(seconds)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=seconds + GRACE,
                preexec_fn=pin(core),
                cwd=Path(__file__).parent.parent,
            )
        except subprocess.TimeoutExpired:
            raise ServerError("the load generator did not end in time") from None
        found = re.search(r"^SUMMARY (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
        if found is None:
            raise ServerError(done.stderr.strip()[-200:] or "the load generator said nothing")
        messages, microseconds, errors, p99 = map(int, found.groups())
        if messages == 0:
            raise ServerError("not one message came back under load")
        return Load(messages, microseconds / 1e6, errors, p99 / 1000)


GENERATORS: dict[str, Generator] = {"http1": Wrk(), "websocket": Sockets()}

# `done` runs once, after the measurement, so it costs the generator nothing.
SUMMARY = b"""
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("\\nSUMMARY %d %d %d %d %d\\n", summary.requests, summary.duration,
    summary.bytes, e.connect + e.read + e.write + e.timeout + e.status, latency:percentile(99)))
end
"""


def lua(request: Request) -> bytes:
    """Return the wrk script that sends ``request`` and prints the counts."""
    lines = [b'wrk.method = "%b"' % request.method.encode()]
    if request.body:
        # Lua's decimal escapes carry any byte.
        escaped = b"".join(b"\\%03d" % byte for byte in request.body)
        lines.append(b'wrk.body = "%b"' % escaped)
        kind = request.content_type.encode()
        lines.append(b'wrk.headers["Content-Type"] = "%b"' % kind)
    return b"\n".join(lines) + SUMMARY


def read_summary(output: str, complaint: str, request: Request) -> Load:
    found = re.search(r"^SUMMARY (\d+) (\d+) (\d+) (\d+) (\d+)$", output, re.MULTILINE)
    if found is None:
        raise ServerError(f"wrk failed: {(complaint or output).strip()[-200:]}")
    requests, microseconds, size, errors, p99 = map(int, found.groups())
    if requests == 0:
        raise ServerError("not one request was completed under load")
    # wrk looks at no body.  Fewer bytes than the bodies alone need means that
    # some answers were cut short or were something else.
    if size < requests * len(request.answer):
        raise ServerError(f"{requests} answers under load came to only {size} bytes")
    return Load(requests, microseconds / 1e6, errors, p99 / 1000)
