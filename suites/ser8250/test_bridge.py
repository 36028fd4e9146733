"""ser8250 bridged to the board's /dev/ser2: what the guest sends and receives on ttyS1 is what is on the line, byte for byte."""

from __future__ import annotations

from fixtures.lines import STALL, Line
from fixtures.marks import judge, specification
from fixtures.measure import Judge
from harness.bench import Bench
from harness.clock import SYSTEM
from harness.guest.linux import LinuxGuest
from harness.measure import Quantity
from suites.ser8250.driver import LINE, PORT, assert_no_complaint, make_raw
from suites.ser8250.ioctl import command
from suites.ser8250.pattern import BLOCK, BOTH_KIB, SIZE, first_difference, pattern, script

pytestmark = judge("drivers")

SENT_AT_ONCE = 4096
"""Bytes: what every tty on the way can hold while the program behind it does not read."""
BLOCKS_SENT = SIZE // SENT_AT_ONCE
ECHOED_AT_ONCE = 1024
DUPLEX_BLOCKS = 32
"""8 KiB each way at once."""
DUPLEX_BAUD = 9600
"""A FIFO full lasts 17 ms then, so that a slow guest looks at the port before it has drained, too."""
TRIGGER = 14
"""The highest level a 16550A's receiver has."""
FEWEST_PER_INTERRUPT = 4
"""Characters an interrupt brings on average: a stream that stutters raises timeout interrupts between those of the trigger."""
BELOW_TRIGGER = b"five."
ROUNDS = 5
"""Of these the quickest counts: a busy bench is late at random, and a timeout that works is not."""
AT_TRIGGER = b"fourteen bytes"
TIMEOUT_BAUD = 2400
"""Below that Linux sets the trigger to 1 at every opening."""
CHARACTER = 10 / TIMEOUT_BAUD
"""Seconds."""
TIMEOUT = 4
"""Characters."""
UNREAD_BLOCKS = 32
"""8 KiB, twice what the line discipline keeps for a reader: the rest waits in the driver's own buffers."""


def sender(path: str) -> str:
    """Sends a file on ttyS1 once it is told to by a byte from the line, so that nobody needs the guest's busy console meanwhile."""
    return f"{{ head -c 1 <&3 >/dev/null; cat {path} >&3; }} 3<>{PORT}"


def reader(path: str, blocks: int) -> str:
    """Receives blocks of `SENT_AT_ONCE` on ttyS1 and acknowledges each by a byte: the line has no flow control."""
    return f"rm -f {path}; for n in $(seq {blocks}); do head -c {SENT_AT_ONCE} <&3 >>{path}; printf . >&3; done 3<>{PORT}"


def echo(path: str, size: int) -> str:
    """Receives on ttyS1, keeps it and sends it back block by block. Not with `head`, which reads beyond what it was asked for."""
    once = f"my $got = receive {ECHOED_AT_ONCE}, {STALL}; length $got or last; print KEPT $got; syswrite PORT, $got; $left -= length $got"
    return command(f"open KEPT, '>', '{path}'; my $left = {size}; while ($left) {{ {once} }} close KEPT")


def set_speed(guest: LinuxGuest, bench: Bench, line: Line, baud: int) -> None:
    """The guest's speed is the line's as well where its divisor reaches the line."""
    make_raw(guest, PORT, str(baud))
    if bench.board.claim("ser8250.divisor") == "yes":
        line.follow(baud)


def assert_received(guest: LinuxGuest, path: str, expected: bytes) -> None:
    """A file in the guest has these bytes; fetched over the console only when it has not."""
    __tracebackhide__ = True
    if guest.cksum(path) != guest.cksum_of(expected):
        raise AssertionError(first_difference(expected, guest.fetch(path)))


@specification("UART-028", "UART-029", "UART-031")
def test_what_the_guest_sends_arrives_unchanged(guest: LinuxGuest, line_ser2: Line) -> None:
    """What a program in the guest writes to ttyS1 arrives on the line complete and in order, and nothing else does, from the opening on."""
    guest.must(["sh", "-c", script("/tmp/sent")])
    line_ser2.start()
    with guest.background(sender("/tmp/sent")) as job:
        job.reading(PORT)
        line_ser2.write(b"!")
        received = line_ser2.take(SIZE)
        assert received == pattern(), first_difference(pattern(), received)


@specification("UART-029", "UART-033", "UART-034")
def test_what_the_guest_receives_is_unchanged(guest: LinuxGuest, line_ser2: Line) -> None:
    """What comes in on the line reaches a program reading ttyS1 complete and in order, without overrun."""
    with guest.background(reader("/tmp/received", BLOCKS_SENT)) as receiver:
        receiver.reading(PORT)
        acknowledged = line_ser2.send(pattern(), SENT_AT_ONCE, b".")
        assert acknowledged == SIZE, f"the guest did not receive a whole block after {acknowledged} bytes"
    assert_no_complaint(guest)
    assert_received(guest, "/tmp/received", pattern())


