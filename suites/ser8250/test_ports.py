"""Several ser8250: four in one VM, two of them on each interrupt line, and the ports of two VMs that run at once."""

from __future__ import annotations

import pytest

from fixtures.lines import Line
from fixtures.marks import judge, specification
from harness.bench import Bench, LinuxGuests
from harness.guest.linux import LinuxGuest
from suites.ser8250.driver import assert_no_complaint, four_ports, make_raw
from suites.ser8250.pattern import first_difference, pattern, script

pytestmark = judge("drivers")

BLOCKS = 16
"""4 KiB through each port."""
SIZE = len(pattern(BLOCKS))


@pytest.fixture(scope="module")
def guest(linux_guests: LinuxGuests, bench: Bench, newer_kernel: str) -> LinuxGuest:
    """A guest with all the ports a PC has."""
    return linux_guests.boot(kernel=newer_kernel, ports=four_ports(bench.board))


@specification("UART-085", "UART-089", "UART-095", "UART-111")
def test_four_ports_are_found(guest: LinuxGuest) -> None:
    """The driver takes all four for a 16550A; the fourth is the one whose loopback it tests."""
    found = [f"ttyS{number} at I/O {base}" for number, base in enumerate(("0x3f8", "0x2f8", "0x3e8", "0x2e8"))]
    log = guest.kernel_log("ttyS[0-9] at I/O .* is a 16550A")
    assert all(port in log for port in found), log
    assert len(log.splitlines()) == len(found), log


@specification("UART-029", "UART-057", "UART-111")
def test_ports_that_share_interrupts_send_and_receive_at_once(guest: LinuxGuest, line_ser2: Line, line_ser4: Line) -> None:
    """ttyS1 and ttyS2 echo while their neighbours on the same interrupt, the console and ttyS3, are busy: each gets its own bytes."""
    expected = pattern(BLOCKS)
    ports = {"/dev/ttyS1": line_ser2, "/dev/ttyS2": line_ser4}
    for port in ports:
        make_raw(guest, port)
    guest.must(["sh", "-c", script("/tmp/sent", BLOCKS)])
    neighbour = "stty -F /dev/ttyS3 raw 115200; for n in 1 2 3 4; do echo from-ttyS3-$n >/dev/ttyS3; done"
    echo = " & ".join(f"{{ head -c {SIZE} <&3 >{port.replace('dev', 'tmp')}; cat /tmp/sent >&3; }} 3<>{port}" for port in ports)
    with guest.background(f"{echo} & {neighbour}; wait") as job:
        for port, line in ports.items():
            job.reading(port)
            line.start()
            line.write(expected)
        received = {port: line.take(SIZE) for port, line in ports.items()}
    for port, data in received.items():
        assert data == expected, f"{port}: {first_difference(expected, data)}"
        assert guest.cksum(port.replace("dev", "tmp")) == guest.cksum_of(expected), f"{port} did not receive what was sent"
        assert_no_complaint(guest, port)
    assert all(f"from-ttyS3-{n}\n" in guest.vm.output() for n in range(1, 5)), "what the guest wrote to ttyS3 did not come out of qvm"


@specification("UART-029", "UART-109")
def test_two_machines_at_once(linux_guests: LinuxGuests, linux_guests_on_ser4: LinuxGuests, bench: Bench, line_ser2: Line) -> None:
    """Two VMs with their own names and host devices: neither hears the other, and one outlives the other's end."""
    first = linux_guests.boot()
    make_raw(first)
    second = linux_guests_on_ser4.boot()
    assert {first.vm.system, second.vm.system} <= set(bench.host.run(["ls", "/dev/qvm"]).text.split())
    line_ser2.start()
    first.must(["sh", "-c", "echo first >/tmp/name; printf 'from the first' >/dev/ttyS1"])
    second.must(["sh", "-c", "echo second >/tmp/name"])
    assert (first.read("/tmp/name"), second.read("/tmp/name")) == ("first", "second")
    linux_guests_on_ser4.stop()
    left = bench.host.run(["ls", "/dev/qvm"]).text.split()
    assert first.vm.system in left, f"the end of {second.vm.system} took {first.vm.system} from /dev/qvm, which has {left}"
    assert second.vm.system not in left, f"/dev/qvm still has {second.vm.system}"
    received = line_ser2.take(14)
    assert received == b"from the first", f"while there were two VMs the guest of one sent 'from the first', and {received!r} came"
    assert first.read("/tmp/name") == "first"
    assert_no_complaint(first)
