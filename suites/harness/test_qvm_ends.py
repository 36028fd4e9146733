"""Every exit status of qvm (User's Guide, "Exit codes"), each provoked on a booted board; and its signals."""

from __future__ import annotations

import pytest

from suites.harness.qvm_board import SYSTEM, QvmBoard

READ_VDEV = "mov $0x300, %dx\n in %dx, %al\n stop\n"
WAIT = 'print "waiting"\n halt\n'
TRIPLE_FAULT = "push $0\n push $0\n lidt (%esp)\n int3\n"
POWER_OFF = "flush\n mov $0x604, %dx\n mov $0x3400, %ax\n out %ax, %dx\n halt\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("stop\n", ""),
        (TRIPLE_FAULT, "the guest reset itself by a triple fault: it reboots that way, or had no handler for an exception\n"),
        (POWER_OFF, ""),
    ],
    ids=["reset", "triple fault", "power off"],
)
def test_a_guest_that_ends_itself_is_0(qvm_board: QvmBoard, body: str, message: str) -> None:
    qvm_board.guest(body)
    ended = qvm_board.run()
    assert (ended.status, ended.messages) == (0, message)


@pytest.mark.parametrize(
    ("definition", "options", "status", "message"),
    [
        ("-DTERMINATE_IN_READ", "value 4", 4, ""),
        ("-DCRASH_IN_READ", "", 6, "vdev mischief crashed: SIGSEGV"),
        ("-DEXIT_IN_READ", "", 6, "vdev mischief called exit(0)\n"),
        ("-DLEAVE_IN_READ=_exit", "", 6, "vdev mischief called _exit(0)\n"),
        ("-DLEAVE_IN_READ=_Exit", "", 6, "vdev mischief called _exit(0)\n"),
        ("-DANSWER_IN_READ=VRS_NO_ADVANCE", "", 6, "vdev mischief answered a guest access with VRS_NO_ADVANCE; here no instruction is"),
        ("-DANSWER_IN_READ=VRS_CONTINUE", "", 6, "vdev mischief answered a guest access with status 4\n"),
        ("-DANSWER_IN_READ=VRS_BUS_ERROR", "unsupported reference abort", 5, "unsupported reference: 1-byte read at io:0x300 (vcpu0: "),
        ("-DTERMINATE_IN_READ", "value 7", 7, ""),
        ("-DTERMINATE_IN_READ", "value 32", 32, ""),
        ("-DTERMINATE_IN_READ", "value 63", 63, ""),
        ("-DFATAL_IN_READ", "", 96, "[vdev mischief] nothing works any more\n"),
    ],
)
def test_an_end_that_a_vdev_makes(qvm_board: QvmBoard, definition: str, options: str, status: int, message: str) -> None:
    """While the guest runs: a cause of its own, a crash, an exit(), a fatal error. A watchdog of the guest's is such a vdev."""
    qvm_board.vdev("mischief", definition)
    qvm_board.guest(READ_VDEV)
    ended = qvm_board.run(f"vdev mischief {options}", "logger error,fatal stderr")
    assert (ended.status, ended.messages[: len(message)]) == (status, message)


@pytest.mark.parametrize(
    ("option", "status", "message"),
    [
        ("vdev ser8250 loc 0x2f8 intr pic:3 hostdev /dev/ser9", 64, "Unable to open '/dev/ser9': No such file or directory\n"),
        ("ram 4g,64g", 64, "no memory for ram 0x100000000,0x1000000000: Cannot allocate memory\n"),
        ("colour blue", 65, "vdev console has no option colour; it has hostdev, delayed, batch, defect, loc, intr, sched, name, log\n"),
    ],
)
def test_an_end_before_the_guest(qvm_board: QvmBoard, option: str, status: int, message: str) -> None:
    qvm_board.guest("stop\n")
    ended = qvm_board.run(option)
    assert (ended.status, ended.messages.partition("] ")[2]) == (status, message)


def test_a_power_cut_is_3(qvm_board: QvmBoard) -> None:
    """SIGQUIT, with nothing left in /dev/qvm."""
    qvm_board.guest(WAIT)
    vm = qvm_board.start()
    vm.await_console("waiting")
    assert qvm_board.host.exists(f"/dev/qvm/{SYSTEM}")
    vm.signal("QUIT")
    assert vm.end().status == 3
    assert not qvm_board.host.exists(f"/dev/qvm/{SYSTEM}")


@pytest.mark.parametrize("signal", ["TERM", "INT"])
def test_a_button_is_for_the_guest(qvm_board: QvmBoard, signal: str) -> None:
    """The guest sees the ACPI power button's status bit and switches itself off, which is a normal end."""
    wait_for_button = 'print "waiting"\n mov $0x600, %dx\n 1: in %dx, %ax\n test $0x100, %ax\n jz 1b\n print "pressed"\n'
    qvm_board.guest(wait_for_button + POWER_OFF)
    vm = qvm_board.start()
    vm.await_console("waiting")
    vm.signal(signal)
    ended = vm.end()
    assert (ended.status, ended.console) == (0, "waiting\npressed\n")


def test_a_status_is_told_while_the_guest_runs_on(qvm_board: QvmBoard) -> None:
    """SIGUSR1: qvm and every vdev, at info level."""
    qvm_board.guest(WAIT)
    vm = qvm_board.start()
    vm.await_console("waiting")
    vm.signal("USR1")
    vm.await_message("[vdev power] status=")
    assert f"system {SYSTEM}: " in vm.messages()
    assert "[vdev console] dlr=0x" in vm.messages()
    vm.signal("QUIT")
    assert vm.end().status == 3
