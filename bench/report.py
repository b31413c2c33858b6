"""What came out?  The tables, as Markdown.

Each figure is the median of its rounds.  A server with errors on a row keeps
its figure, marked, but is never taken for the best peer.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .rows import Figure, Row
from .run import Entry, Outcome
from .servers import BASELINES, Server

__all__ = ["Facts", "Standing", "markdown", "number", "standings"]

MARK = "(!)"


@dataclass(frozen=True)
class Facts:
    """What a reader must know to judge the figures."""

    date: str
    python: str
    machine: str
    generators: str
    method: str
    versions: Sequence[str]
    """Each server with its version, Tidegate also with its speed."""
    missing: Sequence[str]


@dataclass(frozen=True)
class Standing:
    """One server's place in one column."""

    server: Server
    value: float
    errors: int
    rounds: int
    spread: float
    """Largest minus smallest round, as a share of the median."""


def standings(
    row: Row, figure: Figure, servers: Sequence[Server], outcome: Outcome
) -> list[Standing]:
    """Return what was measured, in the order of ``servers``."""
    found = []
    for server in servers:
        entry = outcome.get((row.name, server.name), Entry())
        values = [sample.figures[figure.key] for sample in entry.samples]
        if values and not entry.failure:
            middle = statistics.median(values)
            spread = (max(values) - min(values)) / middle if middle else 0.0
            errors = sum(sample.errors for sample in entry.samples)
            found.append(Standing(server, middle, errors, len(values), spread))
    return found


def markdown(facts: Facts, rows: Sequence[Row], servers: Sequence[Server], outcome: Outcome) -> str:
    """Return the whole report."""
    lines = ["# Tidegate beside its peers", "", *introduce(facts, outcome), ""]
    lines += ["## Summary", "", *summary(rows, servers, outcome), ""]
    for row in rows:
        lines += [f"## {row.title}", "", *table(row, servers, outcome), ""]
    return "\n".join(lines).rstrip() + "\n"


def introduce(facts: Facts, outcome: Outcome) -> list[str]:
    lines = [
        f"* {facts.date}, {facts.python}, {facts.generators}",
        f"* {facts.machine}",
        f"* {', '.join(map(str.strip, facts.versions))}",
        f"* {facts.method}",
    ]
    foreign = [
        sample.foreign
        for entry in outcome.values()
        for sample in entry.samples
        if sample.foreign is not None
    ]
    if foreign:
        lines.append(
            "* Other work on these cores while load was measured:"
            f" {statistics.median(foreign):.1%} of their time in the median round,"
            f" {max(foreign):.1%} in the worst"
        )
    if facts.missing:
        lines.append(f"* Not installed, so not measured: {', '.join(facts.missing)}")
    return lines


def summary(rows: Sequence[Row], servers: Sequence[Server], outcome: Outcome) -> list[str]:
    """One line per server, one column per ranked figure; the best is bold."""
    columns = [(row, figure) for row in rows for figure in row.figures if figure.ranked]
    if not columns:
        return ["None of these rows ranks the servers."]
    heads = [f"{row.name}: {titled(figure)}" for row, figure in columns]
    cells: dict[str, list[str]] = {server.name: [] for server in servers}
    for row, figure in columns:
        found = {one.server.name: one for one in standings(row, figure, servers, outcome)}
        clean = [one.value for one in found.values() if not one.errors]
        for name, line in cells.items():
            if name not in found:
                line.append("failed" if outcome.get((row.name, name), Entry()).failure else "")
                continue
            text = number(found[name], figure)
            best = bool(clean) and found[name].value == min(clean) and not found[name].errors
            line.append(f"**{text}**" if best else text)
    body = [[name, *line] for name, line in cells.items()]
    return grid(["server", *heads], body)


def table(row: Row, servers: Sequence[Server], outcome: Outcome) -> list[str]:
    """Everything about one row, fastest first, with ratios and notes."""
    ranked = {figure.key: standings(row, figure, servers, outcome) for figure in row.figures}
    heads = ["server"]
    columns: list[dict[str, str]] = []
    for figure in row.figures:
        found = ranked[figure.key]
        heads.append(titled(figure))
        columns.append({one.server.name: number(one, figure) for one in found})
        if figure.ranked:
            for title, reference in references(found):
                heads.append(f"x {title}")
                columns.append(ratios(found, reference))
    first = ranked[row.figures[0].key]
    heads.append("spread of rounds")
    columns.append({one.server.name: f"{one.spread:.0%}" for one in first if one.rounds > 1})
    order = [one.server.name for one in sorted(first, key=lambda one: one.value)]
    body = [[name, *(column.get(name, "") for column in columns)] for name in order]
    notes = [
        f"* {MARK} {one.server.name}: {one.errors} requests failed over all rounds."
        for one in first
        if one.errors
    ]
    notes += [
        f"* {server.name}: cut to {note}."
        for server in servers
        for note in dict.fromkeys(
            sample.note for sample in outcome.get((row.name, server.name), Entry()).samples
        )
        if note
    ]
    notes += [
        f"* {server.name}: no figure: {entry.failure}."
        for server in servers
        if (entry := outcome.get((row.name, server.name), Entry())).failure
    ]
    return [*grid(heads, body), *([""] if notes else []), *notes]


def references(found: Sequence[Standing]) -> list[tuple[str, float]]:
    """Return what to compare with: the baseline and the best peer, where measured."""
    peers = [one for one in found if not one.server.ours]
    chosen = [(one.server.name, one.value) for one in peers if one.server.name in BASELINES]
    clean = [one for one in peers if not one.errors]
    if clean:
        best = min(clean, key=lambda one: one.value)
        chosen.append((f"best peer ({best.server.name})", best.value))
    return chosen


def ratios(found: Sequence[Standing], reference: float) -> dict[str, str]:
    if reference <= 0:
        return {}
    return {one.server.name: f"{one.value / reference:.2f}" for one in found}


def titled(figure: Figure) -> str:
    return f"{figure.title}, {figure.unit}" if figure.unit else figure.title


def number(one: Standing, figure: Figure) -> str:
    """Return a figure as it is printed, with its mark if there were errors."""
    text = f"{one.value:,.{figure.digits}f}"
    return f"{text} {MARK}" if one.errors else text


def grid(heads: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table: names to the left, numbers to the right."""
    rule = ["---"] + ["---:"] * (len(heads) - 1)
    return [f"| {' | '.join(cells)} |" for cells in (heads, rule, *body)]
