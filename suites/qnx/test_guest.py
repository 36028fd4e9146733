"""timer8254 and ser8250 judged by a QNX guest that the user supplies: its shell, its serial driver, its clock."""

from __future__ import annotations

from threading import Event

from fixtures.marks import judge, specification
from fixtures.measure import Judge
from harness.clock import SYSTEM
from harness.guest.qnx import QnxGuest, parse_pidin
from harness.measure import Quantity, Sample, rate_from_counts

pytestmark = judge("drivers")

DRIVER = "devc-ser8250"
CLOCK_LIMIT = 0.02
"""Allowed relative error of the guest's clock: what whole seconds over the window can show."""
WINDOW = 120.0
"""Seconds."""
INTERVAL = 5.0


@specification("UART-029", "UART-033")
def test_the_guest_comes_to_its_prompt(qnx_guest: QnxGuest) -> None:
    """What it prints and what is typed at it pass through ser8250 unharmed."""
    assert qnx_guest.release, "the guest did not say its release"
    assert qnx_guest.must(["echo", "alive"]).text == "alive\n"


@specification("UART-050", "UART-057")
def test_the_serial_driver_runs_on_the_ports(qnx_guest: QnxGuest) -> None:
    """`devc-ser8250` serves the console and did not end, and `stty` reads its port's settings."""
    threads = parse_pidin(qnx_guest.must(["pidin"]).text)
    assert threads, "pidin lists no thread"
    assert any(thread.program == DRIVER for thread in threads), f"{DRIVER} does not run: {sorted({thread.program for thread in threads})}"
    assert qnx_guest.must(["sh", "-c", "stty </dev/ser1"]).text.strip(), "stty says nothing of /dev/ser1"


@specification("PIT-033", "PIT-034", "PIT-079")
def test_the_guests_clock_keeps_time(qnx_guest: QnxGuest, measured: Judge) -> None:
    """The guest's clock, made of the timer's ticks, goes as fast as the lab controller's."""
    between, samples = Event(), list[Sample]()
    begin = SYSTEM.monotonic()
    while SYSTEM.monotonic() - begin < WINDOW:
        before = SYSTEM.monotonic()
        seconds = int(qnx_guest.must(["date", "+%s"]).text)
        samples.append(Sample(before, SYSTEM.monotonic(), seconds))
        between.wait(INTERVAL)
    rate = rate_from_counts(samples)
    measured("timer8254.guest_clock", Quantity(rate.value, rate.uncertainty), unit="s/s", expected=1.0, limit=CLOCK_LIMIT)
