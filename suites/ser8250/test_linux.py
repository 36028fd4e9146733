"""ser8250 judged by the stock Linux 8250 driver: what it takes the port for, and whether it silently works around it."""

from __future__ import annotations

import re

import pytest

from fixtures.marks import claimed, judge, specification
from harness.bench import Bench, LinuxGuests
from harness.guest.linux import LinuxGuest
from suites.ser8250.driver import four_ports

pytestmark = judge("drivers")

WORKAROUNDS = {
    "enabling bad tx status workarounds": "UART_BUG_TXEN: with THRI enabled and the transmitter empty, IIR reported no interrupt",
    "using backup timer": "UART_BUG_THRE: enabling THRI with THR empty raised no interrupt the second time",
}
"""The driver's two silent work-arounds (8250_port.c, debug level) and what the device must have done to earn them."""


@pytest.fixture(scope="module", params=["stable", "newer"])
def guest(request: pytest.FixtureRequest, linux_guests: LinuxGuests, bench: Bench) -> LinuxGuest:
    """A guest whose 8250 driver tells its debug messages: of the release's kernel, and of a newer one with four ports."""
    if request.param == "stable":
        return linux_guests.boot()
    return linux_guests.boot(kernel=request.getfixturevalue("newer_kernel"), ports=four_ports(bench.board))


@claimed("ser8250.16550a")
@specification("UART-004", "UART-065", "UART-095")
@pytest.mark.parametrize(("port", "base", "irq"), [("ttyS0", "0x3f8", 4), ("ttyS1", "0x2f8", 3)])
def test_the_driver_finds_a_16550a(guest: LinuxGuest, port: str, base: str, irq: int) -> None:
    """Autoconfiguration (IER low nibble, FIFO bits in IIR) ends in `16550A`."""
    assert f"{port} at I/O {base} (irq = {irq}, base_baud = 115200) is a 16550A" in guest.kernel_log("at I/O")
    assert guest.read(f"/sys/class/tty/{port}/type") == "4", "the driver's port type is not PORT_16550A"


@specification("UART-050", "UART-099")
def test_no_silent_workaround_is_active(guest: LinuxGuest) -> None:
    """The start-up tests of the driver pass on both ports: neither work-around is switched on when a port is opened.

    One of the messages does not say which port it is about, so they are judged together.
    """
    for port in ("ttyS0", "ttyS1"):
        guest.must(["sh", "-c", f": </dev/{port}"])
    sites = guest.must(["grep", "-E", "|".join(WORKAROUNDS), "/proc/dynamic_debug/control"]).text.splitlines()
    assert len(sites) == len(WORKAROUNDS), "this kernel does not have the debug messages this test relies on"
    silent = [line for line in sites if "=p" not in line]
    assert not silent, f"debug messages are not switched on, so a work-around would go unseen: {silent}"
    told = guest.kernel_log("|".join(WORKAROUNDS)).splitlines()
    active = [f"{line} ({meaning})" for line in told for text, meaning in WORKAROUNDS.items() if text in line]
    assert not active, f"the driver works around the device: {'; '.join(active)}"


@specification("UART-026")
def test_no_port_is_refused(guest: LinuxGuest) -> None:
    """The driver opens every port it found: LSR of none reads 0xff, as where there is no UART."""
    found = re.findall(r"(ttyS\d) at I/O", guest.kernel_log("ttyS[0-9] at I/O"))
    assert found, "the driver found no port"
    for port in found:
        guest.must(["sh", "-c", f": </dev/{port}"])
    assert (refused := guest.kernel_log("LSR safety check")) == "", refused
