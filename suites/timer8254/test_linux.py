"""timer8254 judged by the stock Linux kernel: it takes its tick from the PIT through the I/O APIC, at the right rate.

The kernel is told not to use its LAPIC timer (`nolapic_timer`) and there is no HPET, so that the PIT is the tick device. With
`tsc=unstable clocksource=refined-jiffies` the ticks are the guest's time as well, and a lost one is lost time. The reference is the
bench's clock for it: the lab controller's, or the host's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from fixtures.marks import judge, specification
from fixtures.measure import Judge
from harness.bench import Bench, LinuxGuests
from harness.errors import Inconclusive
from harness.guest.linux import LinuxGuest
from suites.timer8254.clockevent import CLOCK_EVENTS, PERIODIC, clock_event
from suites.timer8254.record import stray_ticks
from suites.timer8254.ticks import COUNT_HZ250, INPUT_CLOCK, RECORDS, TICK_LIMIT, Ticks, measure_ticks

pytestmark = judge("drivers")

NOMINAL = INPUT_CLOCK / COUNT_HZ250
STRAY_LIMIT = 1
"""Ticks of a record that may be lost or come twice."""
NO_TICKS = "MP-BIOS bug"
"""What the kernel says when it saw no ticks on the I/O APIC pin and tries other wirings."""


class Booted(NamedTuple):
    """A guest, and whether it took a second boot to find its ticks."""

    guest: LinuxGuest
    again: bool


@pytest.fixture(scope="module", params=["newer kernel", "ticks as time"])
def booted(request: pytest.FixtureRequest, linux_guests: LinuxGuests) -> Booted:
    """A guest whose tick device is the PIT: of a newer kernel as it comes, and of the release's with no other time than its ticks.

    The kernel looks for its ticks for 40 ms. A bench that stood still just then shows what a dead timer shows, once.
    """

    def boot() -> LinuxGuest:
        if request.param == "ticks as time":
            return linux_guests.boot(PERIODIC)
        return linux_guests.boot(kernel=request.getfixturevalue("newer_kernel"))

    guest = boot()
    if NO_TICKS not in guest.kernel_log(NO_TICKS):
        return Booted(guest, again=False)
    linux_guests.stop()
    return Booted(boot(), again=True)


@pytest.fixture(scope="module")
def guest(booted: Booted) -> LinuxGuest:
    return booted.guest


@pytest.fixture(scope="module")
def ticks(guest: LinuxGuest, bench: Bench) -> Ticks:
    """Ticks and the guest's clock against the reference clock, measured once for all who ask."""
    if (mode := clock_event(guest)) != "periodic":
        pytest.skip(f"the kernel drives the PIT in mode {mode}, where ticks have no rate and no place; test_oneshot.py judges that")
    with bench.reference() as reference:
        return measure_ticks(guest, reference, wanted_uncertainty=NOMINAL * TICK_LIMIT / 4)


@specification("PIT-110")
def test_the_kernel_finds_the_timer_on_io_apic_pin_0(booted: Booted) -> None:
    """`check_timer` sees ticks on the pin the configuration names, at the first try."""
    log = booted.guest.kernel_log(rf"\.\.TIMER|{NO_TICKS}|8254|timer doesn't work")
    found = re.search(r"\.\.TIMER: vector=0x\w+ apic1=(\d+) pin1=(\d+)", log)
    assert found, "the kernel did not report where it looked for the timer"
    assert found.groups() == ("0", "0")
    assert NO_TICKS not in log, "the kernel did not get ticks on the I/O APIC pin and tried other wirings, at a second boot too"
    if booted.again:
        raise Inconclusive(
            "the kernel got no ticks on the I/O APIC pin at a first boot, and did at a second",
            "run again on a quieter lab controller; if it comes back there, the timer is late now and then",
        )


@specification("PIT-110")
def test_the_pit_is_the_tick_device(guest: LinuxGuest) -> None:
    """Clock event device 0 is `pit`, and its line is an edge-triggered I/O APIC interrupt."""
    assert guest.read(f"{CLOCK_EVENTS}/clockevent0/current_device") == "pit"
    line = guest.interrupts()["0"]
    assert "IO-APIC" in line.kind
    assert "edge" in line.kind


@specification("PIT-033")
def test_it_reloads_and_repeats_by_itself(ticks: Ticks) -> None:
    """A thousand periods and more from one count that the kernel wrote once."""
    assert ticks.steps.periods >= 1000


@specification("PIT-018", "PIT-079")
def test_one_interrupt_per_period_at_the_right_rate(ticks: Ticks, measured: Judge) -> None:
    """Mode 2 with count 4773 interrupts once every 4773 input clocks: 249.9857 Hz by the reference clock."""
    measured("timer8254.tick_rate", ticks.rate, unit="Hz", expected=NOMINAL, limit=NOMINAL * TICK_LIMIT)


@specification("PIT-018", "PIT-079")
def test_no_tick_is_lost_from_the_guests_clock(guest: LinuxGuest, ticks: Ticks, measured: Judge) -> None:
    """Where ticks are all the time there is, the guest's clock goes as fast as the reference clock."""
    source = guest.read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source != "refined-jiffies":
        pytest.skip(f"the guest's clock is its {source}, not its ticks")
    measured("timer8254.guest_clock", ticks.clock, unit="s/s", expected=1.0, limit=TICK_LIMIT)


@specification("PIT-079", "PIT-110", "PIT-112")
def test_no_single_tick_is_lost_or_comes_twice(guest: LinuxGuest, ticks: Ticks, bench: Bench, measured: Judge) -> None:
    """Of five thousand ticks, each stamped by the guest's kernel, none is missing and none is there twice.

    No bench makes ticks. One without `cpu.steady` merges two now and then though the guest runs, by accident: that is what their number
    is uncertain by, and why one record may not be enough. It merges none at even distances, so those are the timer's there as well.
    """
    steady = bench.board.has("cpu.steady")
    records = [ticks.steps]
    while (stray := stray_ticks(records, steady)).uncertainty > STRAY_LIMIT and len(records) < RECORDS:
        guest.events.emit("progress", text=f"{stray.uncertainty:.1f} ticks may be the bench's: recording once more")
        with bench.reference() as reference:
            records.append(measure_ticks(guest, reference, wanted_uncertainty=NOMINAL).steps)
    measured("timer8254.stray_ticks", stray, unit="ticks", expected=0, limit=STRAY_LIMIT)
