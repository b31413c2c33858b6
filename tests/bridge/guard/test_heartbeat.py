"""A loop that does not turn is noticed, looked at and measured; on a clock of the test's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from tidegate.bridge.guard.heartbeat import MAX_SAMPLES, Blocked, Heartbeat, Pace
from tidegate.errors import ConfigError

POLL = 0.025


def standing() -> FrameType:
    """A frame of code that runs on a loop."""
    return sys._getframe()


class Thread:
    """A loop and its thread, and what the heartbeat has to say about them."""

    def __init__(self, has_cpu_clock: bool = True) -> None:
        self.time = 100.0
        self.computed = 0.0
        self.has_cpu_clock = has_cpu_clock
        self.beats: list[Callable[[], None]] = []
        self.posted = 0
        self.at: FrameType | None = None
        self.samples: list[tuple[float, float]] = []  # when, and for how long
        self.ends: list[Blocked | None] = []
        self.alarms: list[float] = []
        self.heartbeat = Heartbeat(
            self,
            Pace(),
            lambda frame, seconds: self.samples.append((self.time, seconds)),
            self.ends.append,
            self.alarms.append,
        )

    def post(self, beat: Callable[[], None]) -> None:
        self.posted += 1
        self.beats.append(beat)

    def frame(self) -> FrameType | None:
        return self.at

    def cpu(self) -> float | None:
        return self.computed if self.has_cpu_clock else None

    def now(self) -> float:
        return self.time

    def turn(self) -> None:
        """Run callbacks, then rest."""
        self.at = sys._getframe()
        beats, self.beats = self.beats, []
        for beat in beats:
            beat()

    def rests(self, seconds: float) -> None:
        """Let time pass on a loop that answers at once and has nothing else to do."""
        self._passes(seconds, POLL, 0.0, self.turn)

    def works(self, seconds: float) -> None:
        """Let time pass on a loop that always runs something, and turns."""

        def turn() -> None:
            self.turn()
            self.at = standing()

        self._passes(seconds, POLL, 1.0, turn)

    def blocks(self, seconds: float, share: float = 0.0, every: float = POLL) -> None:
        """Let time pass without a turn, ``share`` of it computing; looks come at intervals."""
        self.at = standing()
        self._passes(seconds, every, share, lambda: None)

    def _passes(self, seconds: float, step: float, share: float, then: Callable[[], None]) -> None:
        for _ in range(round(seconds / step)):
            self.time += step
            self.computed += step * share
            self.heartbeat.look()
            then()

    @property
    def stalls(self) -> list[Blocked]:
        return [end for end in self.ends if end is not None]


@pytest.fixture
def thread() -> Thread:
    made = Thread()
    made.rests(1)
    made.ends.clear()
    made.samples.clear()
    made.posted = 0
    return made


def test_a_loop_that_turns_is_not_blocked(thread: Thread) -> None:
    thread.works(2)
    thread.rests(2)
    assert thread.stalls == []
    assert thread.samples == []


def test_an_idle_loop_is_woken_at_most_four_times_a_second(thread: Thread) -> None:
    thread.rests(10)
    assert 30 <= thread.posted <= 40


def test_a_loop_that_works_is_asked_at_every_look(thread: Thread) -> None:
    thread.works(1)
    assert thread.posted == pytest.approx(40, abs=1)


def test_no_second_beat_is_posted_before_the_first_is_answered(thread: Thread) -> None:
    thread.blocks(5)
    assert thread.posted == 1


def test_a_stall_is_measured_from_the_first_look_to_the_next_turn(thread: Thread) -> None:
    thread.blocks(0.5)
    thread.rests(0.1)
    (stall,) = thread.stalls
    assert stall.seconds == pytest.approx(0.5, abs=2 * POLL)
    assert not stall.computed


def test_a_stall_in_which_the_thread_computes_is_told_from_one_in_which_it_waits(
    thread: Thread,
) -> None:
    thread.blocks(0.5, share=0.9)
    thread.rests(0.1)
    thread.blocks(0.5, share=0.01)
    thread.rests(0.1)
    assert [stall.computed for stall in thread.stalls] == [True, False]


def test_a_pause_below_the_threshold_is_none(thread: Thread) -> None:
    thread.blocks(0.075)
    thread.rests(0.1)
    assert thread.stalls == []
    assert thread.ends


def test_every_end_is_told_once(thread: Thread) -> None:
    thread.blocks(0.5)
    thread.rests(1)
    assert len(thread.stalls) == 1


def test_each_sample_stands_for_the_time_since_the_one_before(thread: Thread) -> None:
    thread.blocks(0.5)
    assert len(thread.samples) >= 10
    assert sum(seconds for _, seconds in thread.samples) == pytest.approx(0.5, abs=2 * POLL)


def test_samples_are_bounded_and_spread_over_the_first_ten_seconds(thread: Thread) -> None:
    thread.blocks(60)
    assert len(thread.samples) == MAX_SAMPLES
    began = thread.time - 60
    assert thread.samples[-1][0] - began > 7


def test_the_alarm_is_raised_once_in_each_stall_of_ten_seconds(thread: Thread) -> None:
    thread.blocks(9.5)
    assert thread.alarms == []
    thread.blocks(20)
    assert thread.alarms == [pytest.approx(10, abs=2 * POLL)]
    thread.rests(0.1)
    thread.blocks(11)
    assert len(thread.alarms) == 2


def test_code_that_lets_nobody_look_is_seen_when_it_lets_go(thread: Thread) -> None:
    thread.blocks(1.4, share=1.0, every=1.4)
    thread.rests(0.1)
    (stall,) = thread.stalls
    assert stall.seconds == pytest.approx(1.4, abs=2 * POLL)
    assert stall.computed
    assert len(thread.samples) == 1


def test_a_look_that_came_late_proves_nothing_against_a_loop_that_turned(thread: Thread) -> None:
    thread.rests(0.3)
    thread.works(0.1)
    for _ in range(10):
        thread.blocks(0.5, share=0.5, every=0.5)
        thread.turn()
    assert thread.stalls == []


def test_a_process_that_was_stopped_blames_no_line(thread: Thread) -> None:
    thread.works(0.1)
    thread.blocks(3600, every=3600)
    thread.rests(0.1)
    assert thread.stalls == []
    assert thread.alarms == []


def test_a_process_that_was_stopped_in_a_stall_does_not_make_it_longer(thread: Thread) -> None:
    thread.blocks(0.3)
    thread.blocks(3600, every=3600)
    thread.rests(0.1)
    assert [stall.seconds for stall in thread.stalls] == [pytest.approx(0.3, abs=2 * POLL)]


def test_without_a_clock_of_the_thread_all_time_counts_as_computed() -> None:
    thread = Thread(has_cpu_clock=False)
    thread.rests(0.1)
    thread.blocks(0.5)
    thread.rests(0.1)
    assert [stall.computed for stall in thread.stalls] == [True]


@pytest.mark.parametrize("name", ["threshold", "poll", "alarm"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_pace_without_time_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be more than 0 seconds, not {value}"):
        Pace(**{name: value})
