"""How a guest's ticks and its clock are measured against the bench's reference clock: the lab controller's, or that of
the host where guests have no time in common with the lab controller.

A loop in the guest's shell, made of builtins only, answers a line with the count of interrupt 0 or with the guest's uptime. It was read
after the line left and before the answer arrived: those two moments bracket it, with no assumption about what lies between.

Meanwhile every tick is recorded (`record.py`), and each read leaves its mark there. Ticks merge while a guest does not run: one that
stood still for three periods takes one interrupt for three ticks, on any board. What the record shows to have been merged is counted
with the others; what the timer lost is not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from threading import Event
from typing import NamedTuple

from harness.bench import ReferenceClock
from harness.clock import Deadline
from harness.errors import Inconclusive
from harness.guest.linux import LinuxGuest
from harness.measure import Quantity, Sample, rate_from_counts
from suites.timer8254.record import SAMPLED, Record, Steps, find_steps, read_record, recording

INPUT_CLOCK = 315e6 / 264
"""Hz; the PC's 14.31818 MHz crystal divided by twelve."""

COUNT_HZ250 = 4773
"""What Linux programs for HZ=250: round(1193182 / 250)."""

TICK_LIMIT = 0.0033
"""Allowed relative error of the tick rate: the floor for comparison, 0.33 % (VirtualBox's own boot-sector test of its PIT)."""

ANSWER_EITHER = (
    f'while read -r what && [ "$what" != end ]; do {SAMPLED}; if [ "$what" ]; then read -r up idle </proc/uptime; echo "=$up="; else '
    "while read -r irq count rest; do case $irq in 0:) break;; esac; done </proc/interrupts; "
    'echo "=$count="; fi; done'
)
COUNT, UPTIME = ("", rb"=(\d+)="), ("uptime", rb"=(\d+)\.(\d\d)=")
"""What is asked, and the answer. One at a time: the shorter an answer, the closer its moments."""
UPTIME_STEPS = 100
"""Steps of the uptime in a second."""
UPTIME_LAG = 1.0
"""Steps by which the uptime may be behind besides: such a clock stands still between two ticks, and merged ones are whole steps."""

INTERVAL = 1.0
"""Seconds between two samples."""
FEWEST = 4
"""Samples before there is a rate."""
SHORTEST = 20.0
"""Seconds of a record: five thousand ticks, and five times one in a thousand."""
LONGEST = 60.0
"""Seconds after which the window is not lengthened any more."""
RECORDS = 3
"""Records at most, of which the last one decides."""


class Ticks(NamedTuple):
    """What a window of samples and the record beside it say."""

    rate: Quantity
    """Ticks in Hz."""
    clock: Quantity
    """Seconds of the guest's clock in one second, where ticks are all the time it has."""
    steps: Steps


def measure_ticks(guest: LinuxGuest, reference: ReferenceClock, wanted_uncertainty: float) -> Ticks:
    """Samples until the expanded uncertainty of the rate, in Hz, is small enough, or the longest window is over.

    A record that is too restless is taken again: the bench may have been busy just then. Raises `Inconclusive` when the last one is.
    """

    def once() -> Ticks:
        with recording(guest):
            samples = _sample(guest, reference, wanted_uncertainty, SHORTEST, LONGEST)
        guest.events.emit("progress", text="reading the record of the ticks")
        return from_record(read_record(guest), *samples)

    for _ in range(RECORDS - 1):
        try:
            return once()
        except Inconclusive as doubt:
            guest.events.emit("progress", text=f"{doubt.sentence}: recording once more")
    return once()


def measure_clock(guest: LinuxGuest, reference: ReferenceClock, seconds: float) -> Quantity:
    """Seconds of the guest's clock in one second, whatever it goes by."""
    _, uptimes = _sample(guest, reference, 0.0, 0.0, seconds)
    return _clock(uptimes)


def from_record(record: Record, counts: Sequence[Sample], uptimes: Sequence[Sample]) -> Ticks:
    """The record's ticks against the clock of the samples, which are of the count and of the uptime in turns."""
    steps = find_steps(record)
    ticks, merged = [], []
    for mark in record.samples:
        merged.append(sum(found.ticks for found in steps.merged if found.moment <= mark))
        ticks.append(bisect_left(record.ticks, mark) + merged[-1])
    rate = rate_from_counts([Sample(read.before, read.after, count) for read, count in zip(counts, ticks[::2], strict=True)])
    step = UPTIME_STEPS / rate.value
    clock = _clock(
        [Sample(read.before, read.after, read.count + round(more * step)) for read, more in zip(uptimes, merged[1::2], strict=True)]
    )
    hidden = steps.hidden / rate.seconds
    return Ticks(Quantity(rate.value, rate.uncertainty + hidden), Quantity(clock.value, clock.uncertainty + hidden / rate.value), steps)


def _sample(
    guest: LinuxGuest, reference: ReferenceClock, wanted_uncertainty: float, shortest: float, longest: float
) -> tuple[list[Sample], list[Sample]]:
    """Reads of the count of interrupt 0 and of the uptime, in turns."""
    counts: list[Sample] = []
    uptimes: list[Sample] = []
    between = Event()
    begin = reference.monotonic()
    with guest.conversation(ANSWER_EITHER, end="end") as ask:

        def sample(question: str, answer: bytes) -> Sample:
            before = reference.monotonic()
            found = ask(question, answer, Deadline.after(guest.command_seconds, "the guest's count"))
            return Sample(before, reference.monotonic(), int(b"".join(found.match.groups())))

        while True:
            counts.append(sample(*COUNT))
            uptimes.append(sample(*UPTIME))
            between.wait(INTERVAL)
            if len(counts) < FEWEST:
                continue
            if counts[-1].count == counts[-FEWEST].count:
                seconds = counts[-1].after - counts[-FEWEST].before
                raise AssertionError(f"interrupt 0 has stopped at {counts[-1].count}: none came in {seconds:.1f} s")
            rate = rate_from_counts(counts)
            seconds = counts[-1].after - begin
            guest.events.emit("progress", text=f"{seconds:.0f} s of interrupt 0: {rate.value:.3f} Hz ± {rate.uncertainty:.3f} Hz")
            if (rate.uncertainty <= wanted_uncertainty and seconds >= shortest) or seconds > longest:
                return counts, uptimes


def _clock(uptimes: Sequence[Sample]) -> Quantity:
    """Seconds of the guest's clock in one second, from its uptime in hundredths."""
    rate = rate_from_counts(uptimes)
    return Quantity(rate.value / UPTIME_STEPS, (rate.uncertainty + 2 * UPTIME_LAG / rate.seconds) / UPTIME_STEPS)
