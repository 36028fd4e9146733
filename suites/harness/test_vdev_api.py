"""The documented vdev API as a vdev sees it: `vdev_api.c` on the board's qvm, driven by a guest of a few instructions."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from harness import boardfile
from harness.vdev import build
from suites.harness.bare_board import HERE, BareBoard, bare_board, compile_vdev
from suites.harness.bare_guest import BareGuest

NO_ENTRY, BUSY, NOT_YET, FAULT, REFUSED, INVALID, NOT_OWNER = 2, 98, 11, 14, 13, 22, 1
"""errno values."""
RAM_AT, WINDOW_AT, OTHER_WINDOW_AT, PIT_AT, TRACE_AT = 0x200000, 0xFB000000, 0xFB001000, 0xFA000000, 0xFA000000
TWO_SECONDS = 23040
"""Divisor of a UART that takes so long for a character."""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareBoard]:
    directory = tmp_path_factory.mktemp("board")
    source = HERE / "vdev_api.c"
    built = build(HERE / "vdevs", directory / "built", boardfile.load("virtual-x86_64"))
    vdevs = [made.file for made in built]
    variants = {"api": (), "deaf": ("-DPULSE=NULL",), "lines": ("-DLINES",)}
    vdevs += [compile_vdev(directory, name, source, *flags) for name, flags in variants.items()]
    with bare_board(directory, vdevs) as board:
        yield board


def said(stderr: bytes) -> list[str]:
    """qvm's lines, without what is in front of a vdev's own."""
    return [line.removeprefix("[vdev api] ") for line in stderr.decode().splitlines()]


def act(board: BareBoard, name: str, guest: BareGuest | None = None) -> tuple[int, list[str]]:
    """Exit status and lines of a VM with one vdev that does one thing."""
    result = board.run(guest or BareGuest(), f"vdev api act {name}")
    return result.status, said(result.stderr)


def test_the_lifecycle_comes_in_the_documented_order(board: BareBoard) -> None:
    """Each step once; STATUS at SIGUSR1, BUTTON at SIGTERM."""
    process = board.start(BareGuest(), "vdev api act tell")
    board.ready(process)
    for name, awaited in (("USR1", "second line"), ("TERM", "BUTTON")):
        process.signal(name)
        board.says(process, awaited)
    process.signal("QUIT")
    assert board.end(process) == 3
    steps = [line for line in said(process.stderr()) if re.fullmatch("[A-Z_]+|option", line)]
    begin = ["option", "OPTIONS_END", "ASSIGN", "GEN_ACPI", "GUEST_CONFIGURED", "GUEST_STARTING"]
    assert steps == [*begin, "STATUS", "BUTTON", "TERMINATE"]


def test_a_status_is_reported_line_by_line(board: BareBoard) -> None:
    """Pieces of one line become one, and the last line needs no line break."""
    process = board.start(BareGuest(), "vdev api act none")
    board.ready(process)
    process.signal("USR1")
    board.says(process, "second")
    process.signal("QUIT")
    board.end(process)
    own = [line for line in process.stderr().decode().splitlines() if line.startswith("[vdev api]")]
    assert said("\n".join(own).encode()) == ["edges=0 act=none", "and a second line"]


def test_the_guest_ends_the_vm_with_a_vdevs_cause(board: BareBoard) -> None:
    """`guest_terminate` in a register access: the custom cause is the exit status."""
    assert [act(board, "none", BareGuest().end(cause)) for cause in (0, 31)] == [(32, []), (63, [])]


def test_a_cause_that_does_not_exist_is_the_vdevs_error(board: BareBoard) -> None:
    status, lines = act(board, "cause", BareGuest().out(0x304, 77))
    assert (status, lines) == (6, ["vdev api ended the VM for the cause 77; there are 0 to 63"])


def test_qvm_fatal_at_the_last_moment_ends_with_96(board: BareBoard) -> None:
    assert act(board, "fatal") == (96, ["cannot go on"])


def test_a_thread_is_named_and_made_only_once_the_vm_is_configured(board: BareBoard) -> None:
    status, lines = act(board, "thread", BareGuest().end())
    assert status == 32
    assert lines[0] == f"vdev_thread_create early: {NOT_YET}"
    assert sorted(lines[1:]) == ["thread api-worker", "vdev_thread_create in time: 0"]


def test_a_pulse_comes_from_a_posix_timer(board: BareBoard) -> None:
    assert act(board, "pulse") == (34, ["pulse -9"])


def test_pulses_are_served_by_priority_and_none_is_lost(board: BareBoard) -> None:
    """Six, two of each priority; one may have been taken before the others came."""
    status, lines = act(board, "pulses")
    rest = [line for n, line in enumerate(lines) if n > 0]
    assert (status, sorted(lines)) == (34, ["pulse -20"] * 2 + ["pulse -21"] * 2 + ["pulse -9"] * 2)
    assert rest == sorted(rest, key=lambda line: int(line.split()[1]))


def test_a_pulse_for_a_vdev_without_pulse_is_refused(board: BareBoard) -> None:
    result = board.run(BareGuest(), "vdev deaf act early:vdev_pulse")
    assert (result.status, result.stderr.decode()) == (64, "[conf:7] vdev deaf called vdev_pulse() and has no pulse function\n")


def test_a_timer_repeats_without_drift(board: BareBoard) -> None:
    """Relative, absolute, and from the callback's own data: each expiry names the moment that was asked for."""
    assert act(board, "timer") == (35, ["five expiries without drift", "one at its absolute time"])


