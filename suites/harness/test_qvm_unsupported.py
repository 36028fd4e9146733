"""What a guest meets where the VM has nothing: the option `unsupported`, on a booted board."""

from __future__ import annotations

import re

import pytest

from suites.harness.qvm_board import QvmBoard

READ_NOTHING = """
    mov $0x310, %dx
    in %dx, %al
    movzx %al, %edi
    print_hex %edi
    mov 0xe0000000, %edi
    print_hex %edi
    mov $0x310, %dx
    out %al, %dx
    mov %edi, 0xe0000000
    mov %edi, 0xc0000           # ROM
    mov 0xc0000, %edi
    print_hex %edi
    stop
"""
TOUCHES = {
    "port in": "in %dx, %al",
    "port out": "out %al, %dx",
    "port string": "insb",
    "memory read": "mov 0xe0000000, %edi",
}
READ_REGISTER = "mov $0x4b564df0, %ecx\n rdmsr\n mov %eax, %edi\n print_hex %edi\n stop\n"
"""A model-specific register that no processor has."""
LEAVE_MEMORY = "mov $0xe0000000, %eax\n jmp *%eax\n"
"""The next instruction is where nothing is."""


def test_a_reference_to_nothing_is_ignored_by_default(qvm_board: QvmBoard) -> None:
    """A read finds all ones, a write is lost, and so is one to ROM."""
    qvm_board.guest(READ_NOTHING)
    ended = qvm_board.run()
    assert (ended.status, ended.console.split(), ended.messages) == (0, ["000000ff", "ffffffff", "00000000"], "")


def test_a_reference_to_nothing_aborts_the_vm(qvm_board: QvmBoard) -> None:
    """Status 5, with the guest's state."""
    qvm_board.guest("mov $0x12345678, %ebx\n mov 0xe0000000, %edi\n stop\n")
    ended = qvm_board.run("unsupported reference abort")
    assert ended.status == 5
    assert re.fullmatch(
        r"unsupported reference: 4-byte read at mem:0xe0000000 \(vcpu0: rip=0x1000\w\w .* rbx=0x12345678 .*\)\n", ended.messages
    )


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES.keys())
def test_a_reference_to_nothing_fails_in_the_guest(qvm_board: QvmBoard, touch: str) -> None:
    """General protection, error code 0, at the instruction itself."""
    setup = "push %ds\n pop %es\n mov $0x200000, %edi\n mov $0x310, %dx\n"
    qvm_board.guest(f"catch 13\n print_hex $1f\n {setup} 1: {touch}\n print_hex $0\n stop\n")
    ended = qvm_board.run("unsupported reference fail")
    address, *rest = ended.console.splitlines()
    assert (rest, ended.status) == (["exception 13", "00000000", address], 0)


def test_a_write_to_nothing_fails_in_the_guest(qvm_board: QvmBoard) -> None:
    """The kernel is behind the instruction when it asks, and so is the exception."""
    qvm_board.guest("catch 13\n print_hex $1f\n mov %edi, 0xe0000000\n 1: print_hex $0\n stop\n")
    address, *rest = qvm_board.run("unsupported reference fail").console.splitlines()
    assert rest == ["exception 13", "00000000", address]


@pytest.mark.parametrize(
    ("options", "status", "console"),
    [
        ((), 0, "exception 13"),
        (("unsupported register fail",), 0, "exception 13"),
        (("unsupported register ignore",), 0, "ffffffff\n"),
        (("unsupported register abort",), 5, ""),
    ],
)
def test_a_register_nobody_has(qvm_board: QvmBoard, options: tuple[str, ...], status: int, console: str) -> None:
    qvm_board.guest(f"catch 13\n {READ_REGISTER}")
    ended = qvm_board.run(*options)
    assert (ended.status, ended.console[: len(console)]) == (status, console)
    assert ended.messages.startswith("unsupported register: read of MSR 0x4b564df0 (vcpu0: " if status else "")


def test_an_instruction_from_nothing_aborts_the_vm(qvm_board: QvmBoard) -> None:
    """It is a reference to nothing, whatever else it would be: no guest goes on from there."""
    qvm_board.guest(LEAVE_MEMORY)
    ended = qvm_board.run("unsupported reference abort")
    assert ended.status == 5
    assert ended.messages.startswith("unsupported reference: an instruction at mem:0xe0000000 (vcpu0: rip=0xe0000000 ")


def test_an_instruction_from_nothing_fails_in_the_guest(qvm_board: QvmBoard) -> None:
    """General protection, error code 0, where the instruction would be."""
    qvm_board.guest(f"catch 13\n {LEAVE_MEMORY}")
    ended = qvm_board.run("unsupported reference fail")
    assert (ended.status, ended.console) == (0, "exception 13\n00000000\ne0000000\n")


@pytest.mark.parametrize(("options", "status"), [((), 0), (("unsupported instruction abort",), 5)])
def test_an_instruction_that_cannot_be_done(qvm_board: QvmBoard, options: tuple[str, ...], status: int) -> None:
    """An invalid opcode for the guest, or the end of the VM."""
    qvm_board.guest(f"catch 6, 0\n {LEAVE_MEMORY}")
    ended = qvm_board.run(*options)
    assert ended.status == status
    assert ended.console == ("" if status else "exception 6\ne0000000\n")
    assert ended.messages.startswith("unsupported instruction (vcpu0: rip=0xe0000000 " if status else "")
