"""timer8254 as a one-shot clock event, and at rest: what Linux does with it once it has a better clock, or a better timer.

One-shot needs a clock source besides the ticks. A kernel that cannot find out the TSC's frequency by itself is told: it is booted once
with a guess, and its clock compared with the bench's reference clock.
"""

from __future__ import annotations

import pytest

from fixtures.marks import judge, specification
from fixtures.measure import Judge
from harness.bench import Bench, LinuxGuests
from harness.errors import Inconclusive
from harness.guest.linux import LinuxGuest
from harness.measure import Quantity
from suites.timer8254.clockevent import CLOCK_EVENTS, clock_event
from suites.timer8254.ticks import measure_clock
from suites.timer8254.trace import TRACE, read_trace, tracing

pytestmark = judge("drivers")

CLOCK_SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
GUESS = 2_000_000
"""kHz"""
TRACED = {"0.02": 40, "0.1": 20, "1": 6}
"""Seconds asked for, and how often: sleeps whose ends the kernel traces. One count holds 27 ms, so the longer ones are chains."""
LATE_COUNT = 0.003
"""Seconds by which the more punctual of them may be late: less than a period of a 250 Hz tick."""
FEW_SECONDS = 5.0
"""How long the clock is compared for: 1 % is enough."""
LATENESS = (
    '/irq=0 / {if (most) printf "%d ", most; most = 0} '
    '/: hrtimer/ {for (i = 1; i <= NF; i++) {split($i, pair, "="); field[pair[1]] = pair[2]} timer = field["hrtimer"]} '
    '/hrtimer_start/ {due[timer] = field["expires"]} '
    '/hrtimer_expire/ && timer in due {late = field["now"] - due[timer]; if (late > most) most = late; delete due[timer]}'
)
"""An awk program that prints from a trace how late each interrupt was for the timer that waited longest for it, in nanoseconds."""
REST = 2.0
"""Seconds a silenced timer has to be silent (PIT-116)."""

BOOTS = 3
"""A kernel that finds its LAPIC timer uneven while it boots stays with the PIT: a bench that stood still then is given another chance."""


@pytest.fixture(scope="module")
def guest(linux_guests: LinuxGuests, bench: Bench) -> LinuxGuest:
    """A guest whose clock is the TSC and whose tick device is the PIT."""
    guest = linux_guests.boot()
    if guest.read(CLOCK_SOURCE) != "tsc":
        guest = linux_guests.boot(("tsc=reliable", f"tsc_early_khz={GUESS}"))
        with bench.reference() as reference:
            clock = measure_clock(guest, reference, FEW_SECONDS)
        guest = linux_guests.boot(("tsc=reliable", f"tsc_early_khz={round(GUESS * clock.value)}"))
    source = guest.read(CLOCK_SOURCE)
    if source != "tsc":
        raise Inconclusive(f"the guest's clock source is {source}, so its kernel does not use one-shot timers", "look at its log for tsc:")
    return guest


@specification("PIT-095")
def test_the_pit_is_driven_one_shot(guest: LinuxGuest) -> None:
    """The kernel has gone over from periodic ticks to one count for each event."""
    assert clock_event(guest) == "one-shot"


@specification("PIT-095")
@pytest.mark.parametrize("seconds", TRACED)
def test_a_written_count_gives_its_interrupt_in_time(guest: LinuxGuest, measured: Judge, seconds: str) -> None:
    """The kernel traces what each interrupt was to end, and when it came: the more punctual are not late.

    The count is written for the timer that is due first. A bench is late at random, so the most punctual quarter counts, and is uncertain
    by how far it is from the most punctual twentieth. A timer that is late is late every time.
    """
    guest.events.emit("progress", text=f"{TRACED[seconds]} sleeps of {seconds} s")
    with tracing(guest, ("timer/hrtimer_start", "timer/hrtimer_expire_entry")):
        guest.must(["sh", "-c", f"for i in $(seq {TRACED[seconds]}); do sleep {seconds}; done"])
    late = sorted(int(word) * 1e-9 for word in read_trace(guest, LATENESS))
    if len(late) < TRACED[seconds]:
        raise Inconclusive(f"the kernel traced {len(late)} interrupts in {TRACED[seconds]} sleeps", f"look at {TRACE} in the guest")
    quarter, twentieth = late[len(late) // 4], late[len(late) // 20]
    measured(f"timer8254.late_{seconds}", Quantity(quarter, quarter - twentieth), unit="s", expected=0.0, limit=LATE_COUNT)


@specification("PIT-116")
@pytest.mark.parametrize("kernel", ["stable", "newer"])
def test_a_timer_that_is_shut_down_is_silent(request: pytest.FixtureRequest, linux_guests: LinuxGuests, kernel: str) -> None:
    """Once the LAPIC's timer has taken over, the kernel keeps the PIT for broadcasts, shut down in its own way: no interrupt comes."""
    version = request.getfixturevalue("newer_kernel") if kernel == "newer" else ""
    for _ in range(BOOTS):
        guest = linux_guests.boot(kernel=version, without=("nolapic_timer",))
        if guest.read(f"{CLOCK_EVENTS}/clockevent0/current_device") != "pit":
            break
        linux_guests.stop()
    else:
        raise Inconclusive(
            f"the kernel trusted no other timer than the PIT in {BOOTS} boots",
            "see `pytest suites/timer8254/test_linux.py`: it measures that timer by the PIT; if that is even, run on a quieter bench",
        )
    assert guest.read(f"{CLOCK_EVENTS}/broadcast/current_device") == "pit"
    assert clock_event(guest) == "shutdown"
    before = guest.interrupts()["0"].total
    guest.must(["sleep", str(REST)])
    after = guest.interrupts()["0"].total
    assert after == before, f"{after - before} interrupts in {REST:g} s after the timer was shut down"
