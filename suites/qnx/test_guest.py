"""timer8254 and ser8250 judged by a QNX guest that the user supplies: its shell, its serial driver, its clock."""

from __future__ import annotations

import re

from fixtures.marks import judge, specification
from fixtures.measure import Judge
from harness.bench import ReferenceClock
from harness.guest.qnx import QnxGuest, parse_pidin
from suites.qnx.clock import CLOCK_LIMIT, measure_clock

pytestmark = judge("drivers")

DRIVER = "devc-ser8250"
PORT = "/dev/ser1"
RATE = 115200
"""bit/s; the console's, which is that port."""


@specification("UART-029", "UART-033")
def test_the_guest_comes_to_its_prompt(qnx_guest: QnxGuest) -> None:
    """What it prints and what is typed at it pass through ser8250 unharmed."""
    assert qnx_guest.release, "the guest did not say its release"
    assert qnx_guest.must(["echo", "alive"]).text == "alive\n"


@specification("UART-050", "UART-057")
def test_the_serial_driver_runs_on_the_ports(qnx_guest: QnxGuest) -> None:
    """`devc-ser8250` serves the console and did not end, and `stty` reads the console's own rate from it."""
    threads = parse_pidin(qnx_guest.must(["pidin"]).text)
    assert threads, "pidin lists no thread"
    assert any(thread.program == DRIVER for thread in threads), f"{DRIVER} does not run: {sorted({thread.program for thread in threads})}"
    said = qnx_guest.must(["sh", "-c", f"stty <{PORT}"]).text.strip()
    assert re.search(rf"(?<!\d){RATE}(?!\d)", said), f"stty does not say that {PORT}, the console, runs at {RATE} bit/s: {said!r}"


@specification("PIT-033", "PIT-034", "PIT-079")
def test_the_guests_clock_keeps_time(qnx_guest: QnxGuest, reference: ReferenceClock, measured: Judge) -> None:
    """The guest's clock, made of the timer's ticks, goes as fast as the reference clock."""
    measured("timer8254.guest_clock", measure_clock(qnx_guest, reference), unit="s/s", expected=1.0, limit=CLOCK_LIMIT)
