"""A port as its driver tells and sets it by the ioctls that `stty` has no words for: perl in the guest asks.

A program is perl text behind `PRELUDE`, which has the port open; what it says comes back as rows of numbers. However it ends, the port is
left as it was found, out of loopback.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

from harness.command import quote
from harness.guest.linux import LinuxGuest
from suites.ser8250.driver import PORT


class Modem(IntFlag):
    """TIOCM_*: the modem lines, and loopback beside them."""

    DTR = 0x002
    RTS = 0x004
    CTS = 0x020
    CD = 0x040
    RI = 0x080
    DSR = 0x100
    OUT1 = 0x2000
    OUT2 = 0x4000
    LOOP = 0x8000


class Counters(NamedTuple):
    """What TIOCGICOUNT counts since the guest's boot."""

    cts: int
    dsr: int
    rng: int
    dcd: int
    rx: int
    tx: int
    frame: int
    overrun: int
    parity: int
    brk: int
    buffer_overrun: int

    def since(self, before: Counters) -> dict[str, int]:
        """What has been counted since then, by name; without what has not."""
        return {name: now - then for name, now, then in zip(self._fields, self, before, strict=True) if now != then}


IRQ, FLAGS, FIFO_SIZE, DIVISOR = 3, 4, 5, 6
"""Places in the row of `serial`: of TIOCGSERIAL's words those that are used here."""
CUSTOM_DIVISOR = 0x30
"""ASYNC_SPD_CUST among the flags: at 38400 baud the custom divisor is what the driver programs."""

PRELUDE = r"""
sub start {{ open PORT, "+<", "{port}" or die "{port}: $!" }}
sub control {{ my ($request, $data) = @_; ioctl PORT, $request, $data or die sprintf "ioctl %#x: $!", $request; $data }}
sub modem {{ unpack "i", control(0x5415, pack "i", 0) }}
sub set_modem {{ control(0x5418, pack "i", $_[0]) }}
sub counters {{ unpack "i11", control(0x545d, "\0" x 80) }}
sub serial {{ unpack "i18", control(0x541e, "\0" x 72) }}
sub set_serial {{ my %new = @_; my @row = serial; @row[keys %new] = values %new; control(0x541f, pack "i18", @row); close PORT; start }}
sub rest {{ select undef, undef, undef, $_[0] }}
sub hold_break {{ control(0x5427, 0); rest $_[0]; control(0x5428, 0) }}
sub comes {{ my $set = ""; vec($set, fileno PORT, 1) = 1; select $set, undef, undef, $_[0] }}
sub receive {{
    my ($size, $wait, $got) = (@_, "");
    while (length $got < $size && comes $wait) {{ sysread PORT, $got, $size - length $got, length $got or last }}
    $got
}}
sub say {{ print "@_\n" }}
start;
my ($lines, @found) = (modem, serial);
END {{
    my $status = $?;
    control(0x5409, 1);
    set_modem $lines;
    set_serial map {{ $_, $found[$_] }} {irq}, {flags}, {divisor};
    $? = $status
}}
"""
"""A port whose interrupt was changed takes no ioctl until it is opened anew, hence `start` in `set_serial`; and it forgets what it has not
sent yet, hence the drain (TCSBRK) before it is changed back."""


def ask(guest: LinuxGuest, program: str) -> list[list[int]]:
    """The rows of numbers that a program says. Raises `GuestCommandFailed` when the driver refuses one of its ioctls."""
    return [[int(word) for word in line.split()] for line in guest.must(["sh", "-c", command(program)]).text.splitlines()]


def command(program: str) -> str:
    """Shell text that runs a program."""
    return quote(["perl", "-e", PRELUDE.format(port=PORT, irq=IRQ, flags=FLAGS, divisor=DIVISOR) + program])
