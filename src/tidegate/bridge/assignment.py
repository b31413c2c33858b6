"""Where does the operator want a named pool to run?  What a program says comes second.

The server fills this from ``[pools.NAME]`` before it loads an application;
whoever makes a pool of that name looks here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

__all__ = ["Assignment", "assigned", "assignment_of"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Backend as ``open_pool`` takes it; without ``workers`` as many as usual."""

    backend: str
    workers: int | None = None
    max_queue: int = 1000

    @property
    def kind(self) -> Literal["thread", "process"]:
        """Whether functions stay in this process, or must be able to leave it."""
        return "thread" if self.backend == "thread" else "process"


_assignments: dict[str, Assignment] = {}


def assignment_of(name: str) -> Assignment | None:
    """Return what the operator said about a pool, None if that is nothing."""
    return _assignments.get(name)


@contextmanager
def assigned(assignments: Mapping[str, Assignment]) -> Iterator[None]:
    """Let pools made in this block run where these assignments say."""
    before = _assignments.copy()
    _assignments.update(assignments)
    try:
        yield
    finally:
        _assignments.clear()
        _assignments.update(before)
