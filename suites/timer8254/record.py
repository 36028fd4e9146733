"""Every single tick of a guest, by its own TSC, beside a witness of whether the guest ran: the kernel traces the entry of interrupt 0,
and a process that does nothing else leaves a mark several times a period.

A bench that stands still makes ticks late, merges some of them and hands others out in a hurry. So ticks are counted between quiet runs,
in which they were a period apart: between two of them there are as many as periods, or some are missing, or some came twice. No bench
makes ticks, so what came twice the timer made. What is missing it lost, unless the witness was silent as well: a guest that did not run
took no tick. The period is the ticks' own: a rate that is wrong all the time is not seen here.

The guest has one CPU: on another one the witness would say nothing about that which takes the ticks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from math import ceil
from statistics import median
from typing import NamedTuple

from harness.errors import DeviceError, Inconclusive
from harness.guest.linux import LinuxGuest
from harness.measure import Quantity
from suites.timer8254.trace import MARKER, read_trace, tracing

UNIT = 4096
"""TSC cycles of a step in the record; a tenth of a percent of a period or less."""
MARKS = 800
"""Marks of the witness in a second: three in a period."""
SILENT = 0.75
"""Periods without a mark in which the witness may not have run; a guest that stands still for much less merges nothing."""
PEAK = 0.02
"""Relative width of the most frequent distance of two ticks."""
NEAR = 0.06
"""By how many periods the distance of two ticks of a quiet run is off one."""
RUN = 5
"""Distances of the shortest quiet run."""
LARGEST_GROUP = 4
"""Ticks that repeat themselves."""
WITNESSED = 0.8
"""Share of the record's time that must be witnessed: of five wrong ticks two or more lie there then, in 99 records of 100."""
UNSEEN = 3.0
"""Events of which none was seen: no more than so many were to be expected, with 95 % confidence."""
FEWEST_TEETH = 3
"""Ticks lost at even distances that are no accident of the bench."""
TEETH_SHARE = 0.6
"""Share of such a comb's places, from its first tooth to the last lost tick, at which a tick is lost indeed: the bench hides some."""


class Record(NamedTuple):
    """Moments in units of `UNIT` TSC cycles since the witness's first mark."""

    ticks: Sequence[int]
    samples: Sequence[int]
    """Marks that whoever samples left with `SAMPLED`."""
    silences: Sequence[tuple[int, int]]
    """From the last mark of the witness before each of its silences to the first after it."""


class Merged(NamedTuple):
    """Ticks that the bench merged."""

    moment: int
    ticks: int


class Steps(NamedTuple):
    """What became of the ticks of a record."""

    periods: int
    """From the first quiet tick to the last."""
    lost: tuple[int, ...]
    """The place, in periods since the first quiet tick, of each that the timer never made."""
    doubled: int
    merged: tuple[Merged, ...]
    hidden: float
    """How many ticks that the timer lost may be among those, with 95 % confidence, going by what was seen of it."""


QUIETER = "run on a quieter bench"

SAMPLED = f"echo s >{MARKER}"
"""Shell text that marks the moment of a sample."""
ROUND = "i=$((i+1)); [ $((i % every)) = 0 ] && echo w"
COUNT_ROUNDS = (
    f"every=1000; now() {{ read -r up rest </proc/uptime; t=${{up%.*}}${{up#*.}}; }}; now; begin=$t; i=0; "
    f"while [ $((t - begin)) -lt 30 ]; do {ROUND} >/dev/null; [ $((i % 100)) = 0 ] && now; done; "
    f"echo $((i * 100 / (t - begin) / {MARKS} + 1))"
)
"""How many rounds the witness's loop makes from mark to mark, found in a third of a second."""
WITNESS = f"i=0; while :; do {ROUND}; done >{MARKER} 2>/dev/null"
"""What it cannot write, once the trace is off, is of no interest."""


@contextmanager
def recording(guest: LinuxGuest) -> Iterator[None]:
    """The guest's kernel records interrupt 0 and the witness runs. `read_record` has what was recorded."""
    every = int(guest.must(["sh", "-c", COUNT_ROUNDS]).text)
    with tracing(guest, clock="x86-tsc"):
        guest.must(["sh", "-c", 'sh -c "$1" & echo $! >/tmp/witness', "sh", f"every={every}; {WITNESS}"])
        try:
            yield
        finally:
            guest.must(["sh", "-c", "kill $(cat /tmp/witness)"])


class Uneven(DeviceError):
    """Ticks at distances that repeat themselves and are not alike."""

    def __init__(self, distances: Sequence[int]) -> None:
        """`distances` as the record has them, of one repetition."""
        mean = sum(distances) / len(distances)
        shown = ", ".join(f"{distance / mean:.2f}" for distance in distances)
        super().__init__(
            f"ticks come {shown} periods apart, over and over, where one period is right", "look at how the timer sets its next moment"
        )


