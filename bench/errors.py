"""What can go wrong, told apart by whose table row it spoils."""

from __future__ import annotations

__all__ = ["BenchError", "ServerError"]


class BenchError(Exception):
    """Nothing can be measured; the text says what to do about it."""


class ServerError(Exception):
    """One server failed one row; the others go on."""
