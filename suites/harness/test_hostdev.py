"""The host device of a character vdev: every form of `hostdev`, `batch` and `delayed` as documented for ser8250, on the board's qvm."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from fixtures.lines import Line
from suites.harness.bare_board import HERE, BareBoard, bare_board, compile_vdev
from suites.harness.bare_guest import REPORT, BareGuest

DIGITS = b"0123456789"
SLOW = 96
"""Divisor of 1200 bit/s: a character takes 8.3 ms."""
STREAM = 28672
"""Bytes, more than a pty (20 KiB) and qvm's queue (4 KiB) hold together."""
ENDED = 32
"""Exit status of a VM that its guest ended."""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareBoard]:
    directory = tmp_path_factory.mktemp("board")
    watch = directory / "pty_watch"
    subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", watch, HERE / "pty_watch.c"], check=True)
    with bare_board(directory, [compile_vdev(directory, "api", HERE / "vdev_api.c")]) as board:
        board.bench.host.put({watch: f"{board.place}/pty_watch"})
        board.shell('chmod 755 "$1"', f"{board.place}/pty_watch")
        yield board


def uart(options: str) -> tuple[str, str]:
    return "vdev api", f"vdev ser8250 intr pic:4 {options}"


def line(board: BareBoard, name: str) -> Line:
    opened = Line(board.bench.console(name), board.bench.events)
    opened.start()
    return opened


def begin(divisor: int = 1) -> BareGuest:
    return BareGuest().uart(divisor)


def test_output_goes_to_qvms_own(board: BareBoard) -> None:
    """`>-`: to standard output, where nothing else is."""
    result = board.run(begin().say(DIGITS).end(), *uart("hostdev >-"))
    assert (result.status, result.stdout) == (ENDED, DIGITS)


@pytest.mark.parametrize("options", ["hostdev -", ""])
def test_both_directions_are_qvms_own(board: BareBoard, options: str) -> None:
    """`-`, and what a ser8250 without a hostdev does. The NUL may come before the guest has set the word length."""
    result = board.run(begin().echo(b"q").end(), *uart(options), input=b"\0one two q")
    assert (result.status, result.stdout) == (ENDED, b"\0one two q")


def test_input_of_one_device_and_output_of_another(board: BareBoard) -> None:
    """`<dev` and `>dev` in one vdev: nothing goes back the way it came."""
    source, sink = line(board, "ser2"), line(board, "ser4")
    process = board.start(begin().say(b"!").echo(b"q").end(), *uart("hostdev </dev/ser2 hostdev >/dev/ser4"))
    assert sink.take(1) == b"!"
    source.write(b"abc q")
    assert board.end(process) == ENDED
    assert sink.take(6) == b"!abc q"
    assert source.take(0) == b""


def test_a_serial_port_in_both_directions(board: BareBoard) -> None:
    port = line(board, "ser2")
    process = board.start(begin().say(b"!").echo(b"q").end(), *uart("hostdev /dev/ser2"))
    assert port.take(1) == b"!"
    port.write(DIGITS + b"q")
    assert board.end(process) == ENDED
    assert port.take(12) == b"!" + DIGITS + b"q"


def test_output_may_be_a_file(board: BareBoard) -> None:
    """Only input needs a terminal."""
    board.shell('cd "$1" && : >written', board.place)
    assert board.run(begin().say(DIGITS).end(), *uart("hostdev >written")).status == ENDED
    assert board.bench.host.read(f"{board.place}/written") == DIGITS


@pytest.mark.parametrize(
    ("options", "redirection", "name", "reason"),
    [("hostdev >/dev/full", "", "/dev/full", "No space left on device"), ("hostdev >-", ">&-", "standard output", "Bad file descriptor")],
    ids=["a full disk", "a closed stream"],
)
def test_output_that_is_lost_is_told_once(board: BareBoard, options: str, redirection: str, name: str, reason: str) -> None:
    """And the guest goes on, without a word of its console."""
    result = board.run(begin().say(DIGITS).stream(512).end(), *uart(options), redirection=redirection)
    assert result.stderr.decode() == f"[vdev ser8250] Unable to write to '{name}': {reason}; what the guest sends from here on is lost\n"
    assert (result.status, result.stdout) == (ENDED, b"")


def test_input_must_be_a_terminal(board: BareBoard) -> None:
    board.shell('cd "$1" && : >written', board.place)
    result = board.run(begin().end(), *uart("hostdev <written"))
    assert (result.status, result.stderr) == (
        64,
        b"[conf:8] Unable to open 'written': Inappropriate ioctl for device; input needs a terminal\n",
    )


