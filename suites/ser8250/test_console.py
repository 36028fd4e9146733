"""ser8250 as the guest's console: the kernel writes it by polling, in between what a shell does by interrupts."""

from __future__ import annotations

import re

import pytest

from fixtures.marks import judge, needs, specification
from fixtures.measure import Judge
from harness.bench import Bench, LinuxGuests
from harness.clock import SYSTEM, Deadline
from harness.guest.linux import LinuxGuest
from harness.measure import Quantity
from suites.ser8250.driver import assert_no_complaint

pytestmark = judge("drivers")

CONSOLE = "/dev/ttyS0"
MESSAGES = 100
GIVES_UP = 10e-3
"""Seconds the kernel waits for THRE before it writes a console's character all the same (8250_port.c)."""


@pytest.fixture(scope="module")
def guest(linux_guests: LinuxGuests) -> LinuxGuest:
    """Any guest: its console is ttyS0."""
    return linux_guests.boot()


@specification("UART-026", "UART-029", "UART-054", "UART-057")
def test_kernel_messages_and_a_shell_share_the_console(guest: LinuxGuest, measured: Judge) -> None:
    """A hundred kernel messages come out whole and in order while a shell writes to the same port, and the port lives on.

    The kernel masks the port's interrupts around each message and counts on them being raised again. It waits for THRE at every
    character: a transmitter that does not tell costs 10 ms each.
    """
    messages = f'for n in $(seq {MESSAGES}); do echo "<1>console load $n of {MESSAGES}." >/dev/kmsg; done'
    shell = "i=0; while [ $i -lt 20 ]; do echo shell $i.; i=$((i+1)); done"
    cursor, begin, offset = guest.console.cursor(), SYSTEM.monotonic(), guest.console.offset
    guest.must(["dmesg", "-n", "8"])
    try:
        guest.run_text(f"( {messages} ) & {shell} >{CONSOLE}; wait", timeout=4 * guest.command_seconds)
    finally:
        guest.must(["dmesg", "-n", "1"])
    cursor.expect(f"console load {MESSAGES} of".encode(), Deadline.after(guest.command_seconds, "the last message"))
    text = guest.console.slice(offset)
    numbers = [int(found) for found in re.findall(rb"console load (\d+) of %d\." % MESSAGES, text)]
    assert numbers == list(range(1, MESSAGES + 1)), f"messages came as {numbers}"
    assert_no_complaint(guest, CONSOLE)
    per_character = (SYSTEM.monotonic() - begin) / len(text)
    measured("ser8250.console_character", Quantity(per_character, 0.0), unit="s", expected=0.0, limit=GIVES_UP / 2)


@needs("line.break")
@specification("UART-022", "UART-039")
def test_sysrq_by_break(guest: LinuxGuest, bench: Bench) -> None:
    """A break on the console and then `h` make the kernel print its list of system requests."""
    guest.must(["sh", "-c", "echo 1 >/proc/sys/kernel/sysrq"])
    bench.console("guest").send_break(0.25)
    bench.console("guest").write(b"h", Deadline.after(guest.command_seconds, "the port to take a byte"))
    guest.must(["true"])
    assert "sysrq: HELP" in guest.kernel_log("sysrq")
