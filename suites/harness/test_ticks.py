"""Lost, doubled and merged ticks in a record of a guest's ticks, beside what a bench that stands still does to it."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from harness.errors import Inconclusive
from harness.measure import Measurement, Quantity, Sample
from harness.verdict import Verdict
from suites.timer8254.record import Record, Steps, Uneven, evenly_lost, find_steps, stray_ticks
from suites.timer8254.ticks import COUNT_HZ250, INPUT_CLOCK, TICK_LIMIT, Ticks, from_record

PERIOD = 2533
TICKS = 5000
WRONG = 1000
RATE = INPUT_CLOCK / COUNT_HZ250


def record(*, lost: int = 0, doubled: int = 0, stalls: int = 0, stops: int = 0, fast: float = 1.0) -> Record:
    """The ticks of a timer that loses or doubles every so manieth, delivered half a period apart once one is late.

    `stalls`: how often the guest does not run for up to ten periods; ticks meanwhile merge into one, and its witness leaves no mark.
    `stops`: how often the timer does not run for nine periods, and the guest does. `fast`: the timer's rate by the right one.
    """
    chance = random.Random(1)
    due: list[float] = []
    for tick in range(TICKS):
        copies = 0 if lost and tick % lost == lost - 1 else 2 if doubled and tick % doubled == doubled - 1 else 1
        due += [tick * PERIOD / fast] * copies
    stopped = [chance.uniform(0, TICKS - 10) * PERIOD for _ in range(stops)]
    due = [moment for moment in due if not any(begin < moment < begin + 9 * PERIOD for begin in stopped)]
    pauses = sorted((begin, begin + chance.uniform(0, 10) * PERIOD) for begin in (chance.uniform(0, TICKS) * PERIOD for _ in range(stalls)))
    taken: list[int] = []
    for moment in due:
        pause = next(((begin, end) for begin, end in pauses if begin <= moment < end), None)
        if pause and taken and taken[-1] >= pause[1]:
            continue
        at = max(pause[1] if pause else moment, taken[-1] + PERIOD / 2 if taken else 0.0) + chance.uniform(0, PERIOD / 50)
        if not taken or at > taken[-1] + PERIOD / 8:
            taken.append(round(at))
    marks = [mark for mark in range(0, TICKS * PERIOD, PERIOD // 3) if not any(begin <= mark < end for begin, end in pauses)]
    samples = [second * 250 * PERIOD + PERIOD // 2 for second in range(TICKS // 250)]
    return Record(taken, samples, [(mark, after) for mark, after in pairwise(marks) if after - mark > PERIOD])


def measured(it: Record) -> Ticks:
    """The record beside reads of a reference clock: the right timer's ticks are 4 ms apart by it."""
    counts: list[Sample] = []
    uptimes: list[Sample] = []
    for at, mark in enumerate(it.samples):
        now = mark / PERIOD / RATE
        before, after = now - 0.004, now + 0.004
        taken = sum(tick < mark for tick in it.ticks)
        (uptimes if at % 2 else counts).append(Sample(before, after, int(taken / RATE * 100) if at % 2 else taken))
    return from_record(it, counts, uptimes)


@pytest.mark.parametrize("stalls", [0, 50, 150])
def test_a_right_timer_loses_nothing(stalls: int) -> None:
    steps = find_steps(record(stalls=stalls))
    assert (steps.lost, steps.doubled) == ((), 0)
    assert bool(steps.merged) is bool(stalls)


@pytest.mark.parametrize("stalls", [0, 50, 100])
def test_one_tick_in_a_thousand_is_seen_to_be_lost(stalls: int) -> None:
    steps = find_steps(record(lost=WRONG, stalls=stalls))
    assert evenly_lost(steps.lost) >= 3
    assert steps.doubled == 0


@pytest.mark.parametrize("stalls", [0, 50, 100])
def test_one_tick_in_a_thousand_is_seen_to_come_twice(stalls: int) -> None:
    assert find_steps(record(doubled=WRONG, stalls=stalls)).doubled >= 3


