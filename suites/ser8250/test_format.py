"""Line settings and flow control of ser8250, as stty in the guest asks for them and the other end of the line sees them."""

from __future__ import annotations

import pytest

from fixtures.lines import Line
from fixtures.marks import claimed, judge, needs, specification
from fixtures.measure import Judge
from harness.bench import Bench
from harness.clock import Deadline
from harness.guest.linux import LinuxGuest
from harness.measure import Quantity
from suites.ser8250.driver import PORT, assert_no_complaint, error_counters, make_raw
from suites.ser8250.ioctl import ask
from suites.ser8250.pattern import first_difference, pattern, script

pytestmark = judge("drivers")

EVERY_BYTE = bytes(range(256))
FORMATS = {
    "8N1": "cs8 -parenb -cstopb",
    "7E1": "cs7 parenb -parodd -cstopb",
    "7O1": "cs7 parenb parodd -cstopb",
    "8E2": "cs8 parenb -parodd cstopb",
}
"""Data bits, parity, stop bits, and what stty calls them."""
STREAM = "0123456789abcdef" * 3
"""Three FIFOs full."""
TOP_BIT_CLEAR = b"\x15\x2a\x55"
"""In seven bits the eighth is where the stop bit should be."""
SLOW_BAUD = 110
TIME_LIMIT = 0.05
"""Allowed relative error of the time a stream takes (UART-014)."""
BRISK_BAUD = 9600
FIFOS = "0123456789abcdef" * 8
STREAMS = 5
"""Of these the quickest counts: a busy bench is late at random, and an interrupt that comes in time is not."""
KEEP_UP = 0.1
"""How much longer than its bits a stream may take. A FIFO's bits at that rate last 17 ms, of which the driver has one to fill it again."""
DRAINS = 5
UPTIME = 0.01
"""Seconds between two values of /proc/uptime."""
XON, XOFF = b"\x11", b"\x13"
STOPPED = 0.5
"""Seconds of silence that say that a sender has stopped."""
FLOW_BLOCKS = 48
"""12 KiB, of which a few hundred bytes are sent when the sender is stopped."""


def say(text: str) -> str:
    """Writes bytes, in the notation of printf, to ttyS1 when told to by a byte from the line."""
    return f"{{ head -c 1 <&3 >/dev/null; printf '{text}' >&3; }} 3<>{PORT}"


@specification("UART-019")
@pytest.mark.parametrize(("bits", "parity"), [(5, "N"), (6, "N"), (7, "N"), (7, "E"), (7, "O"), (8, "N")])
def test_a_word_has_the_bits_it_is_set_to(guest: LinuxGuest, line_ser2: Line, bits: int, parity: str) -> None:
    """Of every byte value the guest receives and sends the low 5 to 8 bits, the others are 0; parity is no part of them."""
    make_raw(guest, PORT, f"cs{bits}", *{"N": ["-parenb"], "E": ["parenb", "-parodd"], "O": ["parenb", "parodd"]}[parity])
    line_ser2.follow(data_bits=bits, parity=parity)
    expected = bytes(value & (1 << bits) - 1 for value in EVERY_BYTE)
    with guest.background(f"{{ head -c 256 <&3 >/tmp/received; cat /tmp/received >&3; }} 3<>{PORT}") as job:
        job.reading(PORT)
        line_ser2.start()
        line_ser2.write(EVERY_BYTE)
        echoed = line_ser2.take(len(expected))
    received = guest.fetch("/tmp/received")
    assert received == expected, f"received with {bits} bits: {first_difference(expected, received)}"
    assert echoed == expected, f"sent with {bits} bits: {first_difference(expected, echoed)}"
    assert error_counters(guest) == ""


@needs("line.settings")
@specification("UART-020", "UART-021")
def test_parity_and_stop_bits_are_those_of_the_line(guest: LinuxGuest, line_ser2: Line) -> None:
    """Both ends with the same format understand each other without a line error."""
    for form, settings in FORMATS.items():
        make_raw(guest, PORT, *settings.split(), "inpck")
        line_ser2.follow(None, int(form[0]), form[1], int(form[2]))
        data = EVERY_BYTE[: 1 << int(form[0])]
        with guest.background(f"{{ head -c {len(data)} <&3 >/tmp/received; cat /tmp/received >&3; }} 3<>{PORT}") as job:
            job.reading(PORT)
            line_ser2.start()
            line_ser2.write(data)
            assert line_ser2.take(len(data)) == data, form
        assert guest.fetch("/tmp/received") == data, form
        assert error_counters(guest) == "", form


