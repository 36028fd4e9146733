"""The clock of a QNX guest against the bench's reference clock.

The guest's `date` is asked. It ran after the question left and before the answer was there: those two moments bracket it.
"""

from __future__ import annotations

import re
from threading import Event

from harness.bench import ReferenceClock
from harness.guest.qnx import QnxGuest
from harness.measure import Quantity, Sample, rate_from_counts

CLOCK_LIMIT = 0.0033
"""Allowed relative error of the clock: that of the tick it is made of, the floor for comparison of `suites/timer8254`."""
WANTED_UNCERTAINTY = CLOCK_LIMIT / 2
"""An error of 1 % is six times this."""

STEPS = 100
"""Counts of the clock in a second: it goes in ticks, and the longest one is 10 ms."""
INTERVAL = 1.0
"""Seconds between two samples."""
FEWEST = 4
"""Samples before there is a rate."""
LONGEST = 400.0
"""Seconds after which the window is not lengthened any more: what a `date` that tells nothing but whole seconds takes."""
TOLD = re.compile(r"(\d+)(?:\.(\d\d)\d{7})?")


def measure_clock(guest: QnxGuest, reference: ReferenceClock) -> Quantity:
    """Seconds of the guest's clock in one second, over a window that is long enough, or the longest.

    Raises AssertionError when `date` tells no time or always the same.
    """
    between, samples, begin = Event(), list[Sample](), reference.monotonic()
    while True:
        before = reference.monotonic()
        said = guest.must(["date", "+%s.%N"]).text.strip()
        after = reference.monotonic()
        told = TOLD.match(said)
        assert told, f"the guest's `date` tells no time: {said!r}"
        steps = STEPS if told[2] else 1
        samples.append(Sample(before, after, int(told[1]) * steps + int(told[2] or 0)))
        if len(samples) >= FEWEST:
            assert samples[-1].count != samples[0].count, f"the guest's clock stands still: {said} for {after - begin:.0f} s"
            rate = rate_from_counts(samples)
            clock = Quantity(rate.value / steps, rate.uncertainty / steps)
            text = f"{after - begin:.0f} s of the guest's clock: {clock.value:.5f} ± {clock.uncertainty:.5f} of the reference"
            guest.events.emit("progress", text=text)
            if clock.uncertainty <= WANTED_UNCERTAINTY or after - begin > LONGEST:
                return clock
        between.wait(INTERVAL)
