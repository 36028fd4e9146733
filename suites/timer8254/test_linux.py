"""timer8254 judged by the stock Linux kernel: it takes its tick from the PIT through the I/O APIC, at the right rate.

The kernel is told not to use its LAPIC timer (`nolapic_timer`) and there is no HPET, so that the PIT is the tick device; the
clock source is then `refined-jiffies`, so that a lost tick is lost time. The reference is the lab controller's monotonic clock.
"""

from __future__ import annotations

import re

import pytest

from fixtures.marks import judge, specification
from fixtures.measure import Judge
from harness.bench import LinuxGuests
from harness.guest.linux import LinuxGuest
from suites.timer8254.ticks import COUNT_HZ250, INPUT_CLOCK, TICK_LIMIT, sample_ticks

pytestmark = judge("drivers")


@pytest.fixture(scope="module", params=["", "nohz=off highres=off"], ids=["default", "nohz=off highres=off"])
def guest(request: pytest.FixtureRequest, linux_guests: LinuxGuests) -> LinuxGuest:
    """A guest whose tick device is the PIT."""
    return linux_guests.boot(arguments=str(request.param).split())


@specification("PIT-110")
def test_the_kernel_finds_the_timer_on_io_apic_pin_0(guest: LinuxGuest) -> None:
    """`check_timer` sees ticks on the pin the configuration names, at the first try."""
    log = guest.kernel_log()
    found = re.search(r"\.\.TIMER: vector=0x\w+ apic1=(\d+) pin1=(\d+)", log)
    assert found, "the kernel did not report where it looked for the timer"
    assert found.groups() == ("0", "0")
    assert "MP-BIOS bug" not in log, "the kernel did not get ticks on the I/O APIC pin and tried other wirings"


@specification("PIT-033", "PIT-110")
def test_the_pit_is_the_tick_device(guest: LinuxGuest) -> None:
    """Clock event device 0 is `pit`, and its line is an edge-triggered I/O APIC interrupt."""
    assert guest.read("/sys/devices/system/clockevents/clockevent0/current_device") == "pit"
    line = guest.interrupts()["0"]
    assert "IO-APIC" in line.kind
    assert "edge" in line.kind


@specification("PIT-018", "PIT-033", "PIT-079")
def test_one_interrupt_per_period_at_the_right_rate(guest: LinuxGuest, measured: Judge) -> None:
    """Mode 2 with count 4773 interrupts once every 4773 input clocks: 249.9857 Hz by the lab controller's clock."""
    nominal = INPUT_CLOCK / COUNT_HZ250
    rate = sample_ticks(guest, wanted_uncertainty=nominal * TICK_LIMIT / 4)
    measured("timer8254.tick_rate", rate, unit="Hz", expected=nominal, limit=nominal * TICK_LIMIT)
