"""May this request begin now, later, or not at all?

What every request passes where there are limits: how much content it may
have, how long it may take, and how many may be in progress at once.  Where
there are none, nobody asks here.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ..http import field
from .deadline import Deadlines

if TYPE_CHECKING:
    from .http import HttpExchange
    from .service import Policy

__all__ = ["Admission", "Complain", "Entrance", "entrance_of"]

Complain: TypeAlias = Callable[[object, str, str], None]

_RETRY_AFTER = field(b"retry-after", b"1")


class Admission:
    """Lets ``limit`` requests be in progress, and ``room`` more wait in their order.

    Who has waited ``patience`` seconds is told 503, and so is who finds no room.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit: int, room: int, patience: float
    ) -> None:
        self._loop = loop
        self._limit = limit
        self._room = room
        self._patience = patience
        self._active: set[HttpExchange] = set()
        self._line: OrderedDict[HttpExchange, float] = OrderedDict()  # how long each waits at most
        self._timer: asyncio.TimerHandle | None = None  # None while nobody waits
        self._due = False  # somebody will let the next one in
        self.waits = 0  # how many have waited so far, whatever came of it
        self.waited = 0.0  # seconds, all of them together

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    def admit(self, exchange: HttpExchange, complain: Complain) -> None:
        """Let it begin, or wait, or tell it to come again."""
        if len(self._active) < self._limit and not self._line:
            self._begin(exchange)
        elif len(self._line) < self._room:
            self._line[exchange] = self._loop.time() + self._patience
            self._watch()
        else:
            reason = "more requests at once than --limit-concurrency allows"
            complain(exchange.out.client, reason, "503")
            _refuse(exchange)

    def leave(self, exchange: HttpExchange) -> None:
        """The call is over: the next one may begin."""
        self._active.discard(exchange)
        if self._line and not self._due:
            # In the next turn: this is still the call of another request.
            self._due = True
            self._loop.call_soon(self._let_in, context=exchange.service.context)

    def _let_in(self) -> None:
        self._due = False
        while self._line and len(self._active) < self._limit:
            exchange = self._next()
            if not (exchange.gone or exchange.complete):
                self._begin(exchange)

    def _begin(self, exchange: HttpExchange) -> None:
        exchange.begin()
        if exchange in exchange.service.running:
            self._active.add(exchange)

    def _watch(self) -> None:
        """Look again when the first in line has waited long enough."""
        if self._timer is None and self._line:
            self._timer = self._loop.call_at(next(iter(self._line.values())), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._line and next(iter(self._line.values())) <= now:
            exchange = self._next()
            if not (exchange.gone or exchange.complete):
                _refuse(exchange)
        self._watch()

    def _next(self) -> HttpExchange:
        """Take the first out of the line."""
        exchange, at_most = self._line.popitem(last=False)
        self.waits += 1
        self.waited += self._loop.time() - (at_most - self._patience)
        return exchange


def entrance_of(
    policy: Policy,
    loop: asyncio.AbstractEventLoop,
    complain: Complain,
    admission: Admission | None = None,
) -> Entrance | None:
    """Return what enforces a policy, None if it limits nothing; ``admission`` may be shared."""
    if admission is None and policy.limit_concurrency is not None:
        room, patience = policy.limit_queue, policy.queue_timeout
        admission = Admission(loop, policy.limit_concurrency, room, patience)
    deadlines = None
    if policy.timeout_request is not None or policy.timeout_header is not None:
        deadlines = Deadlines(loop, policy.timeout_request, policy.timeout_header)
    if admission is None and deadlines is None and policy.max_body_size is None:
        return None
    return Entrance(admission, deadlines, policy.max_body_size, complain)


class Entrance:
    """The way of every request to its application."""

    def __init__(
        self,
        admission: Admission | None,
        deadlines: Deadlines | None,
        max_body_size: int | None,
        complain: Complain,
    ) -> None:
        self.admission = admission  # None: any number at once
        self.deadlines = deadlines  # None: as long as they like
        self._max_body_size = max_body_size  # None: what the protocol lets through
        self._complain = complain

    def enter(self, exchange: HttpExchange) -> None:
        """Begin the call, now or later, or answer in its place."""
        limit = self._max_body_size
        if limit is not None and exchange.expects_more_than(limit):
            exchange.refuse_content(limit)
            return
        if self.deadlines is not None:
            self.deadlines.watch(exchange)
        if self.admission is not None:
            self.admission.admit(exchange, self._complain)
        else:
            exchange.begin()
        if exchange.complete and self.deadlines is not None:
            self.deadlines.forget(exchange)

    def leave(self, exchange: HttpExchange) -> None:
        """A call that had to wait is over."""
        if self.deadlines is not None:
            self.deadlines.forget(exchange)
        if self.admission is not None:
            self.admission.leave(exchange)


def _refuse(exchange: HttpExchange) -> None:
    exchange.answer(503, b"Service Unavailable", [_RETRY_AFTER])
