"""ser8250 bridged to the board's /dev/ser2: what the guest sends and receives on ttyS1 is what is on the line, byte for byte."""

from __future__ import annotations

import pytest

from fixtures.lines import Line
from fixtures.marks import judge, specification
from harness.bench import LinuxGuests
from harness.guest.linux import LinuxGuest
from suites.ser8250.pattern import SIZE, first_difference, pattern, script

pytestmark = judge("drivers")

PORT = "/dev/ttyS1"
SENT_AT_ONCE = 4096
"""Bytes: what every tty on the way can hold while the program behind it does not read."""
BLOCKS_SENT = SIZE // SENT_AT_ONCE


@pytest.fixture(scope="module")
def guest(linux_guests: LinuxGuests) -> LinuxGuest:
    """A guest whose ttyS1 is raw at the line's bit rate."""
    guest = linux_guests.boot()
    guest.must(["stty", "-F", PORT, "115200", "raw", "-echo", "-crtscts"])
    return guest


def error_counters(guest: LinuxGuest) -> str:
    """The driver's own error counters of ttyS1 (`fe`, `pe`, `brk`, `oe`), as it prints them; empty without errors."""
    line = next(line for line in guest.read("/proc/tty/driver/serial").splitlines() if line.startswith("1:"))
    return " ".join(word for word in line.split() if word.partition(":")[0] in ("fe", "pe", "brk", "oe"))


@specification("UART-028", "UART-029", "UART-031")
def test_the_guest_sends_256_kib_unchanged(guest: LinuxGuest, line_ser2: Line) -> None:
    """What a program in the guest writes to ttyS1 arrives on the line complete and in order, and nothing else does.

    It starts when it is told to on the same line, so that nobody needs the guest's console while the guest is busy sending.
    """
    guest.must(["sh", "-c", script("/tmp/sent")])
    sender = f"{{ head -c 1 <&3 >/dev/null; cat /tmp/sent >&3; }} 3<>{PORT}"
    with guest.background(sender) as job:
        job.reading(PORT)
        line_ser2.start()
        line_ser2.write(b"!")
        received = line_ser2.take(SIZE)
    assert received == pattern(), first_difference(pattern(), received)


@specification("UART-029", "UART-033", "UART-034", "UART-037")
def test_the_guest_receives_256_kib_unchanged(guest: LinuxGuest, line_ser2: Line) -> None:
    """What comes in on the line reaches a program reading ttyS1 complete and in order, without overrun.

    The line has no flow control, so the program acknowledges each block before the next one is sent.
    """
    guest.must(["rm", "-f", "/tmp/received"])
    reader = f"for n in $(seq {BLOCKS_SENT}); do head -c {SENT_AT_ONCE} <&3 >>/tmp/received; printf . >&3; done 3<>{PORT}"
    with guest.background(reader) as receiver:
        receiver.reading(PORT)
        acknowledged = line_ser2.send(pattern(), SENT_AT_ONCE, b".")
        assert acknowledged == SIZE, f"the guest did not receive a whole block after {acknowledged} bytes"
    assert error_counters(guest) == "", "the driver counted line errors"
    received = guest.fetch("/tmp/received") if guest.cksum("/tmp/received") != guest.cksum_of(pattern()) else pattern()
    assert received == pattern(), first_difference(pattern(), received)
