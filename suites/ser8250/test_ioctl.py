"""ser8250 asked and set by the driver's own ioctls, and under its switches: modem lines and error counters in loopback, which no bench has
to wire, a port without interrupts, a console before there is a driver.

Everything here is one guest's, which no other test shares: errors that were provoked stay in its driver's counters.
"""

from __future__ import annotations

import re
from itertools import combinations as combinations_of

import pytest

from fixtures.lines import Line
from fixtures.marks import claimed, judge, specification
from harness.bench import LinuxGuests
from harness.guest.linux import LinuxGuest
from suites.ser8250.driver import LINE, PORT, error_counters, make_raw
from suites.ser8250.ioctl import FIFO_SIZE, IRQ, Counters, Modem, ask, command
from suites.ser8250.pattern import first_difference, pattern

pytestmark = judge("drivers")

EARLY = "earlycon=uart8250,io,0x3f8,115200n8"
"""With the bit rate: without one the kernel leaves the port as firmware set it up, and here there is none."""
SWITCHES = ("loglevel=8", EARLY, "8250.skip_txen_test=1")
"""The early console repeats what was logged before it, by the level given before it."""
HANDED_OVER = r"bootconsole \[uart8250\] disabled"
LOOPED = {Modem.RTS: Modem.CTS, Modem.DTR: Modem.DSR, Modem.OUT1: Modem.RI, Modem.OUT2: Modem.CD}
"""What each output is in loopback."""
INPUTS = Modem(sum(LOOPED.values()))
PULSES = 3
DEEP = 16
"""Characters of a 16550A's FIFO."""
BREAK, LONG_BREAK = 0.002, 0.2
"""Seconds; a character at 115200 bit/s is 87 µs."""
SILENT = 0.3
"""Seconds after which nothing more comes."""
TYPE, ADDRESS, PORT_16550A = 0, 2, 4
SYSFS = {"type": "4", "port": "0x2F8", "irq": LINE, "uartclk": "1843200", "xmit_fifo_size": str(DEEP)}
BLOCKS = 8
"""2 KiB each way through a port that is polled."""


def kernel_lines(text: str) -> list[str]:
    """The kernel's lines, without their times."""
    return re.findall(r"^\[ *\d+\.\d+\] (.*?)\r*$", text, re.MULTILINE)


def words(lines: list[Modem]) -> str:
    """A list as perl writes it."""
    return ", ".join(str(int(line)) for line in lines)


@pytest.fixture(scope="module")
def switched(linux_guests: LinuxGuests) -> LinuxGuest:
    """A guest with a console before there is a driver, and a driver that does not test TXEN."""
    return linux_guests.boot(SWITCHES)


@pytest.fixture
def guest(switched: LinuxGuest) -> LinuxGuest:
    make_raw(switched)
    return switched


@specification("UART-026", "UART-029", "UART-031")
def test_a_console_before_the_driver_is_complete(switched: LinuxGuest) -> None:
    """What the kernel prints by `earlycon`, with nothing but LSR and THR, comes out whole, in order and once."""
    log = kernel_lines(switched.run_text(f"dmesg | sed '/{HANDED_OVER}/q'").text)
    assert re.search(HANDED_OVER, log[-1]), "the kernel had no early console, or never left it"
    assert kernel_lines(switched.boot_text().decode("ascii", "replace"))[: len(log) - 1] == log[:-1]


@specification("UART-050", "UART-099")
def test_it_works_without_the_drivers_test_of_txen(guest: LinuxGuest, line_ser2: Line) -> None:
    """With `skip_txen_test` nothing is worked around, and the port sends: the interrupt comes when it is enabled with THR empty."""
    assert guest.read("/sys/module/8250/parameters/skip_txen_test") == "1"
    line_ser2.start()
    guest.must(["sh", "-c", f"echo sent >{PORT}"])
    assert line_ser2.take(5) == b"sent\n"


@claimed("ser8250.16550a")
@specification("UART-095")
def test_the_driver_tells_of_a_16550a(guest: LinuxGuest) -> None:
    """TIOCGSERIAL, sysfs and `/proc/tty/driver/serial` say the same of ttyS1: what it is, where, its interrupt, its clock, its FIFO."""
    row = ask(guest, "say serial")[0]
    assert (row[TYPE], row[ADDRESS], row[IRQ], row[FIFO_SIZE]) == (PORT_16550A, 0x2F8, int(LINE), DEEP)
    facts = {name: guest.read(f"/sys/class/tty/ttyS1/{name}") for name in SYSFS}
    assert facts == SYSFS
    assert "1: uart:16550A port:000002F8 irq:3 " in guest.read("/proc/tty/driver/serial")


@specification("UART-081", "UART-085")
def test_modem_lines_in_loopback_are_the_ports_own_outputs(guest: LinuxGuest) -> None:
    """TIOCMGET for all sixteen combinations: CTS is RTS, DSR is DTR, RI is OUT1, CD is OUT2."""
    combinations = [Modem(sum(outputs)) for count in range(len(LOOPED) + 1) for outputs in combinations_of(LOOPED, count)]
    rows = ask(guest, f"for my $lines ({words(combinations)}) {{ set_modem $lines | {Modem.LOOP}; say modem }}")
    wanted = [Modem(sum(LOOPED[output] for output in outputs)) for outputs in combinations]
    found = [Modem(row[0]) & INPUTS for row in rows]
    wrong = [f"{outputs!r}: {seen!r}" for outputs, right, seen in zip(combinations, wanted, found, strict=True) if seen != right]
    assert not wrong, f"outputs, and the inputs seen with them: {wrong}"


