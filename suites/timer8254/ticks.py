"""How the tick count of a guest is sampled against the lab controller's clock.

A loop in the guest's shell, made of builtins only, answers each newline with the count of interrupt 0. The count was read after the
newline left and before the answer arrived: those two moments bracket it, with no assumption about what lies between.

Between samples the guest is left alone, so that it takes its ticks as they come. Edges still merge while a guest does not run: one that
stood still for three periods takes one interrupt for three ticks, on any board. Such a loss is a step in a count that is steady
otherwise; the ticks of that step may have been made unseen, so they widen the interval upwards, and upwards only: a bench that stands
still makes a slow timer inconclusive, and never hides a fast one.
"""

from __future__ import annotations

from threading import Event

from harness.clock import SYSTEM, Deadline
from harness.guest.linux import LinuxGuest
from harness.measure import Quantity, Rate, Sample, rate_from_counts

INPUT_CLOCK = 315e6 / 264
"""Hz; the PC's 14.31818 MHz crystal divided by twelve."""

COUNT_HZ250 = 4773
"""What Linux programs for HZ=250: round(1193182 / 250)."""

READ_IRQ0 = (
    'while read -r go && [ "$go" != end ]; do while read -r irq count rest; do case $irq in 0:) echo "=$count="; break;; esac; '
    "done </proc/interrupts; done"
)
ANSWER = rb"=(\d+)="

INTERVAL = 1.0
"""Seconds between two samples."""
FEWEST = 4
"""Samples before there is a rate."""
LONGEST = 60.0
"""Seconds after which the window is not lengthened any more."""


def sample_ticks(guest: LinuxGuest, wanted_uncertainty: float) -> Quantity:
    """The rate of interrupt 0 in Hz, sampled until its expanded uncertainty is small enough (or the longest window is over)."""
    samples: list[Sample] = []
    between = Event()
    begin = SYSTEM.monotonic()
    with guest.conversation(READ_IRQ0, end="end") as ask:
        while True:
            before = SYSTEM.monotonic()
            answer = ask("", ANSWER, Deadline.after(guest.command_seconds, "the count of interrupt 0"))
            samples.append(Sample(before, SYSTEM.monotonic(), int(answer.group(1))))
            between.wait(INTERVAL)
            if len(samples) < FEWEST:
                continue
            rate = with_unseen(rate_from_counts(samples))
            seconds = samples[-1].after - begin
            guest.events.emit("progress", text=f"{seconds:.0f} s of ticks: {rate.value:.3f} Hz ± {rate.uncertainty:.3f} Hz")
            if rate.uncertainty <= wanted_uncertainty or seconds > LONGEST:
                return rate


def with_unseen(rate: Rate) -> Quantity:
    """The rate's interval, widened by the ticks that may have merged while the guest did not run."""
    widening = rate.uneven / rate.seconds
    return Quantity(rate.value + widening / 2, rate.uncertainty + widening / 2)
