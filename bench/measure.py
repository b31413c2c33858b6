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

from .client import await_answer, check_answer, free_port, idle_connections
from .errors import ServerError
from .load import GENERATORS
from .machine import Cores, busy_seconds, own_seconds
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


class Started(ServerProcess):
    """A server of one row, answering on ``port``."""

    def __init__(self, bench: Bench, row: Row, server: Server, home: Installation) -> None:
        self.port = free_port()
        command = server.command(row.interface, row.app, home.python, self.port)
        super().__init__(command, home.environment(server), bench.cores.server)
        try:
            self.startup = await_answer(self, self.port, row.request)
        except BaseException:
            self.stop()
            raise


def load(bench: Bench, row: Row, server: Server, home: Installation) -> Sample:
    """Measure CPU time per request under a closed loop of requests."""
    generator = GENERATORS[row.protocol]
    with Started(bench, row, server, home) as started:
        generator.run(row, started.port, WARM_UP, bench.cores.generator)
        wall, busy, own, cpu = clocks(bench, started)
        result = generator.run(row, started.port, bench.seconds, bench.cores.generator)
        wall, busy, own, cpu = (
            after - before
            for after, before in zip(clocks(bench, started), (wall, busy, own, cpu), strict=True)
        )
        confirm(started, row)
    count = 1 if bench.cores.shared else 2
    figures = {
        "cpu": cpu / result.requests * 1e6,
        "rate": result.requests / result.seconds,
        "core": cpu / wall * 100,
        "p99": result.p99_milliseconds,
    }
    return Sample(figures, result.errors, max(0.0, (busy - own - cpu) / (wall * count)))


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
    measure.__name__: measure for measure in (load, startup, idle, soak)
}


def expected_seconds(bench: Bench, row: Row) -> float:
    """Guess how long one sample takes, for the first estimates of the time left."""
    known = {"load": bench.seconds + WARM_UP + 1.5, "startup": 2.5, "idle": 5.0}
    return known.get(row.measure, 60.0)


def clocks(bench: Bench, started: Started) -> tuple[float, float, float, float]:
    return (
        time.monotonic(),
        busy_seconds(bench.cores),
        own_seconds(),
        started.cpu_seconds(),
    )


def settled_memory(started: Started) -> int:
    time.sleep(SETTLE)
    return started.memory_bytes()


def confirm(started: Started, row: Row) -> None:
    """Check that the server still stands and still answers rightly."""
    if not started.running():
        raise ServerError(f"ended while it was measured: {started.last_words()}")
    try:
        check_answer(started.port, row.request)
    except OSError as error:
        raise ServerError(f"no longer answers: {error}") from error