@specification("UART-082", "UART-083")
def test_every_change_of_a_modem_line_is_counted_once(guest: LinuxGuest) -> None:
    """TIOCGICOUNT after three pulses of each output in loopback: both edges of CTS, DSR and CD, of RI only the trailing one."""
    make_raw(guest, PORT, "crtscts", "clocal")
    pulses = f"for (1 .. {PULSES}) {{ set_modem $rest ^ $line; modem; set_modem $rest; modem }}"
    for output, counter in {Modem.RTS: "cts", Modem.DTR: "dsr", Modem.OUT1: "rng", Modem.OUT2: "dcd"}.items():
        rest = Modem.LOOP | Modem.OUT2
        before, after = ask(
            guest, f"my ($rest, $line) = ({words([rest, output])}); set_modem $rest; modem; say counters; {pulses} say counters"
        )
        wanted = PULSES if output is Modem.OUT1 else 2 * PULSES
        assert Counters(*after).since(Counters(*before)) == {counter: wanted}, f"{PULSES} pulses of {output.name}"


@specification("UART-022", "UART-039", "UART-041")
def test_a_break_in_loopback_is_one_break(guest: LinuxGuest) -> None:
    """However long it is held the driver counts one break, without a framing error, and a program reads one NUL."""
    held = f"set_modem $lines | {Modem.LOOP}; hold_break {LONG_BREAK}; set_modem $lines"
    before, received, after = ask(guest, f"say counters; {held}; say unpack 'C*', receive {DEEP}, {SILENT}; say counters")
    assert received == [0]
    assert Counters(*after).since(Counters(*before)) == {"rx": 1, "brk": 1}


@specification("UART-022", "UART-023")
def test_it_sends_on_after_a_break(guest: LinuxGuest, line_ser2: Line) -> None:
    """A break between two words takes none of their characters; it is NULs at most to whoever cannot tell a break."""
    line_ser2.start()
    ask(guest, f"for ('before', 'after') {{ syswrite PORT, $_; control 0x5409, 1; hold_break {LONG_BREAK} }} syswrite PORT, 'end'")
    received = line_ser2.take(len(b"beforeafterend"))
    assert received.replace(b"\0", b"") == b"beforeafterend", f"{received!r} came"


@specification("UART-035", "UART-041", "UART-058")
def test_an_overrun_is_counted_and_the_fifo_keeps_what_it_has(guest: LinuxGuest) -> None:
    """With OUT2 off the driver gets no interrupt and reads nothing: of eighteen breaks in loopback the FIFO keeps sixteen.

    Of the others it learns by one overrun, once OUT2 is on again. Before each break it waits for TEMT: that reading of LSR takes the first
    break's BI, which the driver of some kernels keeps.
    """
    breaks = f"hold_break {BREAK} for 1 .. {DEEP + 2}"
    program = f"say counters; set_modem {Modem.LOOP}; {breaks}; say counters; set_modem $lines; rest {SILENT}; say counters"
    before, meanwhile, after = (Counters(*row) for row in ask(guest, program))
    assert meanwhile.since(before) == {}, "the driver was interrupted though OUT2 is off"
    counted = after.since(before)
    assert (counted.get("rx"), counted.get("overrun")) == (DEEP, 1), counted
    assert counted.get("brk") in (DEEP - 1, DEEP), counted
    assert "oe:1" in error_counters(guest).split()


@specification("UART-086", "UART-087", "UART-090")
def test_data_in_loopback_comes_back_and_reaches_no_line(guest: LinuxGuest, line_ser2: Line) -> None:
    """A port that is polled, as in loopback its interrupts may be off, reads every byte value it sends; the line has none of them."""
    line_ser2.start()
    loop = f"syswrite PORT, pack 'C*', $_ * {DEEP} .. ($_ + 1) * {DEEP} - 1; say unpack 'C*', receive {DEEP}, {SILENT}"
    rows = ask(guest, f"set_serial {IRQ}, 0; set_modem $lines | {Modem.LOOP}; for (0 .. 255 / {DEEP}) {{ {loop} }}")
    assert [code for row in rows for code in row] == list(range(256))
    assert line_ser2.falls_silent(SILENT)
    assert line_ser2.received == 0, f"on the line: {line_ser2.take(0).hex(' ')}"


@specification("UART-026", "UART-028", "UART-033", "UART-047")
def test_a_port_without_interrupts_is_polled(guest: LinuxGuest, line_ser2: Line) -> None:
    """With `irq 0` the driver looks at the port by a timer: what comes in goes out again, byte for byte."""
    expected = pattern(BLOCKS)
    program = f"set_serial {IRQ}, 0; open SAYS, '>', '/tmp/irq'; print SAYS +(serial)[{IRQ}]; close SAYS; syswrite PORT, '!';"
    with guest.background(command(f"{program} my $data = receive {len(expected)}, {guest.command_seconds}; syswrite PORT, $data")):
        line_ser2.start()
        assert line_ser2.wait_for(b"!", guest.command_seconds), "the guest does not send on a port that is polled"
        line_ser2.start()
        line_ser2.write(expected)
        received = line_ser2.take(len(expected))
    assert received == expected, first_difference(expected, received)
    assert guest.read("/tmp/irq") == "0", "the driver kept the interrupt"
