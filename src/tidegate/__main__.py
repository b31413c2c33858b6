"""``python -m tidegate``: the same command line as ``tidegate``."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