@claimed("ser8250.divisor")
@specification("UART-015", "UART-029")
@pytest.mark.parametrize("rate", [1200, 4800, 19200, 38400, 57600])
def test_bytes_are_the_same_at_every_rate(guest: LinuxGuest, line_ser2: Line, rate: int) -> None:
    """A tenth of a second of bytes there and back."""
    data = EVERY_BYTE[: max(1, rate // 100)]
    make_raw(guest, PORT, str(rate))
    line_ser2.follow(rate)
    with guest.background(f"{{ head -c {len(data)} <&3 >/tmp/received; cat /tmp/received >&3; }} 3<>{PORT}") as job:
        job.reading(PORT)
        line_ser2.start()
        line_ser2.write(data)
        echoed = line_ser2.take(len(data))
    received = guest.fetch("/tmp/received")
    assert received == data, first_difference(data, received)
    assert echoed == data, first_difference(data, echoed)
    assert error_counters(guest) == ""


@claimed("ser8250.divisor")
@specification("UART-026", "UART-027")
def test_a_port_is_empty_when_the_last_bit_has_gone(guest: LinuxGuest, line_ser2: Line, measured: Judge) -> None:
    """At 110 bit/s a character takes 91 ms, and so long waits who drains the port: THRE comes at once, TEMT with the last bit.

    By the guest's uptime, in hundredths of a second; the quickest of several, since a busy bench can only add to it.
    """
    make_raw(guest, PORT, str(SLOW_BAUD))
    line_ser2.follow(SLOW_BAUD)
    drain = "my $begin = uptime; syswrite PORT, 'x'; control 0x5409, 1; say sprintf '%.0f', 100 * (uptime() - $begin)"
    program = f"sub uptime {{ open my $f, '<', '/proc/uptime'; (split ' ', <$f>)[0] }} for (1..{DRAINS}) {{ {drain} }}"
    took = min(hundredths for [hundredths] in ask(guest, program)) / 100
    character = 10 / SLOW_BAUD
    measured("ser8250.drained_early", Quantity(max(0.0, character - took), UPTIME), unit="s", expected=0.0, limit=character / 2)


@claimed("ser8250.divisor")
@specification("UART-010", "UART-014")
@pytest.mark.parametrize("form", ["8N1", "8E2"])
def test_a_character_takes_its_time(guest: LinuxGuest, bench: Bench, line_ser2: Line, measured: Judge, form: str) -> None:
    """At 110 bit/s a stream lasts as long as its bits: start, data, parity and stop bits all count.

    The guest has no part in their spacing: it fills a FIFO at once, and has a whole character's time to fill it again.
    """
    make_raw(guest, PORT, str(SLOW_BAUD), *FORMATS[form].split())
    line_ser2.follow(SLOW_BAUD, 8, form[1], int(form[2]))
    character = {"8N1": 10, "8E2": 12}[form] / SLOW_BAUD
    expected = (len(STREAM) - 1) * character
    with guest.background(say(STREAM)) as job:
        job.reading(PORT)
        line_ser2.start()
        with bench.reference() as reference:
            line_ser2.write(b"!")
            asked = reference.monotonic()
            begin = line_ser2.arrival(0, reference, guest.command_seconds)
            end = line_ser2.arrival(len(STREAM) - 1, reference, guest.command_seconds)
        assert line_ser2.take(len(STREAM)) == STREAM.encode()
    # Either end of the interval is seen late, by no more than the way from the question to the first character takes without that.
    late = max(0.0, begin[1] - asked - character)
    stream = Quantity((sum(end) - sum(begin)) / 2, late + (end[1] - end[0] + begin[1] - begin[0]) / 2)
    measured(f"ser8250.stream_time_{form}", stream, unit="s", expected=expected, limit=expected * TIME_LIMIT)


@claimed("ser8250.divisor")
@specification("UART-026", "UART-028", "UART-061")
def test_a_long_stream_has_no_pauses(guest: LinuxGuest, bench: Bench, line_ser2: Line, measured: Judge) -> None:
    """At 9600 bit/s eight FIFOs full have no gap between them: the interrupt for the next one comes while the last character leaves."""
    make_raw(guest, PORT, str(BRISK_BAUD))
    line_ser2.follow(BRISK_BAUD)
    expected = (len(FIFOS) - 1) * 10 / BRISK_BAUD
    streams = []
    repeated = f"for n in $(seq {STREAMS}); do head -c 1 <&3 >/dev/null; printf '{FIFOS}' >&3; done 3<>{PORT}"
    with guest.background(repeated) as job, bench.reference() as reference:
        job.reading(PORT)
        for _ in range(STREAMS):
            line_ser2.start()
            line_ser2.write(b"!")
            begin = line_ser2.arrival(0, reference, guest.command_seconds)
            end = line_ser2.arrival(len(FIFOS) - 1, reference, guest.command_seconds)
            streams.append(Quantity((sum(end) - sum(begin)) / 2 - expected, (end[1] - end[0] + begin[1] - begin[0]) / 2))
    quickest, next_one, *_ = sorted(streams, key=lambda stream: stream.value)
    pauses = Quantity(quickest.value, quickest.uncertainty + next_one.value - quickest.value)
    measured("ser8250.pauses", pauses, unit="s", expected=0.0, limit=KEEP_UP * expected)


@specification("UART-033", "UART-046", "UART-057")
def test_a_sender_is_stopped_by_xoff_and_goes_on_with_xon(guest: LinuxGuest, line_ser2: Line) -> None:
    """XOFF is heard in the middle of sending: the guest falls silent, and after XON nothing is missing."""
    make_raw(guest, PORT, "ixon")
    expected = pattern(FLOW_BLOCKS)
    text = bytes(byte for byte in expected if bytes([byte]) not in (XON, XOFF))
    guest.must(["sh", "-c", f"{script('/tmp/all', FLOW_BLOCKS)}; tr -d '\\021\\023' </tmp/all >/tmp/sent"])
    with guest.background(f"{{ head -c 1 <&3 >/dev/null; cat /tmp/sent >&3; }} 3<>{PORT}") as job:
        job.reading(PORT)
        line_ser2.start()
        line_ser2.write(b"!")
        assert line_ser2.wait_for(b"00002\n", guest.command_seconds), "the guest did not begin to send"
        line_ser2.write(XOFF)
        assert line_ser2.falls_silent(STOPPED), "the guest went on sending after XOFF"
        stopped = line_ser2.received
        line_ser2.write(XON)
        received = line_ser2.take(len(text))
    assert stopped < len(text), "everything was sent before XOFF could stop it"
    assert received == text, first_difference(text, received)
    assert_no_complaint(guest)


@needs("line.modem_in")
@specification("UART-081", "UART-084")
def test_a_sender_is_stopped_by_cts(guest: LinuxGuest, line_ser2: Line) -> None:
    """With hardware flow control the guest sends while CTS is active, and only then."""
    make_raw(guest, PORT, "crtscts")
    try:
        line_ser2.request_to_send(False)
        with guest.background(say("0123456789")) as job:
            job.reading(PORT)
            line_ser2.start()
            line_ser2.write(b"!")
            assert line_ser2.falls_silent(STOPPED)
            assert line_ser2.received == 0, "the guest sent without CTS"
            line_ser2.request_to_send(True)
            assert line_ser2.take(10) == b"0123456789"
    finally:
        line_ser2.request_to_send(True)


@needs("line.break")
@specification("UART-022", "UART-039")
def test_a_break_is_one_break(guest: LinuxGuest, line_ser2: Line) -> None:
    """A break from the line is counted once by the driver, and adds one NUL to what is read, not a stream."""
    with guest.background(f"{{ head -c 3 <&3 >/tmp/received; }} 3<>{PORT}") as job:
        job.reading(PORT)
        line_ser2.write(b"a")
        line_ser2.send_break()
        line_ser2.write(b"b")
    assert guest.fetch("/tmp/received") == b"a\0b"
    assert error_counters(guest) == "brk:1"


@needs("line.settings", "line.rx_errors")
@claimed("ser8250.rx_errors")
@specification("UART-038")
@pytest.mark.parametrize(
    ("counter", "settings", "sent_as"), [("pe", "cs8 parenb -parodd", (8, "O", 1)), ("fe", "cs7 -parenb", (8, "N", 1))]
)
def test_a_wrong_character_is_counted(
    guest: LinuxGuest, line_ser2: Line, counter: str, settings: str, sent_as: tuple[int, str, int]
) -> None:
    """Each character with wrong parity, or with a 0 where the stop bit should be, is one error more in the driver's counter."""
    make_raw(guest, PORT, *settings.split())
    guest.must(["rm", "-f", "/tmp/seen"])
    with guest.background(f"until [ -e /tmp/seen ]; do sleep 0.1; done 3<>{PORT}") as job:
        job.reading(PORT)
        line_ser2.follow(None, *sent_as)
        before = counted(guest, counter)
        for number, character in enumerate(TOP_BIT_CLEAR, 1):
            line_ser2.write(bytes([character]))
            deadline = Deadline.after(guest.command_seconds, "the driver's count")
            while (found := counted(guest, counter)) < before + number and not deadline.expired:
                pass
            assert found == before + number, f"{counter} after {number} wrong characters, from {before} on"
        guest.must(["touch", "/tmp/seen"])


def counted(guest: LinuxGuest, counter: str) -> int:
    """One of the driver's error counters; it prints none that is 0."""
    return next((int(word.partition(":")[2]) for word in error_counters(guest).split() if word.startswith(f"{counter}:")), 0)
