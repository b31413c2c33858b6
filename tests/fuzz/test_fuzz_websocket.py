"""A short run of the fuzzer of frames, and fuzzers of broken cores that must find them out."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from tests.fuzz.websocket import (
    SETTINGS,
    TIGHT,
    Finding,
    Fuzzer,
    Settings,
    check,
    main,
    minimised,
    reference,
    seeds,
)
from tests.wire.websocket.driver import Call, Driver

from tidegate.testing.websocket import CONTINUATION, PING, TEXT, closing, masked

STEPS = 1500


def throw(fuzzer: Fuzzer, steps: int = STEPS) -> None:
    for _ in range(steps):
        fuzzer.step()


@pytest.mark.parametrize("seed", range(3))
def test_no_mutated_frames_break_the_invariant(seed: int) -> None:
    fuzzer = Fuzzer(seed)
    throw(fuzzer)
    assert fuzzer.thrown == STEPS
    assert fuzzer.seen > 50


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_nothing_that_a_run_begins_with_breaks_the_invariant(settings: Settings) -> None:
    for data in seeds():
        check(data, settings)


@given_settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(st.binary(max_size=60), st.sampled_from(SETTINGS))
def test_no_bytes_at_all_break_the_invariant(data: bytes, settings: Settings) -> None:
    check(data, settings)
    check(masked(TEXT, data), settings)
    check(masked(TEXT, data, fin=False, reserved=4 if settings.compressed else 0), settings)


class Forgetful(Driver):
    """Drives a core that forgets what it has when the packet ends."""

    def feed(self, pieces: Iterable[bytes]) -> list[Call]:
        for piece in pieces:
            if not self.core.closed:
                self.core = Driver().core
                self.core._sink = self.sink
            super().feed([piece])
        return self.calls


class Lenient(Driver):
    """Drives a core that does not mind reserved bits."""

    def feed(self, pieces: Iterable[bytes]) -> list[Call]:
        return super().feed([b"".join(pieces).replace(b"\xc1", b"\x81", 1)])


@pytest.mark.parametrize("driver", [Forgetful, Lenient])
def test_the_fuzzer_finds_a_broken_core(driver: type[Driver]) -> None:
    fuzzer = Fuzzer(0, driver)
    with pytest.raises(Finding) as found:
        throw(fuzzer, 5000)
    shorter = minimised(found.value)
    assert len(shorter) <= len(found.value.data)
    with pytest.raises(AssertionError):
        check(shorter, found.value.settings, found.value.seed)


def test_the_same_seed_throws_the_same_inputs() -> None:
    thrown = []
    for _ in range(2):
        fuzzer = Fuzzer(7)
        throw(fuzzer, 50)
        thrown.append((fuzzer.seen, fuzzer.mutated()))
    assert thrown[0] == thrown[1]


def test_a_run_by_hand_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "0.05", "--seed", "1"]) == 0
    assert "nothing found" in capsys.readouterr().out


EMPTY = masked(CONTINUATION, fin=False)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"\x83", []),
        (masked(TEXT, b"a")[:-1], []),
        (masked(3), [("error", 1002)]),
        (masked(TEXT, b"a") + b"\x81\x05", [("message", "a"), ("error", 1002)]),
        (masked(TEXT, b"\xff"), [("error", 1007)]),
        (masked(TEXT, b"x" * 41), [("error", 1009)]),
        (masked(TEXT, fin=False) + EMPTY * 2, [("error", 1008)]),
        (masked(PING) * 4, [("ping", b"")] * 3 + [("error", 1008)]),
        (closing(1000, "bye") + masked(TEXT), [("close", 1000, "bye")]),
        (closing(1004), [("error", 1002)]),
        (closing(), [("close", 1005, "")]),
    ],
)
def test_the_second_opinion_is_right_itself(data: bytes, found: list[Call]) -> None:
    assert reference(data, TIGHT) == found
