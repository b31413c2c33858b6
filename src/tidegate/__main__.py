"""``python -m tidegate``: the same command line as ``tidegate``."""

from __future__ import annotations

from .cli import program

if __name__ == "__main__":
    program()
