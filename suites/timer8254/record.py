"""Every single tick of a guest, by its own TSC: the kernel traces the entry of interrupt 0, and nobody else's clock has a part in it.

A bench that stands still makes ticks late, merges some of them and hands others out in a hurry. So a tick is judged only between two
quiet runs, in which ticks were a period apart, that are no more than three periods from each other: there are one too few, or one too
many, because the timer made them so. The period is the ticks' own: a rate that is wrong all the time is not seen here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from threading import Event
from typing import NamedTuple

from harness.errors import Inconclusive
from harness.guest.linux import LinuxGuest

TRACING = "/sys/kernel/debug/tracing"
UNIT = 4096
"""TSC cycles of a step in the record; a tenth of a percent of a period or less."""
PEAK = 0.02
"""Relative width of the most frequent distance of two ticks."""
NEAR = 0.06
"""By how many periods the distance of two ticks of a quiet run is off one."""
RUN = 5
"""Distances of the shortest quiet run."""
CLOSE = 3
"""Periods between two quiet runs in which a tick is judged."""
QUIET = 0.8
"""Share of the record's time that must be quiet runs: of five wrong ticks two or more lie there then, in 99 records of 100."""
FEWEST_TEETH = 3
"""Ticks lost at even distances that are no accident of the bench."""
TEETH_SHARE = 0.6
"""Share of such a comb's places, from its first tooth to the last lost tick, at which a tick is lost indeed: the bench hides some."""


class Steps(NamedTuple):
    """What became of the ticks of a record."""

    judged: int
    """Ticks of its quiet runs."""
    lost: tuple[int, ...]
    """The place, in periods since the first quiet tick, of each that never came."""
    doubled: int


def record_ticks(guest: LinuxGuest, seconds: float) -> list[int]:
    """The moments of interrupt 0, in units of `UNIT` TSC cycles, as the guest's kernel recorded them for so long."""
    switch = f"cd {TRACING}/ && echo nop >current_tracer && echo x86-tsc >trace_clock && echo irq==0 >events/irq/irq_handler_entry/filter"
    guest.must(["sh", "-c", f"{switch} && echo >trace && echo 1 >events/irq/irq_handler_entry/enable && echo 1 >tracing_on"])
    try:
        Event().wait(seconds)
    finally:
        guest.must(["sh", "-c", f"echo 0 >{TRACING}/tracing_on; echo 0 >{TRACING}/events/irq/irq_handler_entry/enable"])
    differences = (
        "/ irq=0 / {match($0, /[0-9]+: irq_/); t = int(substr($0, RSTART, RLENGTH - 6) / unit); "
        'if (n++) printf "%x ", t - before; before = t}'
    )
    moments = [0]
    for word in guest.must(["awk", "-v", f"unit={UNIT}", differences, f"{TRACING}/trace"]).text.split():
        moments.append(moments[-1] + int(word, 16))
    return moments


def find_steps(moments: Sequence[int]) -> Steps:
    """Lost and doubled ticks. Raises `Inconclusive` for a record that is not quiet enough to tell."""
    distances = [later - earlier for earlier, later in pairwise(moments)]
    runs = _quiet_runs(distances, _period(distances)) if distances else []
    quiet = sum(moments[end] - moments[begin] for begin, end in runs)
    if quiet <= QUIET * sum(distances):
        raise Inconclusive(
            f"only {quiet / max(1, sum(distances)):.0%} of the time of {len(moments)} ticks is quiet", "run on a quieter bench"
        )
    judged = sum(end - begin for begin, end in runs)
    period = quiet / judged
    lost: list[int] = []
    doubled = 0
    place = runs[0][1] - runs[0][0]
    for (_, earlier), (later, end) in pairwise(runs):
        periods = round((moments[later] - moments[earlier]) / period)
        missing = periods - (later - earlier)
        if periods <= CLOSE and missing > 0:
            lost.append(place + 1)
        elif periods <= CLOSE and missing < 0:
            doubled += 1
        place += periods + end - later
    return Steps(judged, tuple(lost), doubled)


def evenly_lost(lost: Sequence[int]) -> int:
    """How many ticks are lost at even distances, as no bench loses them; 0 when there are fewer than `FEWEST_TEETH`."""
    best = 0
    for at, first in enumerate(lost):
        for other in lost[at + 1 :]:
            places = range(first, lost[-1] + 1, other - first)
            hits = sum(place in lost for place in places)
            if hits >= max(FEWEST_TEETH, TEETH_SHARE * len(places)):
                best = max(best, hits)
    return best


def _period(distances: Sequence[int]) -> float:
    """The most frequent distance."""
    ordered = sorted(distances)

    def alike(distance: int) -> list[int]:
        return ordered[bisect_left(ordered, distance * (1 - PEAK)) : bisect_right(ordered, distance * (1 + PEAK))]

    return median(alike(max(ordered, key=lambda distance: len(alike(distance)))))


def _quiet_runs(distances: Sequence[int], period: float) -> list[tuple[int, int]]:
    """The first and last tick of each stretch of `RUN` and more distances of a period."""
    runs = []
    begin = 0
    for at, distance in enumerate([*distances, 0]):
        if abs(distance / period - 1) < NEAR:
            continue
        if at - begin >= RUN:
            runs.append((begin, at))
        begin = at + 1
    return runs