def test_regions_change_while_the_guest_runs(board: BareBoard) -> None:
    """Opened, changed in place, taken away; one over the VM's memory is refused and the others stay."""
    status, lines = act(board, "window", BareGuest().out(0x304, 1).read(OTHER_WINDOW_AT + 4, 4).read(WINDOW_AT, 4).end())
    assert status == 32
    assert lines == [
        f"before {NO_ENTRY}",
        f"set 2, error {BUSY}",
        "info 0, cookie 7",
        "read 0, value 0xab070004",
        "set 2",
        f"after {NO_ENTRY}",
        f"set 0, error {NO_ENTRY}",
        "unlock 0",
        "unlock 0",
        f"unlock {NOT_OWNER}",
        f"lock {INVALID}",
        "guest 0xab071004",
        "guest 0xffffffff",
    ]


def test_guest_memory_is_mapped_into_the_vdev(board: BareBoard) -> None:
    """Each sees what the other wrote; ROM only to read, and nothing that is no memory."""
    status, lines = act(board, "map", BareGuest().write(RAM_AT, 0x12345678, 4).out(0x304, 1).read(RAM_AT, 4).end())
    mapped = ["mapped 0x12345678", "guest memory 0xfeedface", "unmap 0", f"beyond {FAULT}", f"rom {REFUSED}", "rom to read 0"]
    assert (status, lines) == (32, [*mapped, "guest 0xfeedface"])


def test_every_line_bound_to_a_pin_is_a_source_of_its_own(board: BareBoard) -> None:
    """Whether by `intr` or by `qvm_parse_intr`, which stops at the comma."""
    controller = "vdev lines name lines act sources"
    result = board.run(BareGuest().end(), "vdev api act sources loc 0x400 intr lines:0", pic=controller)
    assert result.status == 32
    assert sorted(re.findall("line on from source (\\d)", result.stderr.decode())) == ["0", "1", "2"]
    assert result.stderr.decode().count("rest ',more'") == 2


@pytest.mark.parametrize("function", ["gasp_region_set", "guest_timer_create", "cdev_setup", "qvm_parse_intr"])
def test_a_start_up_call_is_refused_once_the_guest_runs(board: BareBoard, function: str) -> None:
    """Also on a thread of the vdev's own: it is named, its call does not return, and the VM ends."""
    status, lines = act(board, f"late:{function}")
    assert status == 6
    assert f"vdev api called {function}() while the guest runs; it is for start-up only" in lines
    assert "it returned" not in lines


