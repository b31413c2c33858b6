"""How is one row measured on one server, once?

Each function starts a fresh server, makes sure that it answers rightly, takes
its figures, and stops it again.  Each raises ``ServerError`` if the server does
not do its part, and ends within a time limit of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .certificate import own_certificate
from .client import await_answer, check_answer, free_port, idle_connections
from .crowd import Crowd
from .errors import ServerError
from .load import GENERATORS
from .machine import Cores, busy_seconds, own_seconds, raise_file_limit
from .peers import Installation
from .process import ServerProcess
from .rows import Row
from .servers import Server

__all__ = ["MEASURES", "Bench", "Sample", "expected_seconds"]

WARM_UP = 1
STARTS = 3
"""Starts per sample of the start-up row; its figure is their median."""
SETTLE = 0.5
"""Seconds between the last request and a look at the memory."""
SOAK_WARM_UP = 100_000
SOAK_REQUESTS = 1_000_000
# At 200 us a request, a million takes 200 s; slower servers are cut short and
# the report says after how many requests.
SOAK_TIMEOUT = 300.0
BROADCASTS = 100
SPARE_FILES = 200
"""Open files of a client or a server besides its connections, with room."""


@dataclass(frozen=True)
class Bench:
    """What every measurement of one run shares."""

    cores: Cores
    seconds: int


@dataclass(frozen=True)
class Sample:
    """The figures of one measurement, by the keys of the row's columns."""

    figures: Mapping[str, float]
    errors: int = 0
    """Requests under load that failed or were not answered with success."""
    foreign: float | None = None
    """Share of both cores that went to anything but this benchmark; None if not known."""
    note: str = ""
    """What was done otherwise than the row's title says; empty if nothing was."""


class Started(ServerProcess):
    """A server of one row, answering on ``port``."""

    def __init__(self, bench: Bench, row: Row, server: Server, home: Installation) -> None:
        self.port = free_port()
        words = {"python": home.python, "port": str(self.port)}
        self.trust = None
        """Whom a client must trust; None where the row is served without TLS."""
        if row.protocol == "http3":
            pair = own_certificate()
            words |= {"certificate": pair.certificate, "key": pair.key}
            self.trust = pair.trust()
        command = server.command(row, words)
        super().__init__(command, home.environment(server), bench.cores.server)
        try:
            self.startup = await_answer(self, self.port, row.request, self.trust)
        except BaseException:
            self.stop()
            raise


def load(bench: Bench, row: Row, server: Server, home: Installation) -> Sample:
    """Measure CPU time per request under a closed loop of requests."""
    generator = GENERATORS[row.protocol]
    with Started(bench, row, server, home) as started:
        generator.run(row, started.port, WARM_UP, bench.cores.generator)
        before = clocks(bench, started)
        result = generator.run(row, started.port, bench.seconds, bench.cores.generator)
        usage = used_since(before, bench, started)
        confirm(started, row)
    figures = {
        "cpu": usage.cpu / result.requests * 1e6,
        "rate": result.requests / result.seconds,
        "core": usage.cpu / result.seconds * 100,
        "p99": result.p99_milliseconds,
    }
    return Sample(figures, result.errors, usage.foreign)


def startup(bench: Bench, row: Row, server: Server, home: Installation) -> Sample:
    """Measure the time from the start of the process to its first response."""
    times = []
    for _ in range(STARTS):
        with Started(bench, row, server, home) as started:
            times.append(started.startup * 1000)
    return Sample({"startup": statistics.median(times)})


def idle(bench: Bench, row: Row, server: Server, home: Installation) -> Sample:
    """Measure an idle server's memory, alone and with idle connections."""
    with Started(bench, row, server, home) as started:
        for _ in range(100):
            confirm(started, row)
        alone = settled_memory(started)
        with idle_connections(started.port, row.request, row.connections):
            full = settled_memory(started)
    each = (full - alone) / row.connections
    return Sample({"memory": alone / 1e6, "connection": each / 1e3})


