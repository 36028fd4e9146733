"""Consoles: everything a port says is kept and timed, waits are linear and explain themselves, a vanished port comes back."""

from __future__ import annotations

import os
import pty
import re
import socket
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import SYSTEM, Deadline
from harness.console import ByteLog, Console, ConsoleDead, NotSeen, PortBusy, PortMissing, WriteStalled
from harness.console.escapes import CleanText, strip
from harness.events import Event, Events


class Far:
    """The board's end of a pty; `url` is what the console opens."""

    def __init__(self) -> None:
        self.descriptor, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.url = os.ttyname(self.slave)

    def say(self, data: bytes) -> None:
        os.write(self.descriptor, data)

    def close(self) -> None:
        for descriptor in (self.descriptor, self.slave):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self.slave = -1


@pytest.fixture
def far() -> Iterator[Far]:
    end = Far()
    yield end
    end.close()


@pytest.fixture
def console(far: Far, tmp_path: Path) -> Iterator[Console]:
    with Console("host", far.url, 115200, tmp_path / "host.log", Events()) as opened:
        yield opened


def soon(awaited: str = "it", seconds: float = 5.0) -> Deadline:
    return Deadline.after(seconds, awaited)


# Escapes


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (b"\x1b[1;31mred\x1b[0m", b"red"),
        (b"a\x1b[?2004hb", b"ab"),
        (b"\x1b]0;title\x07text", b"text"),
        (b"\x1b]0;title\x1b\\text", b"text"),
        (b"\x1b(Bx\x1b=y", b"xy"),
        (b"no escape", b"no escape"),
    ],
)
def test_escapes_are_taken_out(raw: bytes, clean: bytes) -> None:
    assert strip(raw) == clean


@given(st.lists(st.sampled_from([b"a", b"\n", b"\x1b[31m", b"\x1b[0K", b"\x1b]0;t\x07", b"\x1b(B", b"\x1b", b"["]), max_size=30), st.data())
def test_escapes_cut_anywhere_leave_the_same_text(words: list[bytes], data: st.DataObject) -> None:
    """In whatever pieces the bytes come, the clean text is the same and every clean byte is found again in the raw text."""
    raw = b"".join(words) + b"end"
    text = CleanText(0)
    rest = raw
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        text.feed(rest[:count])
        rest = rest[count:]
    whole = CleanText(0)
    whole.feed(raw)
    assert bytes(text.data) == bytes(whole.data)
    assert all(raw[text.origin(index)] == byte for index, byte in enumerate(text.data))


# The log


def test_every_byte_has_its_time(tmp_path: Path) -> None:
    class Watch:
        now = 0.0

        def monotonic(self) -> float:
            self.now += 1
            return self.now

        def wall(self) -> float:
            return 1e9 + self.now

    log = ByteLog(tmp_path / "log", Watch())
    for chunk in (b"ab", b"c", b"def"):
        log.append(chunk, gap=chunk == b"c")
    stamps = [log.stamp(offset) for offset in range(6)]
    assert [stamp.offset for stamp in stamps] == [0, 0, 2, 3, 3, 3]
    assert [stamp.monotonic for stamp in stamps] == [2, 2, 3, 4, 4, 4]
    assert [stamp.gap for stamp in stamps] == [False, False, True, False, False, False]
    assert (tmp_path / "log").read_bytes() == b"abcdef"
    with pytest.raises(IndexError):
        log.stamp(6)


def test_a_long_wait_searches_every_byte_once(tmp_path: Path) -> None:
    """4 MB in small chunks against two patterns: a search from the start for every chunk would take minutes."""
    log = ByteLog(tmp_path / "log", SYSTEM)
    from harness.console.cursor import Cursor

    cursor = Cursor("host", log, 0, lambda: None, str, raw=False)
    line = b"[    0.123456] a line as kernels print them, of no interest\r\n" * 4

    def talk() -> None:
        for _ in range(16_000):
            log.append(line)
        log.append(b"the needle\r\n")

    thread = threading.Thread(target=talk)
    begin = time.process_time()
    thread.start()
    found = cursor.expect([b"the needle", re.compile(rb"^never \d+", re.MULTILINE)], soon(seconds=60))
    thread.join()
    assert found.start == 16_000 * len(line)
    assert time.process_time() - begin < 10


# Reading and waiting


def test_reading_goes_on_without_anybody_waiting(far: Far, console: Console, tmp_path: Path) -> None:
    """More than a pty buffers is taken in while nobody asks, and is in the file unchanged."""
    data = bytes(range(256)) * 400
    writer = threading.Thread(target=far.say, args=(data,))
    writer.start()
    taken = console.cursor(0, raw=True).take(len(data), soon("all of it", 10))
    writer.join()
    assert taken == data == (tmp_path / "host.log").read_bytes() == console.slice(0)


