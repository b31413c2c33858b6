"""Is this failure of an application just the news that its client has left?"""

from __future__ import annotations

import asyncio

from ..errors import ClientDisconnected

__all__ = ["only_disconnected"]


def only_disconnected(error: BaseException | None) -> bool:
    """Say whether ``error`` is, wraps or groups nothing but our own disconnect error."""
    while error is not None:
        if isinstance(error, ClientDisconnected | asyncio.CancelledError):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(only_disconnected(inner) for inner in error.exceptions)
        error = error.__cause__ or error.__context__
    return False
