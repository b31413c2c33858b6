"""In which order is everything measured?

Round-robin: within a row, each round visits every server once, so that a busy
minute on the machine falls on all of them.  A server that fails a row is not
asked again for that row, and the others go on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .errors import ServerError
from .measure import MEASURES, Bench, Sample, expected_seconds
from .peers import Installation
from .rows import Row
from .servers import Server

__all__ = ["Entry", "Outcome", "measure_all", "say"]


@dataclass
class Entry:
    """What one server did on one row."""

    samples: list[Sample] = field(default_factory=list)
    failure: str = ""
    """Why there is no figure; empty if there is one."""


Outcome = dict[tuple[str, str], Entry]
"""Row and server, by name, to what came out."""


@dataclass(frozen=True)
class Step:
    """One measurement to come."""

    row: Row
    server: Server
    round: int
    rounds: int


def say(text: str, end: str = "\n") -> None:
    """Tell the person at the terminal; the tables alone go to standard output."""
    print(text, end=end, file=sys.stderr, flush=True)


def measure_all(
    bench: Bench,
    rows: Sequence[Row],
    servers: Sequence[Server],
    homes: Mapping[str, Installation],
    rounds: int,
) -> Outcome:
    """Measure every row on every server that speaks its protocol.

    ``homes`` maps a server's name to the interpreter that has it.
    """
    steps = list(plan(rows, servers, rounds))
    outcome: Outcome = {(step.row.name, step.server.name): Entry() for step in steps}
    guessed = spent = 0.0
    for number, step in enumerate(steps):
        entry = outcome[step.row.name, step.server.name]
        ahead = sum(
            expected_seconds(bench, later.row)
            for later in steps[number:]
            if not outcome[later.row.name, later.server.name].failure
        )
        if entry.failure:
            continue
        left = ahead * (spent / guessed if guessed else 1.0)
        say(
            f"[{number + 1}/{len(steps)}] {step.row.name:8} {step.server.name:14}"
            f" round {step.round}/{step.rounds}, about {clock(left)} left: ",
            end="",
        )
        begun = time.monotonic()
        try:
            home = homes[step.server.name]
            sample = MEASURES[step.row.measure](bench, step.row, step.server, home)
        except ServerError as error:
            entry.failure = str(error)
            say(f"failed: {error}")
        else:
            entry.samples.append(sample)
            say(describe(step.row, sample))
        guessed += expected_seconds(bench, step.row)
        spent += time.monotonic() - begun
    return outcome


def plan(rows: Sequence[Row], servers: Sequence[Server], rounds: int) -> Iterator[Step]:
    for row in rows:
        able = [server for server in servers if server.serves(row.protocol, row.interface)]
        count = min(rounds, row.max_rounds or rounds)
        for number in range(1, count + 1):
            for server in able:
                yield Step(row, server, number, count)


def describe(row: Row, sample: Sample) -> str:
    words = [
        f"{sample.figures[figure.key]:.{figure.digits}f} {figure.unit or figure.title}"
        for figure in row.figures
    ]
    if sample.errors:
        words.append(f"{sample.errors} errors")
    if sample.note:
        words.append(f"cut to {sample.note}")
    return ", ".join(words)


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
