"""ser8250 judged by the stock Linux 8250 driver: what it takes the port for, and whether it silently works around it."""

from __future__ import annotations

import re

import pytest

from fixtures.marks import judge, specification
from harness.bench import LinuxGuests
from harness.guest.linux import LinuxGuest

pytestmark = judge("drivers")

WORKAROUNDS = {
    "enabling bad tx status workarounds": "UART_BUG_TXEN: with THRI enabled and the transmitter empty, IIR reported no interrupt",
    "using backup timer": "UART_BUG_THRE: enabling THRI with THR empty raised no interrupt the second time",
}
"""The driver's two silent work-arounds (8250_port.c, debug level) and what the device must have done to earn them."""


@pytest.fixture(scope="module")
def guest(linux_guests: LinuxGuests) -> LinuxGuest:
    """A guest with two ports whose 8250 driver tells its debug messages."""
    return linux_guests.boot()


@specification("UART-004", "UART-006", "UART-065", "UART-095")
@pytest.mark.parametrize(("port", "base", "irq"), [("ttyS0", "0x3f8", 4), ("ttyS1", "0x2f8", 3)])
def test_the_driver_finds_a_16550a(guest: LinuxGuest, port: str, base: str, irq: int) -> None:
    """Autoconfiguration (IER low nibble, FIFO bits in IIR, scratch register) ends in `16550A`."""
    assert f"{port} at I/O {base} (irq = {irq}, base_baud = 115200) is a 16550A" in guest.kernel_log()
    assert guest.read(f"/sys/class/tty/{port}/type") == "4", "the driver's port type is not PORT_16550A"


@specification("UART-050", "UART-099")
@pytest.mark.parametrize("port", ["ttyS0", "ttyS1"])
def test_no_silent_workaround_is_active(guest: LinuxGuest, port: str) -> None:
    """The start-up tests of the driver pass: neither work-around is switched on when the port is opened."""
    guest.must(["sh", "-c", f": </dev/{port}"])
    sites = guest.must(["grep", "-E", "|".join(WORKAROUNDS), "/proc/dynamic_debug/control"]).text.splitlines()
    assert len(sites) == len(WORKAROUNDS), "this kernel does not have the debug messages this test relies on"
    silent = [line for line in sites if "=p" not in line]
    assert not silent, f"debug messages are not switched on, so a work-around would go unseen: {silent}"
    active = [meaning for text, meaning in WORKAROUNDS.items() if re.search(rf"{port}.*{text}", guest.kernel_log())]
    assert not active, f"the driver works around {port}: {'; '.join(active)}"
