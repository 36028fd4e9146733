"""Whether the divisor a guest programs into ser8250 reaches the serial port of the host behind it.

The documentation of `hostdev` leaves that open, so the board file claims it or does not. The host's own `stty` is asked.
"""

from __future__ import annotations

import re

import pytest

from fixtures.marks import claimed, judge, specification
from harness.bench import Bench, LinuxGuests
from suites.ser8250.driver import PORT, make_raw
from suites.ser8250.ioctl import CUSTOM_DIVISOR, DIVISOR, FLAGS, command

pytestmark = [judge("drivers"), claimed("ser8250.divisor")]

RATES = (9600, 19200, 115200)
"""The last one is what every other test expects to find."""
BASE, CUSTOM = 115200, 24
"""The rate of divisor 1, and a divisor."""


@specification("UART-015")
def test_the_hosts_port_takes_the_guests_rate(bench: Bench, linux_guests: LinuxGuests) -> None:
    """The host's port behind ttyS1 runs at the rate that the guest's driver programs, for each of several rates."""
    device = device_behind(bench)
    guest = linux_guests.boot()
    for rate in RATES:
        guest.must(["sh", "-c", f"stty {rate} </dev/ttyS1"])
        said = bench.host.run(["sh", "-c", f"stty <{device}"]).text
        assert re.search(rf"\b{rate}\b", said), f"the guest set {rate} baud, and the host's stty says of {device}: {said.splitlines()[0]}"


@specification("UART-010", "UART-015")
def test_the_hosts_port_takes_a_custom_divisor(bench: Bench, linux_guests: LinuxGuests) -> None:
    """As `setserial spd_cust divisor N` asks for it: 38400 baud stands for N then, and N is what the line goes by."""
    device = device_behind(bench)
    guest = linux_guests.boot()
    make_raw(guest, PORT, "38400")
    held = "open F, '>', '/tmp/custom'; close F; rest 0.05 until -e '/tmp/asked'; unlink '/tmp/asked', '/tmp/custom'"
    with guest.background(command(f"set_serial {FLAGS}, {CUSTOM_DIVISOR}, {DIVISOR}, {CUSTOM}; {held}")):
        guest.run_text("until [ -e /tmp/custom ]; do sleep 0.05; done")
        said = bench.host.run(["sh", "-c", f"stty <{device}"]).text
        guest.must(["touch", "/tmp/asked"])
    make_raw(guest)
    rate = BASE // CUSTOM
    assert re.search(rf"\b{rate}\b", said), f"the guest set divisor {CUSTOM}, and the host's stty says of {device}: {said.splitlines()[0]}"


def device_behind(bench: Bench) -> str:
    """The host's port that ttyS1 is bridged to."""
    device = next((line.device for line in bench.board.line.values() if line.device), None)
    if device is None:
        pytest.skip(f"{bench.board.name} has no line with a host device: add [line.NAME] with device and url to the bench file")
    return device
