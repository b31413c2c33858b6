"""What ``send`` returns when there is nothing to wait for."""

from __future__ import annotations

from collections.abc import Coroutine
from types import TracebackType
from typing import Any, NoReturn

__all__ = ["SENT"]


class _Sent(Coroutine[Any, Any, None]):
    """An awaitable that is done already: no coroutine, no turn of the loop.

    It is also a coroutine, so that ``create_task(send(...))`` works.  It holds
    no state and may be awaited any number of times.
    """

    __slots__ = ()

    # The iterator of an empty tuple ends at once, in C.
    __await__: Any = ().__iter__

    def send(self, value: Any) -> NoReturn:
        raise StopIteration

    def throw(
        self,
        typ: Any,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> NoReturn:
        raise typ

    def close(self) -> None:
        return None


SENT: Coroutine[Any, Any, None] = _Sent()
