"""/dev/qvm/SYSTEM/ on a booted board: what it says of the VM, and when it is there."""

from __future__ import annotations

import json
import signal

from suites.harness.qvm_board import SYSTEM, QvmBoard, Running

DIRECTORY = f"/dev/qvm/{SYSTEM}"


def started(board: QvmBoard, *options: str, load: str = "load guest") -> Running:
    board.guest('print "waiting"\n halt\n', form="raw", multiboot=0x10003)
    vm = board.start(*options, load=load)
    vm.await_console("waiting")
    return vm


def cut(vm: Running) -> None:
    vm.signal("QUIT")
    assert vm.end().status == 3


def test_the_directory_tells_what_the_vm_is(qvm_board: QvmBoard) -> None:
    """`env` is JSON whatever the configuration holds; each named vdev has its part of it as an entry."""
    vm = started(qvm_board, "cpu sched 12 runmask 0", 'cmdline "tab\t back\\\\slash é"', "vdev 8259 loc 0x20")
    names = set(qvm_board.host.run(["ls", DIRECTORY]).text.split())
    environment = json.loads(qvm_board.host.read(f"{DIRECTORY}/env"))
    console = json.loads(qvm_board.host.read(f"{DIRECTORY}/console"))
    pid = int(qvm_board.host.read(f"{DIRECTORY}/pid"))
    state = qvm_board.host.read(f"{DIRECTORY}/state")
    cut(vm)
    assert names == {"pid", "state", "env", "pic", "console"}
    assert (pid, state) == (environment["pid"], b"running\n")
    assert environment["system"] == SYSTEM
    assert environment["cpus"] == [{"sched": 12, "runmask": [0]}]
    assert environment["memory"][1] == {"kind": "rom", "start": 0xC0000, "length": 0x40000}
    assert environment["loads"] == [{"blob": "guest", "file": "guest"}]
    assert environment["cmdline"] == "tab\t back\\slash é"
    assert console == {"type": "ser8250", "name": "console", "loc": "io:0x3f8", "length": 8, "intr": "pic:4"}
    assert console in environment["vdevs"]
    assert [vdev["type"] for vdev in environment["vdevs"]] == ["ioapic", "ser8250", "8259", "apic", "power"]


def test_what_a_killed_qvm_left_is_cleared(qvm_board: QvmBoard) -> None:
    """The next VM of that name has the entries of its own vdevs only."""
    vm = started(qvm_board, "vdev 8259 loc 0x20 name gone")
    qvm_board.host.run(["kill", "-KILL", str(vm.process.pid)])
    assert vm.end().status == 128 + signal.SIGKILL
    assert "gone" in qvm_board.host.run(["ls", DIRECTORY]).text.split()
    vm = started(qvm_board)
    names = set(qvm_board.host.run(["ls", DIRECTORY]).text.split())
    cut(vm)
    assert names == {"pid", "state", "env", "pic", "console"}
    assert not qvm_board.host.exists(DIRECTORY)


def test_a_second_vm_of_the_name_is_refused(qvm_board: QvmBoard) -> None:
    vm = started(qvm_board)
    second = qvm_board.run()
    assert (second.status, vm.process.poll()) == (64, None)
    assert second.messages.startswith(f"a VM with the name {SYSTEM} is running already (pid ")
    cut(vm)
