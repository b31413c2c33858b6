"""What does this run on?  The cores to pin to, and the words for the report."""

from __future__ import annotations

import os
import platform
import resource
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cores", "busy_seconds", "cpu_model", "kernel", "own_seconds", "raise_file_limit"]

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """Where the server and the load generator run."""

    server: int
    generator: int

    @property
    def shared(self) -> bool:
        """Whether both had to take the same core."""
        return self.server == self.generator

    def words(self) -> str:
        """Return one line on the pinning, for the report."""
        if self.shared:
            return (
                f"one core only: server and generator share core {self.server}, so requests/s and"
                " the percentile mean little, and CPU per request is less steady"
            )
        return f"server on core {self.server}, load generator on core {self.generator}"

    @classmethod
    def choose(cls) -> Cores:
        """Take the first two cores that this process may use, or one twice."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1] if len(usable) > 1 else usable[0])


def busy_seconds(cores: Cores) -> float:
    """Return for how long the two cores have worked for anyone since boot."""
    total = 0
    wanted = {f"cpu{cores.server}", f"cpu{cores.generator}"}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *times = line.split()
        if name in wanted:
            user, nice, system, _idle, _iowait, irq, softirq, *rest = map(int, times)
            stolen = rest[0] if rest else 0
            total += user + nice + system + irq + softirq + stolen
    return total / TICKS


def own_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def cpu_model() -> str:
    """Return the processor's name for itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()


def kernel() -> str:
    """Return the kernel's version, without what a distribution adds to it."""
    return f"{platform.system()} {platform.release().partition('-')[0]}"


def raise_file_limit(wanted: int) -> int:
    """Allow this process and its children ``wanted`` open files; return what is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft if soft != resource.RLIM_INFINITY else wanted
