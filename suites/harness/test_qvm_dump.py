"""Dumps of a guest on a booted board: what is in them, where they go, and that the guest goes on."""

from __future__ import annotations

import io
import re
import struct
from datetime import UTC, datetime

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import NoteSegment

from suites.harness.qvm_board import DIRECTORY, SYSTEM, QvmBoard, Running

MARK = b"here is the memory of the guest"
COUNTING = f"""
    print "waiting"
    mov $0x1234abcd, %ebx
1:  incl 0x200000
    jmp 1b
mark: .ascii "{MARK.decode()}"
"""
DUMPS = f"{DIRECTORY}/dumps"
NAME = rf"{SYSTEM}-\d{{8}}-\d{{6}}(-\d)?\.gcore"
RBX, RIP = 5, 16
"""Places in `struct user_regs_struct`."""


@pytest.fixture
def dumps(qvm_board: QvmBoard) -> str:
    """An empty directory."""
    qvm_board.host.run(["rm", "-rf", DUMPS])
    qvm_board.host.run(["mkdir", DUMPS])
    return DUMPS


def counting(board: QvmBoard, *options: str) -> Running:
    board.guest(COUNTING)
    vm = board.start(*options)
    vm.await_console("waiting")
    return vm


def dumped(vm: Running, times: int = 1) -> list[str]:
    """Asks for a dump after the other; the files that were written."""
    for number in range(1, times + 1):
        vm.signal("USR2")
        vm.await_message("dump written", number)
    return re.findall(r"dump written to '(.*)'\n", vm.messages())


def cut(vm: Running) -> None:
    vm.signal("QUIT")
    assert vm.end().status == 3


def memory(core: ELFFile, address: int, length: int) -> bytes:
    """Guest-physical memory."""
    segment = next(s for s in core.iter_segments("PT_LOAD") if 0 <= address - s["p_paddr"] < s["p_memsz"])
    core.stream.seek(segment["p_offset"] + address - segment["p_paddr"])
    return bytes(core.stream.read(length))


def test_a_dump_holds_registers_memory_and_the_vdevs_status(qvm_board: QvmBoard, dumps: str) -> None:
    """Read by an ELF library; the guest goes on, as its counter in a second dump shows."""
    vm = counting(qvm_board, f"dump {dumps}", "cpu", "cpu")
    first, second = dumped(vm, 2)
    cut(vm)
    assert re.fullmatch(rf"{dumps}/{NAME}", first)
    core, later = (ELFFile(io.BytesIO(qvm_board.host.read(path))) for path in (first, second))
    assert (core.elfclass, core["e_type"], core["e_machine"]) == (64, "ET_CORE", "EM_X86_64")
    assert [(s["p_paddr"], s["p_filesz"]) for s in core.iter_segments("PT_LOAD")] == [(0, 0xA0000), (0xC0000, 0x40000), (1 << 20, 15 << 20)]
    assert MARK in memory(core, 1 << 20, 4096)
    counters = [struct.unpack("<I", memory(dump, 0x200000, 4))[0] for dump in (core, later)]
    assert 0 < counters[0] < counters[1]
    [segment] = core.iter_segments("PT_NOTE")
    assert isinstance(segment, NoteSegment)
    notes = list(segment.iter_notes())
    assert [note["n_name"] for note in notes] == ["CORE", "QVM", "CORE", "QVM", "QVM"]
    registers = struct.unpack_from("<27Q", notes[0]["n_descdata"], 112)
    assert (registers[RBX], registers[RIP] >> 12) == (0x1234ABCD, 0x100)
    control = struct.unpack("<12Q", notes[1]["n_descdata"])
    assert (control[0], control[1] & 1) == (0, 1)  # vcpu 0 in protected mode
    assert b"[vdev console] dlr=0x" in notes[4]["n_descdata"]


@pytest.mark.parametrize("taken", [2, 10])
def test_names_that_are_taken_get_a_number(qvm_board: QvmBoard, dumps: str, taken: int) -> None:
    """After the plain one -1 to -9; then there is no dump. Here they are taken for whichever of the next seconds it is."""
    vm = counting(qvm_board, f"dump {dumps}")
    now = int(qvm_board.host.run(["date", "+%s"]).text)
    times = [datetime.fromtimestamp(now + second, UTC).strftime("%Y%m%d-%H%M%S") for second in range(30)]
    endings = ["", *(f"-{number}" for number in range(1, taken))]
    script = 'cd "$1"; shift; for name; do : >"$name"; done'
    qvm_board.host.run(["sh", "-c", script, "sh", dumps, *(f"{SYSTEM}-{time}{ending}.gcore" for time in times for ending in endings)])
    vm.signal("USR2")
    vm.await_message("dump")
    cut(vm)
    said = "dump written to '.*-2.gcore'\n" if taken == 2 else "no dump, '.*-9.gcore': File exists\n"
    assert re.search(said, vm.messages())


def test_a_dump_goes_to_a_command(qvm_board: QvmBoard, dumps: str) -> None:
    vm = counting(qvm_board, f'dump "|cat >{dumps}/piped"')
    vm.signal("USR2")
    vm.await_message("dump given to the command")
    cut(vm)
    core = ELFFile(io.BytesIO(qvm_board.host.read(f"{dumps}/piped")))
    assert MARK in memory(core, 1 << 20, 4096)


def test_a_command_that_takes_nothing_is_told(qvm_board: QvmBoard) -> None:
    vm = counting(qvm_board, 'dump "|exit 7"')
    vm.signal("USR2")
    vm.await_message("the command of the dump ended with status 7")
    assert "no dump: the command 'exit 7' does not take it: Broken pipe\n" in vm.messages()
    cut(vm)


def test_a_directory_that_is_gone_is_told(qvm_board: QvmBoard, dumps: str) -> None:
    vm = counting(qvm_board, f"dump {dumps}")
    qvm_board.host.run(["rmdir", dumps])
    vm.signal("USR2")
    vm.await_message("No such file or directory")
    assert re.search(rf"no dump, '{dumps}/{NAME}': No such file or directory\n", vm.messages())
    cut(vm)


def test_without_the_option_there_is_no_dump(qvm_board: QvmBoard) -> None:
    vm = counting(qvm_board)
    vm.signal("USR2")
    vm.await_message("no dump: the configuration does not say where; add dump DIRECTORY\n")
    cut(vm)
