"""What blocks an event loop, and what to use instead: the answers of ``async_map.toml``.

Calls are known by dotted names, as ``names.name_of`` gives them.  The guard
asks about calls it saw; whoever moves an application to coroutines may read
all rows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import ConfigError

__all__ = ["BLOCKING_KINDS", "TABLE", "Advice", "AsyncMap", "async_map", "in_general"]

TABLE = Path(__file__).with_name("async_map.toml")

BLOCKING_KINDS = ("sleep", "network", "database", "file", "process", "thread", "compute")
"""Kinds of rows that name what blocks; the others only matter to who moves an application."""

_THREAD = "call it in a thread: await to_thread(...)"
_PROCESS = "call it in a process pool"

_KEYS = {"patterns", "asynchronous", "blocks", "instead", "note"}


@dataclass(frozen=True, slots=True)
class Advice:
    """One row of the table."""

    library: str
    kind: str
    reason: str
    """Why it blocks, after the name of the library."""
    patterns: tuple[str, ...]
    """Dotted names; each stands for itself and for all below."""
    asynchronous: tuple[str, ...]
    """Dotted names below ``patterns`` that do not block."""
    blocks: tuple[str, ...]
    """Callables that block; ``.*`` stands for all below."""
    instead: tuple[str, ...]
    """What to use in a coroutine, best first; empty if there is nothing."""
    note: str

    def text(self, call: str = "") -> str:
        """Say in one line what to write instead of ``call``."""
        elsewhere = _PROCESS if self.kind == "compute" else _THREAD
        if not self.instead:
            return f"{call or self.library}: {elsewhere}"
        advice = f"{call or self.library} -> {' or '.join(self.instead)}"
        return advice if self.kind in ("sleep", "thread") else f"{advice}, or {elsewhere}"


class AsyncMap:
    """All rows, found by dotted name."""

    def __init__(self, rows: Iterable[Advice]) -> None:
        self.rows = tuple(rows)
        self._patterns: dict[str, Advice | None] = {}
        self._blocks: dict[str, Advice] = {}
        for row in self.rows:
            if row.kind not in BLOCKING_KINDS:
                continue
            self._patterns.update(dict.fromkeys(row.patterns, row))
            self._patterns.update(dict.fromkeys(row.asynchronous))
            self._blocks.update(dict.fromkeys(row.blocks, row))

    def find(self, name: str) -> Advice | None:
        """Return the row of what blocks that knows ``name``, by its longest pattern."""
        pattern = self._pattern_of(name)
        return self._patterns[pattern] if pattern else None

    def first(self, names: Iterable[str]) -> tuple[str, Advice] | None:
        """Return the first name that a row knows, with the row; None if it does not block.

        ``names`` are a call and what it called in turn: what asynchronous code
        calls is its own affair.
        """
        for name in names:
            pattern = self._pattern_of(name)
            if pattern:
                row = self._patterns[pattern]
                return None if row is None else (name, row)
        return None

    def blocking(self, name: str) -> Advice | None:
        """Return the row that lists this very callable as blocking."""
        found = self._blocks.get(name)
        if found is None:
            owner, _, last = name.rpartition(".")
            if not last.startswith("__"):
                found = self._blocks.get(f"{owner}.*")
        return found

    def _pattern_of(self, name: str) -> str:
        while name and name not in self._patterns:
            name = name.rpartition(".")[0]
        return name


@cache
def async_map() -> AsyncMap:
    """Return the table, read once.  Raises ``ConfigError`` if it is not one."""
    return AsyncMap(_rows(tomllib.loads(TABLE.read_text("utf-8"))))


def in_general(computed: bool) -> str:
    """Return the advice for what no row knows."""
    return _PROCESS if computed else _THREAD


def _rows(document: dict[str, Any]) -> Iterable[Advice]:
    reasons = document.pop("reasons")
    for kind, rows in document.items():
        if kind not in reasons:
            raise ConfigError(f"{TABLE.name}: [{kind}] has no reason")
        for library, row in rows.items():
            strange = row.keys() - _KEYS
            if strange or "instead" not in row:
                raise ConfigError(f"{TABLE.name}: {library}: {sorted(strange) or 'no instead'}")
            yield Advice(
                library=library,
                kind=kind,
                reason=reasons[kind],
                patterns=tuple(row.get("patterns", [library])),
                asynchronous=tuple(row.get("asynchronous", ())),
                blocks=tuple(row.get("blocks", ())),
                instead=tuple(row["instead"]),
                note=row.get("note", ""),
            )
