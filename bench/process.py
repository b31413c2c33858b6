"""What does a started server cost?  Its whole process tree is counted.

Everything is read from ``/proc``, so this works on Linux only.  A process is
part of the tree if it is in the session that the server was started in, or
descends from one that is; nothing else is ever read or stopped.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["ServerProcess"]

TICKS = os.sysconf("SC_CLK_TCK")
STOP_TIMEOUT = 8.0


@dataclass(frozen=True)
class Member:
    """One process, as ``/proc/PID/stat`` shows it."""

    pid: int
    parent: int
    session: int
    cpu_ticks: int
    """User and system time, with that of children that have already ended."""
    started: int
    """Ticks after boot.  With the pid it names a process for good."""


class ServerProcess:
    """A server that was started, and every process below it.

    Use it as a context manager: leaving stops the whole tree.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], core: int) -> None:
        """Start ``command`` on one core, in an empty folder that is also its home.

        Empty, because ``python -m`` looks for modules there before anywhere
        else; a home, because some servers leave a control socket in theirs.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        self._log = tempfile.TemporaryFile(prefix="bench-")  # noqa: SIM115
        self.started_at = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            env={**environment, "HOME": self._folder.name},
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=pin(core),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def running(self) -> bool:
        """Say whether the process that was started is still there."""
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """Return user and system time of the tree so far."""
        return sum(member.cpu_ticks for member in tree(self._process.pid)) / TICKS

    def memory_bytes(self) -> int:
        """Return the proportional set size: pages shared n ways count 1/n."""
        return sum(proportional_size(member.pid) for member in tree(self._process.pid))

    def last_words(self) -> str:
        """Return the last line that the server printed, for an error message."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        spoken = [line.strip() for line in lines if line.strip()]
        return spoken[-1] if spoken else "it printed nothing"

    def stop(self) -> None:
        """Ask the server to stop; kill by pid what has not stopped in time."""
        members = tree(self._process.pid)
        if self.running():
            self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT
        while time.monotonic() < deadline and (self.running() or alive(members)):
            time.sleep(0.01)
        for member in alive(members + tree(self._process.pid)):
            try:
                os.kill(member.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()
        self._log.close()
        self._folder.cleanup()


def pin(core: int) -> Callable[[], None]:
    """Return what a child runs before its program, to stay on one core."""
    return lambda: os.sched_setaffinity(0, {core})


def tree(root: int) -> list[Member]:
    """Return the members of the tree that began with ``root``."""
    everyone = [member for member in map(read_member, pids()) if member is not None]
    found = {member.pid: member for member in everyone if member.session == root}
    grew = True
    while grew:
        below = [one for one in everyone if one.parent in found and one.pid not in found]
        found.update((member.pid, member) for member in below)
        grew = bool(below)
    return list(found.values())


def alive(members: list[Member]) -> list[Member]:
    """Return those members that still run, as the same processes."""
    now = ((member, read_member(member.pid)) for member in members)
    return [old for old, new in now if new is not None and new.started == old.started]


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read_member(pid: int) -> Member | None:
    """Return one process, or None if it is gone or already a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # proc(5): the name (field 2) is in brackets and may hold spaces and
    # brackets itself; fields[0] is field 3, the state.
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Member(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        cpu_ticks=sum(map(int, fields[11:15])),
        started=int(fields[19]),
    )


def proportional_size(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