def broadcast(bench: Bench, row: Row, server: Server, home: Installation) -> Sample:
    """Measure the memory of idle WebSockets, and what a message to all of them costs."""
    files = raise_file_limit(row.connections + SPARE_FILES)
    wanted = min(row.connections, files - SPARE_FILES)
    # The leader is there before the first look at the memory, and with it what
    # a server loads for its first WebSocket.
    with Started(bench, row, server, home) as started, Crowd(started.port) as crowd:
        for _ in range(100):
            confirm(started, row)
        alone = settled_memory(started)
        opened = crowd.open(wanted)
        full = settled_memory(started)
        before = clocks(bench, started)
        result = crowd.broadcast(BROADCASTS)
        usage = used_since(before, bench, started)
        confirm(started, row)
    if not result.delivered:
        raise ServerError("delivered not one message")
    figures = {
        "cpu": usage.cpu / result.delivered * 1e6,
        "socket": (full - alone) / opened / 1e3,
        "rate": result.delivered / result.seconds,
        "core": usage.cpu / result.seconds * 100,
        "sockets": opened,
        "lost": result.lost,
    }
    cuts = []
    if wanted < row.connections:
        cuts.append(f"{wanted:,} sockets, as only {files:,} files may be open (`ulimit -n`)")
    if opened < wanted:
        cuts.append(f"{opened:,} sockets, as the time for opening them was over")
    if result.messages < BROADCASTS:
        cuts.append(f"{result.messages} messages, as the time for sending them was over")
    return Sample(figures, result.lost + result.wrong, usage.foreign, "; ".join(cuts))


def soak(bench: Bench, row: Row, server: Server, home: Installation) -> Sample:
    """Measure how much memory a million requests leave behind."""
    generator = GENERATORS[row.protocol]
    deadline = time.monotonic() + SOAK_TIMEOUT
    with Started(bench, row, server, home) as started:

        def ask(wanted: int) -> tuple[int, int]:
            requests = errors = 0
            while requests < wanted and time.monotonic() < deadline:
                result = generator.run(row, started.port, 2, bench.cores.generator)
                requests += result.requests
                errors += result.errors
            return requests, errors

        _, early = ask(SOAK_WARM_UP)
        before = settled_memory(started)
        requests, late = ask(SOAK_REQUESTS)
        after = settled_memory(started)
        confirm(started, row)
    if not requests:
        raise ServerError("was too slow to get past the warm-up")
    figures = {"growth": (after - before) / 1e3, "memory": after / 1e6, "requests": requests}
    return Sample(figures, early + late)


Measure = Callable[[Bench, Row, Server, Installation], Sample]
MEASURES: dict[str, Measure] = {
    measure.__name__: measure for measure in (load, startup, idle, broadcast, soak)
}


def expected_seconds(bench: Bench, row: Row) -> float:
    """Guess how long one sample takes, for the first estimates of the time left."""
    known = {"load": bench.seconds + WARM_UP + 1.5, "startup": 2.5, "idle": 5.0, "broadcast": 40.0}
    return known.get(row.measure, 60.0)


@dataclass(frozen=True)
class Usage:
    """What a stretch of time cost."""

    cpu: float
    """Seconds of the server's process tree."""
    foreign: float
    """Share of both cores that went to anything but this benchmark."""


Clocks = tuple[float, float, float, float]


def clocks(bench: Bench, started: Started) -> Clocks:
    return (
        time.monotonic(),
        busy_seconds(bench.cores),
        own_seconds(),
        started.cpu_seconds(),
    )


def used_since(before: Clocks, bench: Bench, started: Started) -> Usage:
    now = clocks(bench, started)
    wall, busy, own, cpu = (late - early for late, early in zip(now, before, strict=True))
    count = 1 if bench.cores.shared else 2
    return Usage(cpu, max(0.0, (busy - own - cpu) / (wall * count)))


def settled_memory(started: Started) -> int:
    time.sleep(SETTLE)
    return started.memory_bytes()


def confirm(started: Started, row: Row) -> None:
    """Check that the server still stands and still answers rightly."""
    if not started.running():
        raise ServerError(f"ended while it was measured: {started.last_words()}")
    try:
        check_answer(started.port, row.request, started.trust)
    except OSError as error:
        raise ServerError(f"no longer answers: {error}") from error
