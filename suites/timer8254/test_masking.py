"""timer8254's interrupt behind a masked pin of the I/O APIC, which root masks beside the kernel's back."""

from __future__ import annotations

import re
from threading import Event

import pytest

from fixtures.marks import judge, specification
from harness.bench import LinuxGuests
from harness.clock import SYSTEM
from harness.guest.linux import LinuxGuest
from suites.timer8254.clockevent import PERIODIC
from suites.timer8254.ticks import COUNT_HZ250, INPUT_CLOCK

pytestmark = judge("drivers")

SELECT, WINDOW, ENTRIES = 0x00, 0x10, 0x10
"""The I/O APIC's registers, and where its table begins behind them."""
MASKED = 1 << 16
SECONDS = 1.0
BURST = 0.2
"""Share of the edges lost while masked that a bench which was late just then may make up for."""


@pytest.fixture
def guest(linux_guests: LinuxGuests) -> LinuxGuest:
    """A guest that lives on without ticks: it has a periodic tick, and no other clock that could miss it."""
    return linux_guests.boot(PERIODIC)


def entry(guest: LinuxGuest) -> str:
    """Shell text that selects the low half of the timer's entry in the table, and the address where it is then."""
    found = re.search(r"address 0x([0-9a-f]+), GSI 0-", guest.kernel_log("IOAPIC"))
    pin = re.search(r"pin1=(\d+)", guest.kernel_log(r"\.\.TIMER"))
    assert found, "the kernel names no I/O APIC"
    assert pin, "the kernel did not report where it looked for the timer"
    base = int(found[1], 16)
    return f"devmem {base + SELECT:#x} 32 {ENTRIES + 2 * int(pin[1])}; at={base + WINDOW:#x}"


@specification("PIT-112")
def test_a_masked_timer_is_silent_and_comes_back_without_a_burst(guest: LinuxGuest) -> None:
    """For a second of a masked pin no tick comes; once it is open they come again, and those of the second are not made up for."""
    select = entry(guest)
    guest.must(["sh", "-c", f"{select}; devmem $at 32 $(($(devmem $at) | {MASKED}))"])
    masked = guest.interrupts()["0"].total
    Event().wait(SECONDS)
    silent = guest.interrupts()["0"].total
    begin = SYSTEM.monotonic()
    guest.must(["sh", "-c", f"{select}; devmem $at 32 $(($(devmem $at) & ~{MASKED}))"])
    assert silent == masked, f"{silent - masked} interrupts in {SECONDS:g} s of a masked pin"
    Event().wait(SECONDS)
    taken = guest.interrupts()["0"].total - silent
    most = (SYSTEM.monotonic() - begin + SECONDS * BURST) * INPUT_CLOCK / COUNT_HZ250
    assert 0 < taken <= most, f"{taken} interrupts since the pin was unmasked, where the timer made {most:.0f} at most"