def through_a_pty(board: BareBoard, guest: BareGuest, options: str, *answer: str) -> list[str]:
    """What each read() of the pty's other side gave."""
    watch = board.bench.host.start([f"{board.place}/pty_watch", "pty", *answer], board.place, "watch")
    board.shell('cd "$1" && until test -h pty; do sleep 0.1; done', board.place)
    try:
        assert board.run(guest, *uart(f"hostdev pty {options}")).status == ENDED
        assert board.end(watch) == 0
    finally:
        board.shell('rm -f "$1/pty"', board.place)
    return watch.stdout().decode().removesuffix("\n").split("\n")


def test_a_pty_in_both_directions(board: BareBoard) -> None:
    """What its other side answers comes back unchanged: qvm has made the pty raw."""
    read = through_a_pty(board, begin().say(b"!").echo(b"q").end(), "", "a\rb q")
    assert "".join(read) == "!a\rb q"


def test_a_host_device_that_takes_nothing_holds_the_guest_up_and_loses_nothing(board: BareBoard) -> None:
    """The other side of a pty stands still until the guest has sent more than the pty holds; then everything comes, in order."""
    host = board.bench.host
    watch = host.start([f"{board.place}/pty_watch", "pty"], board.place, "watch")
    board.shell('cd "$1" && until test -h pty; do sleep 0.1; done && kill -STOP "$2"', board.place, str(watch.pid))
    try:
        process = board.start(begin().stream(1).out(REPORT, 1).stream(STREAM).end(), *uart("hostdev pty"))
        board.says(process, "guest")
        board.shell('until a=$(cat "$1"); sleep 0.5; test "$a" = "$(cat "$1")"; do :; done', f"/proc/{process.pid}/io")
        assert process.poll() is None, "the guest sent everything to a device that takes nothing"
        board.shell('kill -CONT "$1"', str(watch.pid))
        assert (board.end(process), board.end(watch)) == (ENDED, 0)
    finally:
        board.shell('rm -f "$1/pty"', board.place)
    expected = bytes(ord("0") + n % 61 for n in [0, *range(STREAM)])
    assert watch.stdout().replace(b"\n", b"") == expected, "what was sent while the pty was full is not what came"


def test_output_is_not_held_back_without_batch(board: BareBoard) -> None:
    """At 1200 bit/s most characters come alone."""
    read = through_a_pty(board, begin(SLOW).say(DIGITS).end(), "")
    assert "".join(read).encode() == DIGITS
    assert len(read) > len(DIGITS) // 2


def test_a_batch_is_what_comes_without_a_pause(board: BareBoard) -> None:
    """`batch 200000`: ten characters 8.3 ms apart are one write."""
    assert through_a_pty(board, begin(SLOW).say(DIGITS).end(), "batch 200000") == [DIGITS.decode()]


def test_a_delayed_device_is_opened_at_the_first_reference(board: BareBoard) -> None:
    """Not by a guest that leaves the UART alone; without `delayed` at once."""
    names, device = [], board.shell("readlink -f /dev/ser2").strip()
    for options in ("hostdev /dev/ser2 delayed forever", "hostdev /dev/ser2"):
        process = board.start(BareGuest().out(REPORT, 1), *uart(options))
        board.says(process, "guest")
        names.append(board.shell('for f in /proc/"$1"/fd/*; do readlink "$f"; done', str(process.pid)).split())
        process.signal("QUIT")
        assert board.end(process) == 3
    assert [device in opened for opened in names] == [False, True]


def test_a_delayed_device_may_come_later(board: BareBoard) -> None:
    """`delayed forever`: what the guest sent before is not lost, and input works too."""
    port = line(board, "ser2")
    process = board.start(begin().say(b"hi").echo(b"q").end(), *uart("hostdev late delayed forever"))
    board.ready(process)
    board.shell('ln -s /dev/ser2 "$1/late"', board.place)
    assert port.take(2) == b"hi"
    port.write(b"q")
    assert board.end(process) == ENDED
    assert port.take(3) == b"hiq"


def test_a_delayed_device_that_does_not_come_is_told(board: BareBoard) -> None:
    """`delayed 0` tries once: an error in the log, and the guest goes on with output that goes nowhere."""
    result = board.run(begin().say(DIGITS).end(), *uart("hostdev nowhere delayed 0"))
    assert (result.status, result.stderr) == (ENDED, b"[vdev ser8250] Unable to open 'nowhere': No such file or directory\n")


def test_a_delayed_device_is_tried_for_as_long_as_it_says(board: BareBoard) -> None:
    process = board.start(begin().say(DIGITS), *uart("hostdev nowhere delayed 2"))
    board.says(process, "Unable")
    begun, told = board.shell('stat -c %Y "$1.out" "$1.err"', f"{board.place}/vm{board.count}").split()
    process.signal("QUIT")
    assert board.end(process) == 3
    assert process.stderr().decode().startswith("[vdev ser8250] Unable to open 'nowhere'")
    assert int(told) - int(begun) >= 1, "it was given up at once"