def test_many_cursors_read_the_same_bytes(far: Far, console: Console) -> None:
    first, second = console.cursor(), console.cursor()
    far.say(b"one two three")
    assert first.expect(b"two", soon()).before == b"one "
    assert first.expect(b"three", soon()).before == b" "
    assert second.expect([b"three", b"one"], soon()).index == 1


def test_a_match_spans_chunks_and_escapes_and_knows_its_raw_place(far: Far, console: Console) -> None:
    cursor = console.cursor()
    far.say(b"log\x1b[1min")
    assert cursor.poll(b"login:", soon(seconds=0.2)) is None
    far.say(b":\x1b[0m root")
    found = cursor.expect(b"login:", soon())
    assert console.slice(found.start, found.end) == b"log\x1b[1min:"
    assert cursor.expect(b"root", soon()).before == b" "


def test_other_patterns_find_what_an_earlier_wait_left(far: Far, console: Console) -> None:
    cursor = console.cursor()
    far.say(b"the prompt # " + b"x" * 200_000)
    assert cursor.poll(b"never", soon(seconds=0.5)) is None
    assert cursor.expect(b"prompt # ", soon()).start == 4


def test_a_wait_that_fails_says_what_was_awaited_and_seen(far: Far, console: Console) -> None:
    cursor = console.cursor()
    far.say(b"".join(b"line %d\r\n" % number for number in range(30)))
    console.cursor(0).expect(b"line 29\r\n", soon())
    with pytest.raises(NotSeen) as caught:
        cursor.expect(b"login:", Deadline.after(0.3, "the login prompt"))
    error = caught.value
    assert (error.awaited, error.received) == ("the login prompt", console.offset)
    assert 0.2 < error.silence < 2
    assert error.lines.splitlines() == [f"line {number}" for number in range(10, 30)]
    assert "console host: the login prompt was not seen within 0.3 s" in str(error)


def test_a_silent_console_says_so(console: Console) -> None:
    with pytest.raises(NotSeen, match=r"not a byte came.*check that the board is on"):
        console.cursor().expect(b"#", Deadline.after(0.1, "a prompt"))
    assert not console.answers(b"\n", 0.1)


def test_answers_sees_any_byte(far: Far, console: Console) -> None:
    def answer() -> None:
        os.read(far.descriptor, 10)
        far.say(b"?")

    threading.Thread(target=answer).start()
    assert console.answers(b"\n", 5)


# Opening, losing and closing


def test_a_port_is_opened_by_one_program_only(far: Far, console: Console, tmp_path: Path) -> None:
    assert console.url == far.url
    with pytest.raises(PortBusy, match="is in use"):
        Console("host", far.url, 115200, tmp_path / "second.log", Events())


def test_a_missing_port_says_which(tmp_path: Path) -> None:
    with pytest.raises(PortMissing, match=r"console guest: /dev/nowhere is not there; plug the adapter in"):
        Console("guest", "/dev/nowhere", 115200, tmp_path / "log", Events())


def test_a_port_that_vanishes_is_opened_again_and_the_gap_is_marked(far: Far, tmp_path: Path) -> None:
    """Seen through a link, as udev makes one: the device behind it goes away and another one comes."""
    seen: list[Event] = []
    events = Events()
    events.listen(seen.append)
    link = tmp_path / "port"
    link.symlink_to(far.url)
    with Console("host", str(link), 115200, tmp_path / "log", events) as console:
        far.say(b"before")
        cursor = console.cursor(0)
        cursor.expect(b"before", soon())
        link.unlink()
        far.close()
        with pytest.raises(NotSeen, match=r"its port .* has been gone for"):
            cursor.expect(b"after", soon(seconds=0.6))
        with pytest.raises(WriteStalled, match="has been gone"):
            console.write(b"x", soon(seconds=0.2))
        second = Far()
        link.symlink_to(second.url)
        while not console.gaps:
            assert not cursor.poll(b"never", soon(seconds=0.05))
        second.say(b"after")
        found = cursor.expect(b"after", soon())
        second.close()
        assert console.stamp(found.start).gap
        assert console.gaps[0].offset == found.start == len(b"before")
    assert [event.name for event in seen if event.name in ("console.lost", "console.back")][:2] == ["console.lost", "console.back"]


def test_a_dead_reader_is_an_error(far: Far, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: bytes, **__: bool) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(console.log, "append", full)
    far.say(b"x")
    with pytest.raises(ConsoleDead, match="No space left"):
        console.cursor().expect(b"x", soon())
    with pytest.raises(ConsoleDead):
        console.write(b"y", soon())