@specification("UART-028", "UART-029", "UART-046", "UART-048", "UART-057", "UART-060")
def test_both_directions_at_once(guest: LinuxGuest, bench: Bench, line_ser2: Line) -> None:
    """The guest sends while it receives.

    A received character makes the driver look at LSR in the middle of its own sending; if THRE is set while the transmitter's FIFO
    still holds bytes, it loads sixteen more and some are lost. An edge lost between two sources of interrupts stops one direction.
    """
    set_speed(guest, bench, line_ser2, DUPLEX_BAUD)
    expected = pattern(DUPLEX_BLOCKS)
    guest.must(["sh", "-c", script("/tmp/sent", DUPLEX_BLOCKS)])
    both = f"{{ head -c 1 <&3 >/dev/null; cat /tmp/sent >&3 & head -c {len(expected)} <&3 >/tmp/received; wait; }} 3<>{PORT}"
    with guest.background(both) as job:
        job.reading(PORT)
        line_ser2.start()
        line_ser2.write(b"!")
        assert line_ser2.wait_for(b"00000\n", guest.command_seconds), "the guest did not begin to send"
        line_ser2.write(expected)
        received = line_ser2.take(len(expected))
        assert received == expected, f"sent by the guest: {first_difference(expected, received)}"
    assert_no_complaint(guest)
    assert_received(guest, "/tmp/received", expected)


@specification("UART-028", "UART-029", "UART-034", "UART-113")
def test_both_directions_at_full_speed(guest: LinuxGuest, line_ser2: Line) -> None:
    """The guest sends back each block while the next one comes in: all of it arrives on either side, without a line error."""
    expected = pattern(BOTH_KIB * 1024 // BLOCK)
    with guest.background(echo("/tmp/received", len(expected))) as job:
        job.reading(PORT)
        line_ser2.start()
        received = line_ser2.exchange(expected, ahead=2 * SENT_AT_ONCE)
        assert received == expected, f"sent back by the guest: {first_difference(expected, received)}"
    assert_no_complaint(guest)
    assert_received(guest, "/tmp/received", expected)


@specification("UART-030", "UART-034", "UART-113")
def test_a_reader_that_does_not_read_loses_nothing(guest: LinuxGuest, line_ser2: Line) -> None:
    """8 KiB come in while the program with ttyS1 open reads none of it; the guest lives on, and then reads all of it."""
    expected = pattern(UNREAD_BLOCKS)
    late = f"{{ until [ -e /tmp/go ]; do sleep 0.1; done; head -c {len(expected)} <&3 >/tmp/received; }} 3<>{PORT}"
    guest.must(["rm", "-f", "/tmp/go", "/tmp/received"])
    with guest.background(late) as job:
        job.reading(PORT)
        line_ser2.write(expected)
        assert guest.must(["echo", "alive"]).text.strip() == "alive"
        guest.must(["touch", "/tmp/go"])
    assert_no_complaint(guest)
    assert_received(guest, "/tmp/received", expected)


@specification("UART-069", "UART-070", "UART-071")
def test_the_receivers_trigger_level_is_honoured(guest: LinuxGuest, bench: Bench, line_ser2: Line) -> None:
    """With a trigger of 14 a stream of characters raises far fewer interrupts than there are characters, and the last few still come.

    At 2400 bit/s, so that a slow board would take an interrupt for each before the next one is there.
    """
    set_speed(guest, bench, line_ser2, 2400)
    guest.must(["sh", "-c", f"echo {TRIGGER} >/sys/class/tty/ttyS1/rx_trig_bytes"])
    assert guest.read("/sys/class/tty/ttyS1/rx_trig_bytes") == str(TRIGGER)
    with guest.background(f"{{ head -c {BLOCK} <&3 >/tmp/received; }} 3<>{PORT}") as job:
        job.reading(PORT)
        before = guest.interrupts()[LINE].total
        line_ser2.write(pattern(1))
    taken = guest.interrupts()[LINE].total - before
    assert_received(guest, "/tmp/received", pattern(1))
    assert taken <= BLOCK / FEWEST_PER_INTERRUPT, f"{taken} interrupts for {BLOCK} characters"


@specification("UART-071")
def test_characters_below_the_trigger_are_read_in_time(guest: LinuxGuest, bench: Bench, line_ser2: Line, measured: Judge) -> None:
    """Five characters at a trigger of 14 come by the timeout interrupt alone, four characters after the last.

    Nothing follows them that would bring them along: the guest answers with a byte, and what comes next is sent after that. Fourteen,
    whose interrupt comes with the last, take the same way through guest and bench: the difference of the two is the device's.
    """
    set_speed(guest, bench, line_ser2, TIMEOUT_BAUD)
    guest.must(["sh", "-c", f"echo {TRIGGER} >/sys/class/tty/ttyS1/rx_trig_bytes"])
    texts = (BELOW_TRIGGER, AT_TRIGGER)
    read = "; ".join(f"head -c {len(text)} <&3 >/tmp/received.{len(text)}; printf . >&3" for text in texts)
    took: dict[bytes, list[float]] = {text: [] for text in texts}
    with guest.background(f"{{ for n in $(seq {ROUNDS}); do {read}; done; }} 3<>{PORT}") as job:
        job.reading(PORT)
        for text in texts * ROUNDS:
            line_ser2.start()
            begin = SYSTEM.monotonic()
            line_ser2.write(text)
            assert line_ser2.wait_for(b".", guest.command_seconds), f"{len(text)} characters at a trigger of {TRIGGER} were never read"
            took[text].append(line_ser2.when(0) - begin)
    assert [guest.fetch(f"/tmp/received.{len(text)}") for text in texts] == list(texts)
    (below, later), (at, after) = (sorted(took[text])[:2] for text in texts)
    expected = (len(BELOW_TRIGGER) + TIMEOUT - len(AT_TRIGGER)) * CHARACTER
    late = Quantity(below - at - expected, later - below + after - at)
    measured("ser8250.timeout", late, unit="s", expected=0.0, limit=2 * TIMEOUT * CHARACTER)