@pytest.mark.parametrize(
    "function", ["guest_terminate", "guest_intr_signal", "guest_msi_signal", "guest_timer_notify", "gasp_region_set_soft"]
)
def test_a_running_call_is_refused_before_the_guest_starts(board: BareBoard, function: str) -> None:
    assert act(board, f"early:{function}") == (64, [f"[conf:7] vdev api called {function}() before the guest was started"])


def test_a_line_is_parsed_only_when_every_vdev_was_read(board: BareBoard) -> None:
    assert act(board, "early:qvm_parse_intr") == (64, ["[conf:7] vdev api called qvm_parse_intr() before every vdev was read"])


def test_regions_are_changed_only_under_the_lock(board: BareBoard) -> None:
    status, lines = act(board, "late:gasp_region_set_soft")
    assert (status, [line for line in lines if "lock" in line]) == (6, ["vdev api called gasp_region_set_soft() without gasp_lock()"])


def test_a_timer8254_in_memory_counts_and_interrupts(board: BareBoard) -> None:
    """Four registers at a `mem:` location: mode 2 with 4096 counts reads back below its count, and its line rises again and again."""
    guest = BareGuest().write(PIT_AT + 3, 0x34).write(PIT_AT, 0x00).write(PIT_AT, 0x10)
    for _ in range(2):
        guest.write(PIT_AT + 3, 0x00).read(PIT_AT).read(PIT_AT)
    guest.write(PIT_AT + 3, 0xE2).read(PIT_AT)
    result = board.run(guest, f"vdev timer8254 loc mem:{PIT_AT:#x} intr lines:0", pic="vdev lines act count name lines")
    assert result.status == 34, result.stderr
    low, high, next_low, next_high, status = (int(value, 16) for value in re.findall("guest (0x\\w+)", result.stderr.decode()))
    counts = [low | high << 8, next_low | next_high << 8]
    assert all(1 < count <= 4096 for count in counts)
    assert counts[0] != counts[1]
    assert status & 0x3F == 0x34, "the status byte names access, mode and binary counting"


def test_the_guides_trace_example_counts_seconds(board: BareBoard) -> None:
    """Built by `harness vdev build`: read twice, it has grown; written, the value comes back. The UART is the guest's clock."""
    guest = BareGuest().uart(TWO_SECONDS).read(TRACE_AT, 4).say(b"x").read(TRACE_AT, 4).write(TRACE_AT, 1000, 4).read(TRACE_AT, 4).end()
    lines = ("vdev api", "vdev ser8250 hostdev >- intr pic:4", f"vdev trace loc {TRACE_AT:#x} emit-logger emit-trace 12")
    result = board.run(guest, *lines)
    text = result.stderr.decode()
    assert result.status == 32, text
    first, second, third = (int(value, 16) for value in re.findall("guest (0x\\w+)", text))
    assert 1 <= second - first <= 3
    assert third - 1000 in (0, 1)
    assert text.startswith("[vdev trace] GUEST_CONFIGURED\n")
    assert f"[vdev trace] counted to {second}\n" in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("", "vdev trace needs loc mem:ADDRESS"),
        ("loc io:0x400", "vdev trace cannot be in port space; its loc is mem:ADDRESS"),
        ("loc 0xfa000000 intr pic:3", "vdev trace takes no intr; remove it"),
        (
            "loc 0xfa000000 emit-trace twelve",
            "vdev trace refused the option emit-trace twelve: Invalid argument; its documentation says what it takes",
        ),
    ],
)
def test_the_trace_example_takes_only_what_it_describes(board: BareBoard, options: str, says: str) -> None:
    result = board.run(BareGuest(), f"vdev trace {options}")
    assert (result.status, result.stderr.decode()) == (65, f"[conf:7] {says}\n")