def test_closing_ends_waits_and_keeps_the_log(far: Far, tmp_path: Path) -> None:
    console = Console("host", far.url, 115200, tmp_path / "log", Events())
    far.say(b"kept")
    console.cursor(0).expect(b"kept", soon())
    threading.Timer(0.2, console.close).start()
    begin = time.monotonic()
    with pytest.raises(ConsoleDead, match="was closed"):
        console.cursor().expect(b"never", soon(seconds=30))
    assert time.monotonic() - begin < 5
    console.close()
    assert console.slice(0) == b"kept"


def test_a_socket_url_is_a_console_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        with Console("host", url, 115200, tmp_path / "log", Events()) as console:
            far, _ = server.accept()
            with far:
                far.sendall(b"hello")
                console.cursor(0).expect(b"hello", soon())
                console.write(b"back", soon())
                assert far.recv(10) == b"back"


# Writing


def test_writing_is_never_further_ahead_than_a_fifo(far: Far, tmp_path: Path) -> None:
    """960 bytes at 9600 baud take a second; without pacing a pty takes them at once."""
    with Console("host", far.url, 9600, tmp_path / "log", Events()) as console:
        begin = time.monotonic()
        console.write(b"x" * 960, soon())
        assert 0.9 < time.monotonic() - begin < 3


def test_writing_waits_for_the_echo(far: Far, console: Console) -> None:
    stop = threading.Event()

    def echo() -> None:
        for _ in range(3):
            data = os.read(far.descriptor, 100)
            assert len(data) <= 16
            far.say(data)
        stop.set()

    threading.Thread(target=echo).start()
    console.write(b"0123456789" * 4, soon(), echo=True)
    assert stop.wait(5)
    with pytest.raises(WriteStalled, match="the echo of"):
        console.write(b"nobody echoes", soon(seconds=0.2), echo=True)


def test_pexpect_reads_and_writes_a_console(far: Far, console: Console) -> None:
    child = console.as_pexpect(timeout=5)
    child.sendline(b"hi")
    assert os.read(far.descriptor, 1) + os.read(far.descriptor, 1) + os.read(far.descriptor, 1) == b"hi\n"  # pexpect may write it in parts
    far.say(b"name: value\r\n# ")
    child.expect(rb"name: (\w+)")
    assert child.match.group(1) == b"value"
    child.expect_exact(b"# ")
    with pytest.raises(pexpect.TIMEOUT):
        child.expect(b"never", timeout=0.1)
    console.close()
    with pytest.raises(pexpect.EOF):
        child.expect(b"never")


AT_THE_KEYBOARD = """
import sys
from pathlib import Path
from harness.console import Console, keyboard
from harness.events import Events
with Console("host", sys.argv[1], 115200, Path(sys.argv[2]), Events()) as console:
    keyboard.converse(console, begin=0)
"""


def test_a_person_at_a_silent_console_is_told_so(far: Far, tmp_path: Path) -> None:
    """Once, within two seconds; then everything goes on as on any console."""
    person = pexpect.spawn(sys.executable, ["-c", AT_THE_KEYBOARD, far.url, str(tmp_path / "log")], timeout=20)
    person.expect_exact("[host says nothing yet; Ctrl-] ends this]\r\n")
    far.say(b"hello")
    person.expect_exact("hello")
    person.send("x")
    assert os.read(far.descriptor, 10) == b"x"
    person.send("\x1d")
    person.expect(pexpect.EOF)
    assert b"nothing yet" not in person.before
    person.close()
    assert person.exitstatus == 0


def test_the_speed_of_a_port_can_be_changed(console: Console, far: Far) -> None:
    """The other end of a pty sees the speed; what is sent is paced by it from then on."""
    console.configure(9600)
    assert termios.tcgetattr(far.slave)[5] == termios.B9600
    assert console.baud == 9600


def test_a_closed_port_takes_no_settings(console: Console) -> None:
    console.close()
    with pytest.raises(ConsoleDead, match="was closed"):
        console.configure(9600)


def test_settings_a_port_does_not_take_are_a_sentence(console: Console, far: Far) -> None:
    """A pty knows no parity, and says so by an exception of its own kind: the bench is wrong, not what is under test. The old settings
    hold, and others can still be made."""
    before = termios.tcgetattr(far.slave)
    with pytest.raises(WriteStalled) as caught:
        console.configure(9600, 7, "E", 2)
    assert str(caught.value) == (
        f"the settings of console {console.name} cannot be changed: it does not take 7E2 at 9600 bit/s: Invalid argument; "
        "check its port, and what the board file says of it"
    )
    assert (console.baud, termios.tcgetattr(far.slave)) == (115200, before)
    console.configure(19200)
    assert termios.tcgetattr(far.slave)[5] == termios.B19200