def read_record(guest: LinuxGuest) -> Record:
    """The last recording, from the witness's first mark to its last. Raises `Inconclusive` when its ticks are too few to have a period."""
    moment = f"match($0, /[0-9]+: [it]/); t = int(substr($0, RSTART, RLENGTH - 3) / {UNIT}) - begin"
    events = (
        f'/ w$/ && !begin {{{moment}; printf "%.0f ", t; begin = t}} '
        f'begin && /irq=0 | s$/ {{{moment}; printf (/ s$/ ? "s%x " : "%x "), t - before; before = t}}'
    )
    begin, *words = read_trace(guest, events) or ["0"]
    ticks: list[int] = []
    samples: list[int] = []
    now = 0
    for word in words:
        now += int(word.removeprefix("s"), 16)
        (samples if word.startswith("s") else ticks).append(now)
    if len(ticks) <= RUN:
        raise Inconclusive(f"a record of {len(ticks)} ticks", "measure for longer")
    longest = round(SILENT * _period([later - earlier for earlier, later in pairwise(ticks)]))
    silences = f'/ w$/ {{{moment}; if (t - last > {longest}) printf "%d %d ", last, t; last = t}} END {{print last}}'
    *found, last = [int(word) for word in read_trace(guest, silences, begin=begin)]
    return Record([tick for tick in ticks if tick <= last], samples, list(zip(found[::2], found[1::2], strict=True)))


def find_steps(record: Record) -> Steps:
    """Lost, doubled and merged ticks.

    Raises `Inconclusive` for a record whose ticks are too restless, or too seldom witnessed, to tell, and `Uneven` for one whose
    restlessness repeats itself.
    """
    ticks = record.ticks
    distances = [later - earlier for earlier, later in pairwise(ticks)]
    runs = _quiet_runs(distances, _period(distances)) if distances else []
    if not runs:
        _even(distances)
        raise Inconclusive(f"no {RUN} of {len(distances)} distances of ticks are alike", QUIETER)
    silent = sum(max(0, min(end, ticks[-1]) - max(begin, ticks[0])) for begin, end in record.silences)
    witnessed = 1 - silent / (ticks[-1] - ticks[0])
    if witnessed < WITNESSED:
        raise Inconclusive(f"only in {witnessed:.0%} of the time of {len(ticks)} ticks the guest was seen to run", QUIETER)
    period = _long_period(ticks, runs)
    lost: list[int] = []
    merged: list[Merged] = []
    doubled = 0
    place = runs[0][1] - runs[0][0]
    for (_, earlier), (later, end) in pairwise(runs):
        periods = round((ticks[later] - ticks[earlier]) / period)
        missing = periods - (later - earlier)
        excused = min(max(missing, 0), _ticks_in(record.silences, ticks[earlier], ticks[later], period))
        if excused:
            merged.append(Merged(ticks[later], excused))
        lost += [place + 1] * (max(missing, 0) - excused)
        doubled += max(-missing, 0)
        place += periods + end - later
    hidden = (len(lost) + UNSEEN) * (1 - witnessed) / witnessed
    return Steps(place, tuple(lost), doubled, tuple(merged), hidden)


def evenly_lost(lost: Sequence[int]) -> int:
    """How many ticks are lost at even distances, as no bench loses them; 0 when there are fewer than `FEWEST_TEETH`."""
    best = 0
    for at, first in enumerate(lost):
        for other in lost[at + 1 :]:
            if other == first:
                continue
            places = range(first, lost[-1] + 1, other - first)
            hits = sum(place in lost for place in places)
            if hits >= max(FEWEST_TEETH, TEETH_SHARE * len(places)):
                best = max(best, hits)
    return best


def stray_ticks(records: Sequence[Steps], steady: bool) -> Quantity:
    """Ticks lost or doubled in one of some records, on the average; on a board that is not `steady` only those lost evenly are certain."""
    certain = [len(steps.lost) if steady else evenly_lost(steps.lost) for steps in records]
    doubtful = [len(steps.lost) - lost + steps.hidden for steps, lost in zip(records, certain, strict=True)]
    return Quantity((sum(certain) + sum(steps.doubled for steps in records)) / len(records), sum(doubtful) / len(records))


def _period(distances: Sequence[int]) -> float:
    """The most frequent distance."""
    ordered = sorted(distances)

    def alike(distance: int) -> list[int]:
        return ordered[bisect_left(ordered, distance * (1 - PEAK)) : bisect_right(ordered, distance * (1 + PEAK))]

    return median(alike(max(ordered, key=lambda distance: len(alike(distance)))))


def _even(distances: Sequence[int]) -> None:
    """Raises `Uneven` where ticks of which no few are alike are so in pairs or other small groups: no bench keeps time like that."""
    for size in range(2, LARGEST_GROUP + 1):
        groups = [sum(distances[at : at + size]) for at in range(len(distances) - size + 1)]
        runs = _quiet_runs(groups, _period(groups)) if groups else []
        if 2 * sum(end - begin for begin, end in runs) > len(groups):
            begin, _ = max(runs, key=lambda run: run[1] - run[0])
            raise Uneven(tuple(distances[begin : begin + size]))


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


def _long_period(ticks: Sequence[int], runs: Sequence[tuple[int, int]]) -> float:
    """The period from the first quiet tick to the last. That of the runs alone is short: a run may begin with a tick that came late."""
    quiet = sum(end - begin for begin, end in runs)
    period = sum(ticks[end] - ticks[begin] for begin, end in runs) / quiet
    between = sum(round((ticks[later] - ticks[earlier]) / period) for (_, earlier), (later, _) in pairwise(runs))
    return (ticks[runs[-1][1]] - ticks[runs[0][0]]) / (quiet + between)


def _ticks_in(silences: Sequence[tuple[int, int]], begin: int, end: int, period: float) -> int:
    """How many ticks the silences between two moments can have kept from the guest: each is as long as it was, and begins anywhere."""
    return sum(ceil((last - first) / period) for first, last in silences if first < end and last > begin)
