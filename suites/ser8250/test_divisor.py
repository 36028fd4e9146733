"""Whether the divisor a guest programs into ser8250 reaches the serial port of the host behind it.

The documentation of `hostdev` leaves that open, so the board file claims it or does not. The host's own `stty` is asked.
"""

from __future__ import annotations

import re

import pytest

from fixtures.marks import claimed, judge, specification
from harness.bench import Bench, LinuxGuests

pytestmark = [judge("drivers"), claimed("ser8250.divisor")]

RATES = (9600, 19200, 115200)
"""The last one is what every other test expects to find."""


@specification("UART-015")
def test_the_hosts_port_takes_the_guests_rate(bench: Bench, linux_guests: LinuxGuests) -> None:
    """The host's port behind ttyS1 runs at the rate that the guest's driver programs, for each of several rates."""
    device = next((line.device for line in bench.board.line.values() if line.device), None)
    if device is None:
        pytest.skip(f"{bench.board.name} has no line with a host device: add [line.NAME] with device and url to the bench file")
    guest = linux_guests.boot()
    for rate in RATES:
        guest.must(["sh", "-c", f"stty {rate} </dev/ttyS1"])
        said = bench.host.run(["sh", "-c", f"stty <{device}"]).text
        assert re.search(rf"\b{rate}\b", said), f"the guest set {rate} baud, and the host's stty says of {device}: {said.splitlines()[0]}"
