"""Which of several workers takes the next connection, in numbers."""

from __future__ import annotations

import random

import pytest

from tidegate.server.seats import Seat, Seats


class Table:
    """Workers with connections, in one process."""

    def __init__(self, *connections: int) -> None:
        self.seats = Seats([0] * 1000)
        self.workers: list[Seat] = []
        self.counts: list[int] = []
        for count in connections:
            self.sit_down(count)

    def sit_down(self, connections: int = 0) -> Seat:
        seat = self.seats.take()
        assert seat is not None
        self.workers.append(seat)
        self.counts.append(0)
        self.change(seat, connections)
        return seat

    def change(self, seat: Seat, by: int) -> None:
        place = self.workers.index(seat)
        self.counts[place] += by
        seat.hold(self.counts[place])

    def offer(self, *order: Seat) -> None:
        """Wake workers in this order, until one takes the connection."""
        taker = next(seat for seat in order if seat.is_ours())
        self.change(taker, 1)


def test_whoever_is_alone_takes_everything() -> None:
    table = Table(1000)
    assert table.workers[0].is_ours()


@pytest.mark.parametrize("many", [1, 16, 1000])
def test_nobody_leaves_a_connection_for_a_small_difference(many: int) -> None:
    table = Table(many, many, many + 2, many)
    assert all(worker.is_ours() for worker in table.workers)


def test_who_has_clearly_more_leaves_it_to_the_others() -> None:
    first, *others = Table(19, 8, 8, 8).workers
    assert not first.is_ours()
    assert all(other.is_ours() for other in others)


def test_the_quickest_does_not_get_the_lions_share() -> None:
    table = Table(0, 0, 0, 0)
    for _ in range(64):
        table.offer(*table.workers)
    assert sum(table.counts) == 64
    assert max(table.counts) <= 20


def test_connections_stay_balanced_as_they_come_and_go() -> None:
    table = Table(0, 0, 0, 0)
    chance = random.Random(6)
    for _ in range(2000):
        # The first are usually first.
        table.offer(*sorted(table.workers, key=lambda each: each.number + 2 * chance.random()))
        if sum(table.counts) > 200:
            table.change(table.workers[chance.choice([i for i in range(4) if table.counts[i]])], -1)
    assert max(table.counts) <= 50 * 1.25


def test_one_that_is_gone_counts_no_more() -> None:
    table = Table(20, 20, 0)
    first, second, gone = table.workers
    assert not first.is_ours()
    assert not second.is_ours()
    table.seats.give_back(gone)
    assert first.is_ours()
    assert second.is_ours()


def test_one_that_accepts_no_more_counts_no_more() -> None:
    first, second = Table(10, 0).workers
    assert not first.is_ours()
    second.leave()
    assert first.is_ours()


def test_a_seat_is_given_again() -> None:
    table = Table(1, 2, 3)
    table.seats.give_back(table.workers[1])
    again = table.seats.take()
    assert again is not None
    assert again.number == table.workers[1].number


def test_there_is_an_end_of_seats() -> None:
    seats = Seats()
    taken = [seats.take() for _ in range(256)]
    assert None not in taken
    assert seats.take() is None


def test_nobody_waits_twice_for_one_that_does_not_come() -> None:
    first, blocked, third = Table(10, 0, 10).workers
    assert not first.is_ours()
    first.leave_to_others()
    third.is_ours()
    first.nobody_came()
    # With the third one, who has stirred, the mean is ten.
    assert first.is_ours()
    # Until it wakes up again.
    blocked.is_ours()
    assert not first.is_ours()


def test_one_that_comes_too_late_is_still_there() -> None:
    first, busy = Table(10, 0).workers
    assert not first.is_ours()
    first.leave_to_others()
    busy.is_ours()
    first.nobody_came()
    assert not first.is_ours()
