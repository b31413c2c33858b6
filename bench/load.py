"""Who asks, how fast, and were the answers counted honestly?

One generator per protocol.  Each runs for a fixed time, closed loop, on the
generator's core, and says how many requests were completed and how many
failed; the bytes received must be enough for that many right answers.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import BenchError, ServerError
from .process import pin
from .rows import Request, Row

__all__ = ["GENERATORS", "Generator", "H2load", "Load", "Quic", "Sockets", "Wrk"]

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
            done = run_pinned(command, seconds, core)
        return read_summary(done.stdout, done.stderr, row.request)


class H2load:
    """HTTP/2 without TLS, by h2load: one thread, some streams at a time on each connection."""

    name = "h2load"

    def version(self) -> str:
        if shutil.which("h2load") is None:
            raise BenchError(
                "h2load, the load generator for HTTP/2, is not installed. Debian and Ubuntu:"
                " `apt-get install nghttp2-client`; Fedora and Arch: `nghttp2`"
            )
        done = subprocess.run(["h2load", "--version"], capture_output=True, text=True, timeout=10)
        return done.stdout.strip().replace("nghttp2/", "")

    def run(self, row: Row, port: int, seconds: int, core: int) -> Load:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            log = Path(folder, "requests.tsv")
            content = Path(folder, "content")
            command = [
                "h2load",
                "--threads=1",
                f"--clients={row.connections}",
                f"--max-concurrent-streams={row.streams}",
                f"--duration={seconds}",
                f"--log-file={log}",
                f"http://127.0.0.1:{port}{row.request.path}",
            ]
            if row.request.body:
                content.write_bytes(row.request.body)
                command.append(f"--data={content}")
            done = run_pinned(command, seconds, core)
            lines = log.read_text().splitlines() if log.exists() else []
        return read_h2load(done.stdout, done.stderr, lines, row.request, seconds)


class Sockets:
    """WebSocket, by our own client: one thread, an echo at a time on each connection."""

    name = "bench.sockets"

    def version(self) -> str:
        return self.name

    def run(self, row: Row, port: int, seconds: int, core: int) -> Load:
        return run_own(self.name, [port, row.connections, seconds], seconds, core)


class Quic:
    """HTTP/3, by our own client: one thread, some streams at a time on each connection."""

    name = "bench.quic"

    def version(self) -> str:
        try:
            return f"{self.name} (aioquic {importlib.metadata.version('aioquic')})"
        except importlib.metadata.PackageNotFoundError:
            raise BenchError(
                "aioquic, with which the load generator speaks HTTP/3, is not installed for"
                f" {sys.executable}: `pip install -r bench/requirements.txt` brings it;"
                " or leave the row http3 out, with --rows"
            ) from None

    def run(self, row: Row, port: int, seconds: int, core: int) -> Load:
        words = [port, row.connections, row.streams, seconds]
        return run_own(self.name, words, seconds, core)


GENERATORS: dict[str, Generator] = {
    "http1": Wrk(),
    "http2": H2load(),
    "http3": Quic(),
    "websocket": Sockets(),
}


def run_pinned(command: list[str], seconds: int, core: int) -> subprocess.CompletedProcess[str]:
    """Run a generator to its end.  Raises ``ServerError`` if that does not come in time."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds + GRACE,
            preexec_fn=pin(core),
            # Where `-m` finds our own.
            cwd=Path(__file__).parent.parent,
        )
    except subprocess.TimeoutExpired:
        raise ServerError("the load generator did not end in time") from None


def run_own(module: str, words: Sequence[int], seconds: int, core: int) -> Load:
    """Run one of our own clients, which check each answer themselves."""
    done = run_pinned([sys.executable, "-m", module, *map(str, words)], seconds, core)
    found = re.search(r"^SUMMARY (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
    if found is None:
        raise ServerError(done.stderr.strip()[-200:] or "the load generator said nothing")
    requests, microseconds, errors, p99 = map(int, found.groups())
    if requests == 0:
        raise ServerError(f"not one right answer came back under load; {errors} errors")
    return Load(requests, microseconds / 1e6, errors, p99 / 1000)


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


def read_h2load(
    output: str, complaint: str, lines: list[str], request: Request, seconds: int
) -> Load:
    """Count what h2load says; ``lines`` of its log are start, status and microseconds."""
    counts = re.search(r"(\d+) succeeded, (\d+) failed", output)
    size = re.search(r"\((\d+)\) data$", output, re.MULTILINE)
    if counts is None or size is None:
        raise ServerError(f"h2load failed: {(complaint or output).strip()[-200:]}")
    requests, errors = map(int, counts.groups())
    if requests == 0:
        raise ServerError("not one request was completed under load")
    if int(size[1]) < requests * len(request.answer):
        raise ServerError(f"{requests} answers under load came to only {size[1]} bytes")
    times = sorted(int(line.split("\t")[2]) for line in lines)
    p99 = times[int(len(times) * 0.99)] if times else 0
    return Load(requests, float(seconds), errors, p99 / 1000)
