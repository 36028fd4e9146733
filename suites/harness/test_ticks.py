"""Single lost and doubled ticks in a record of a guest's ticks, beside what a bench that stands still does to it."""

from __future__ import annotations

import random

import pytest

from harness.errors import Inconclusive
from suites.timer8254.record import evenly_lost, find_steps

PERIOD = 2533
TICKS = 5000
WRONG = 1000


def record(*, lost: int = 0, doubled: int = 0, stalls: int = 0) -> list[int]:
    """The ticks of a timer that loses or doubles every so manieth, delivered half a period apart once one is late.

    `stalls`: how often the guest does not run for up to ten periods; ticks meanwhile merge into one.
    """
    chance = random.Random(1)
    due: list[float] = []
    for tick in range(TICKS):
        copies = 0 if lost and tick % lost == lost - 1 else 2 if doubled and tick % doubled == doubled - 1 else 1
        due += [tick * PERIOD] * copies
    pauses = sorted((begin, begin + chance.uniform(0, 10) * PERIOD) for begin in (chance.uniform(0, TICKS) * PERIOD for _ in range(stalls)))
    taken: list[int] = []
    for moment in due:
        at = max(moment, taken[-1] + PERIOD / 2 if taken else 0.0) + chance.uniform(0, PERIOD / 50)
        for begin, end in pauses:
            if begin <= at < end:
                at = end
        if not taken or at > taken[-1] + PERIOD / 8:
            taken.append(round(at))
    return taken


@pytest.mark.parametrize("stalls", [0, 50])
def test_a_right_timer_loses_nothing(stalls: int) -> None:
    steps = find_steps(record(stalls=stalls))
    assert steps.doubled == 0
    assert evenly_lost(steps.lost) == 0
    assert stalls or steps.lost == ()


@pytest.mark.parametrize("stalls", [0, 50])
def test_one_tick_in_a_thousand_is_seen_to_be_lost(stalls: int) -> None:
    steps = find_steps(record(lost=WRONG, stalls=stalls))
    assert evenly_lost(steps.lost) >= 3
    assert steps.doubled == 0


@pytest.mark.parametrize("stalls", [0, 50])
def test_one_tick_in_a_thousand_is_seen_to_come_twice(stalls: int) -> None:
    assert find_steps(record(doubled=WRONG, stalls=stalls)).doubled >= 3


def test_a_bench_that_stands_still_all_the_time_tells_nothing() -> None:
    with pytest.raises(Inconclusive, match="ticks is quiet"):
        find_steps(record(stalls=500))


@pytest.mark.parametrize(
    ("lost", "evenly"), [((), 0), ((5, 1005), 0), ((5, 1005, 2005), 3), ((5, 300, 1005, 1490, 2005, 3005), 4), ((7, 90, 1000), 0)]
)
def test_a_comb_has_teeth_at_even_distances(lost: tuple[int, ...], evenly: int) -> None:
    assert evenly_lost(lost) == evenly


@pytest.mark.parametrize("moments", [[], [0]])
def test_a_record_without_ticks_tells_nothing(moments: list[int]) -> None:
    with pytest.raises(Inconclusive):
        find_steps(moments)