def test_a_timer_that_stops_now_and_then_loses_what_the_guest_was_there_to_take() -> None:
    assert len(find_steps(record(stops=5)).lost) >= 40


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        ({}, Verdict.PASSED),
        ({"stalls": 100}, Verdict.PASSED),
        ({"fast": 1.01}, Verdict.FAILED),
        ({"fast": 0.99}, Verdict.FAILED),
        ({"fast": 1.01, "stalls": 100}, Verdict.FAILED),
        ({"fast": 0.99, "stalls": 100}, Verdict.FAILED),
        ({"lost": 50, "stalls": 100}, Verdict.FAILED),
        ({"stops": 20, "stalls": 50}, Verdict.FAILED),
    ],
)
def test_merged_ticks_are_not_charged_to_the_timer_and_its_own_are(wrong: dict[str, float], verdict: Verdict) -> None:
    ticks = measured(record(**wrong))  # type: ignore[arg-type]
    assert Measurement(name="rate", quantity=ticks.rate, unit="Hz", expected=RATE, limit=RATE * TICK_LIMIT).verdict is verdict
    assert Measurement(name="clock", quantity=ticks.clock, unit="s/s", expected=1.0, limit=TICK_LIMIT).verdict in (
        verdict,
        Verdict.INCONCLUSIVE,
    )


def test_a_guest_that_is_seldom_seen_to_run_tells_nothing() -> None:
    with pytest.raises(Inconclusive, match=r"of the time of .* the guest was seen to run"):
        find_steps(record(stalls=500))


def test_silences_beyond_the_ticks_count_for_nothing() -> None:
    it = record()
    assert find_steps(it._replace(silences=[(-9 * PERIOD, -PERIOD), (it.ticks[-1] + 1, it.ticks[-1] + 9 * PERIOD)])).hidden == 0


def test_ticks_without_a_rhythm_tell_nothing() -> None:
    chance = random.Random(1)
    with pytest.raises(Inconclusive, match="distances of ticks are alike"):
        find_steps(Record(sorted(chance.randrange(TICKS * PERIOD) for _ in range(TICKS)), [], []))


def test_ticks_that_are_early_and_late_by_turns_are_the_timer_s() -> None:
    """The rate is right, and no bench has such a rhythm."""
    ticks = [at * PERIOD + (at % 2) * PERIOD // 4 for at in range(TICKS)]
    with pytest.raises(Uneven, match=r"ticks come (1\.25, 0\.75|0\.75, 1\.25) periods apart, over and over"):
        find_steps(Record(ticks, [], []))


@pytest.mark.parametrize(
    ("lost", "evenly"),
    [((), 0), ((5, 1005), 0), ((5, 1005, 2005), 3), ((5, 300, 1005, 1490, 2005, 3005), 4), ((7, 90, 1000), 0), ((7, 7, 90), 0)],
)
def test_a_comb_has_teeth_at_even_distances(lost: tuple[int, ...], evenly: int) -> None:
    assert evenly_lost(lost) == evenly


@pytest.mark.parametrize("ticks", [[], [0]])
def test_a_record_without_ticks_tells_nothing(ticks: list[int]) -> None:
    with pytest.raises(Inconclusive):
        find_steps(Record(ticks, [], []))


def test_what_one_record_leaves_open_more_of_them_decide() -> None:
    """One tick lost by accident is forgiven a bench that had none in two more records; ticks lost evenly, or doubled, are not its."""
    quiet, accident = Steps(TICKS, (), 0, (), 0.25), Steps(TICKS, (700,), 0, (), 0.25)
    assert stray_ticks([accident], steady=False) == Quantity(0, 1.25)
    assert stray_ticks([accident, quiet, quiet], steady=False).uncertainty < 1
    assert stray_ticks([accident, quiet], steady=True) == Quantity(0.5, 0.25)
    wrong = Steps(TICKS, (1000, 2000, 3000, 4000), 2, (), 0.25)
    assert stray_ticks([wrong, wrong], steady=False) == Quantity(6, 0.25)
