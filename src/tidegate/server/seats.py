"""Which worker takes the next connection?  One that has not clearly more than the others.

Each worker has a seat in memory that all share, and writes there how many
connections it has.  One above the mean leaves the next to others.  It does not
wait for those that do not come, because they are blocked or gone: the numbers
decide who is first, and never who is served.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import MutableSequence

__all__ = ["Seat", "Seats"]

# More workers than this still serve, but do without turns.
_MOST = 256

# A worker has clearly more than the others above the mean times this, and a few.
_CLEARLY = 1.125
_FEW = 2

# In front of the seats: how many have ever been in use.
_USED = 0

Cells = MutableSequence[int]
"""Whole numbers from 0 to 2**32 - 1; the size of the seats, then their figures."""


class Seats:
    """The memory that workers share; their supervisor says who sits where."""

    def __init__(self, cells: Cells | None = None) -> None:
        self._cells: Cells = (
            multiprocessing.RawArray("I", 1 + 2 * _MOST) if cells is None else cells
        )
        self._taken: set[int] = set()

    def take(self) -> Seat | None:
        """Return a free seat, for one worker; None if there is none."""
        free = (number for number in range(_MOST) if number not in self._taken)
        number = next(free, None)
        if number is None:
            return None
        self._taken.add(number)
        self._cells[_USED] = max(self._cells[_USED], number + 1)
        return Seat(self._cells, number)

    def give_back(self, seat: Seat) -> None:
        """Its worker is gone, perhaps without a word."""
        seat.leave()
        self._taken.discard(seat.number)


class Seat:
    """One worker's place; it can be given to a process when that is started."""

    def __init__(self, cells: Cells, number: int) -> None:
        self.number = number
        self._cells = cells
        # Of each seat: 0 if nobody takes connections there, else one more than it has.
        self._held = 1
        # Of each seat: how often somebody there was asked to take one.
        self._asked = 1 + _MOST
        # How often others had been asked when we left a connection to them, and
        # those who did not come then, for as long as that is all we know of them.
        self._before: list[int] = []
        self._absent: dict[int, int] = {}

    def hold(self, connections: int) -> None:
        """Tell how many connections we have."""
        self._cells[self._held + self.number] = connections + 1

    def leave(self) -> None:
        """We take no connections any more."""
        self._cells[self._held + self.number] = 0

    def is_ours(self) -> bool:
        """Somebody connects: say whether we should take it."""
        self._cells[self._asked + self.number] += 1
        held = self._column(self._held)
        if self._absent:
            self._forget_who_came()
            held = [each for number, each in enumerate(held) if number not in self._absent]
        here = [each for each in held if each]
        mine = self._cells[self._held + self.number]
        # So little more is not worth a pause; where connections are short, there
        # is always somebody who has a few more.
        return mine * len(here) <= sum(here) * _CLEARLY + _FEW * len(here)

    def leave_to_others(self) -> None:
        """Remember who was there when we took nothing."""
        self._before = self._column(self._asked)

    def nobody_came(self) -> None:
        """What we left is still there: do not wait again for those who have not stirred."""
        asked = self._column(self._asked)
        for number, before in enumerate(self._before):
            if asked[number] == before and number != self.number:
                self._absent[number] = before

    # -- private -------------------------------------------------------------

    def _forget_who_came(self) -> None:
        asked = self._column(self._asked)
        self._absent = {
            number: before for number, before in self._absent.items() if asked[number] == before
        }

    def _column(self, first: int) -> list[int]:
        return list(self._cells[first : first + self._cells[_USED]])
