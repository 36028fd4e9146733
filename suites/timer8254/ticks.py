"""How a guest's tick count and its clock are sampled against the bench's reference clock: the lab controller's, or that of
the host where guests have no time in common with the lab controller.

A loop in the guest's shell, made of builtins only, answers a line with the count of interrupt 0 or with the guest's uptime. It was read
after the line left and before the answer arrived: those two moments bracket it, with no assumption about what lies between.

Between samples the guest is left alone, so that it takes its ticks as they come. Edges still merge while a guest does not run: one that
stood still for three periods takes one interrupt for three ticks, on any board. Such a loss is a step in a count that is steady
otherwise; the ticks of that step may have been made unseen, so they widen the interval upwards, and upwards only: a bench that stands
still makes a slow timer inconclusive, and never hides a fast one. A bench whose answers take longer than three ticks may lose them
evenly as well, so its interval is widened by what such benches were seen to lose.

A board without the feature `cpu.steady` keeps its virtual CPUs waiting now and then, in short stretches that no sample shows alone. There
the interval reaches up to the rate of the best stretch: a timer that is slow all the time is slow in every stretch.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from threading import Event
from typing import NamedTuple

from harness.bench import ReferenceClock
from harness.clock import Deadline
from harness.guest.linux import LinuxGuest
from harness.measure import Quantity, Rate, Sample, rate_from_counts

INPUT_CLOCK = 315e6 / 264
"""Hz; the PC's 14.31818 MHz crystal divided by twelve."""

COUNT_HZ250 = 4773
"""What Linux programs for HZ=250: round(1193182 / 250)."""

TICK_LIMIT = 0.0033
"""Allowed relative error of the tick rate: the floor for comparison, 0.33 % (VirtualBox's own boot-sector test of its PIT)."""

ANSWER_EITHER = (
    'while read -r what && [ "$what" != end ]; do if [ "$what" ]; then read -r up idle </proc/uptime; echo "=$up="; else '
    "while read -r irq count rest; do case $irq in 0:) break;; esac; done </proc/interrupts; "
    'echo "=$count="; fi; done'
)
COUNT, UPTIME = ("", rb"=(\d+)="), ("uptime", rb"=(\d+)\.(\d\d)=")
"""What is asked, and the answer. One at a time: the shorter an answer, the closer its moments."""
UPTIME_STEPS = 100
"""Steps of the uptime in a second."""
UPTIME_LAG = 0.5
"""Steps by which the uptime may be behind besides: such a clock stands still between two ticks."""

INTERVAL = 1.0
"""Seconds between two samples."""
FEWEST = 4
"""Samples before there is a rate."""
STRETCH = 6
"""Samples of the stretches whose rates are compared."""
SLOW_ANSWER = 3.0
"""Ticks that an answer takes, in the median, on a bench that cannot be trusted to take every tick."""
LOST_WHEN_SLOW = 0.05
"""Share of the ticks such a bench may lose: an emulated board beside a busy process was seen to merge 3.7 % of a timer's expiries."""
LONGEST = 60.0
"""Seconds after which the window is not lengthened any more."""


class Ticks(NamedTuple):
    """What a window of samples says."""

    rate: Quantity
    """Interrupt 0 in Hz."""
    clock: Quantity
    """Seconds of the guest's clock in one second."""
    interrupts: int
    """Interrupts taken from the first sample to the last."""


def sample_ticks(
    guest: LinuxGuest, reference: ReferenceClock, wanted_uncertainty: float, longest: float = LONGEST, *, steady: bool = True
) -> Ticks:
    """Samples until the expanded uncertainty of the rate, in Hz, is small enough (or the longest window, in seconds, is over).

    `steady`: the board has the feature `cpu.steady`.
    """
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
            rate = with_unseen(rate_from_counts(counts), counts, steady=steady)
            seconds = counts[-1].after - begin
            guest.events.emit("progress", text=f"{seconds:.0f} s of ticks: {rate.value:.3f} Hz ± {rate.uncertainty:.3f} Hz")
            if rate.uncertainty <= wanted_uncertainty or seconds > longest:
                return Ticks(rate, clock_rate(uptimes, rate.value, steady=steady), counts[-1].count - counts[0].count)


def clock_rate(uptimes: Sequence[Sample], tick_rate: float, *, steady: bool = True) -> Quantity:
    """Seconds of the guest's clock in one second, from its uptime in hundredths."""
    rate = rate_from_counts(uptimes)
    steps = with_unseen(rate, uptimes, tick_rate, steady=steady)
    return Quantity(steps.value / UPTIME_STEPS, (steps.uncertainty + 2 * UPTIME_LAG / rate.seconds) / UPTIME_STEPS)


def with_unseen(rate: Rate, samples: Sequence[Sample], tick_rate: float | None = None, *, steady: bool = True) -> Quantity:
    """The rate's interval, widened by the ticks that may have merged while the guest did not run.

    `tick_rate` is that of the ticks behind the counts, in Hz, when the counts are not ticks.
    """
    widening = rate.uneven / rate.seconds
    if median(sample.bracket for sample in samples) > SLOW_ANSWER / (tick_rate or rate.value):
        widening += rate.value * LOST_WHEN_SLOW
    if not steady:
        best = max((rate_from_counts(samples[at : at + STRETCH]).value for at in range(len(samples) - STRETCH + 1)), default=rate.value)
        if best <= rate.value * (1 + LOST_WHEN_SLOW):
            widening = max(widening, best - rate.value - rate.uncertainty)
    return Quantity(rate.value + widening / 2, rate.uncertainty + widening / 2)
