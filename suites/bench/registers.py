"""A PC's ports and its processor as root of a stock Linux guest reaches them: by programs of a few instructions, made here."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from harness.guest.linux import LinuxGuest

SPEAKER, PIT_CONTROL, COUNTER_2 = 0x61, 0x43, 0x42
TTYS1 = 0x2F8
HYPERVISOR = 0x40000000
"""The CPUID leaf at which hypervisors give their signature."""
IN_A_VM = 1 << 31
"""Leaf 1, ECX."""


LOOKS = 1000
"""Reads of a register, at a microsecond or more, in which a character has gone and a count of 16 has ended."""


class Read(NamedTuple):
    """A byte from a port; with `looks` the last of so many."""

    port: int
    looks: int = 1


class Write(NamedTuple):
    """A byte to a port."""

    port: int
    value: int


def access(guest: LinuxGuest, *steps: Read | Write) -> list[int]:
    """Accesses to ports one right after the other; what was read, in order."""
    size = sum(isinstance(step, Read) for step in steps)
    # iopl(3), the end with its errno when that is refused
    code = b"\xb8\xac\0\0\0\xbf\3\0\0\0\x0f\x05\x85\xc0\x74\x0b\xf7\xd8\x89\xc7\xb8\x3c\0\0\0\x0f\x05"
    place = 0
    for step in steps:
        code += b"\x66\xba" + struct.pack("<H", step.port)  # mov dx, port
        if isinstance(step, Write):
            code += bytes([0xB0, step.value, 0xEE])  # mov al, value; out dx, al
        else:
            code += b"\xb9" + struct.pack("<I", step.looks) + b"\xec\xff\xc9\x75\xfb"  # mov ecx, looks; 1: in al, dx; dec ecx; jnz 1b
            code += b"\x88\x84\x24" + struct.pack("<I", place)  # mov [rsp + place], al
            place += 1
    return list(_run(guest, code, size))


def port_61(guest: LinuxGuest) -> str:
    """What port 0x61 does, as PIT-100, PIT-102 and PIT-103 ask for it."""
    wanted = [0, 1, 3, 2]
    back = [value & 3 for value in access(guest, *(step for value in wanted for step in (Write(SPEAKER, value), Read(SPEAKER))))]
    count = (Write(SPEAKER, 1), Write(PIT_CONTROL, 0xB0), Read(SPEAKER), Write(COUNTER_2, 16), Write(COUNTER_2, 0), Read(SPEAKER, LOOKS))
    low, high, *seen = access(guest, *count, *[Read(SPEAKER)] * 64, Write(SPEAKER, 0))
    return (
        f"{_yes(back == wanted)}: bits 0 and 1, written {_list(wanted)}, are read as {_list(back)}\n"
        f"bit 5 is {low >> 5 & 1} when counter 2 begins in mode 0, {high >> 5 & 1} when it has counted\n"
        f"bit 4 is {' and '.join(sorted({str(value >> 4 & 1) for value in seen}))} in {len(seen)} reads"
    )


def uart(guest: LinuxGuest, base: int = TTYS1) -> str:
    """How deep the UART is behind a port that nobody has open: FIFOs, scratch register, loopback, modem lines, divisor."""
    data, ier, fcr, lcr, mcr, lsr, msr, scratch = range(base, base + 8)
    _, kept_5a, kept_a5 = access(
        guest, Write(ier, 0), Write(lcr, 3), Read(data), Write(scratch, 0x5A), Read(scratch), Write(scratch, 0xA5), Read(scratch)
    )
    on, off = access(guest, Write(fcr, 0x01), Read(fcr), Write(fcr, 0x00), Read(fcr))
    plain, all_on, all_off = access(guest, Write(mcr, 0), Read(msr), Write(mcr, 0x1F), Read(msr), Write(mcr, 0x10), Read(msr))
    full, received, empty, broken, after = access(
        guest,
        *(Write(data, 0x55), Read(lsr, LOOKS), Read(data), Read(lsr)),
        *(Write(lcr, 0x43), Read(lsr), Write(lcr, 0x03), Read(lsr)),
    )
    low, high = access(
        guest,
        *(Write(lcr, 0x83), Write(data, 0x80), Write(ier, 0x01), Read(data), Read(ier)),
        *(Write(data, 0x01), Write(ier, 0x00), Write(lcr, 0x03), Write(mcr, 0x00)),
    )
    return (
        f"{_yes(on >> 6 == 3)}: IIR is {on:#04x} with the FIFOs switched on, {off:#04x} with them off\n"
        f"the scratch register, written 0x5a and 0xa5, is read as {kept_5a:#04x}, {kept_a5:#04x}\n"
        f"MSR is {plain:#04x}; in loopback {all_on:#04x} with all outputs on and {all_off:#04x} with all off\n"
        f"0x55 sent in loopback is received as {received:#04x}, LSR {full:#04x} before it is read, {empty:#04x} after\n"
        f"LSR with a break in loopback is {broken:#04x}, read again {after:#04x}\n"
        f"the divisor, written 0x0180, is read as {high:#04x}{low:02x}"
    )


class Leaf(NamedTuple):
    """What CPUID says of a leaf."""

    eax: int
    ebx: int
    ecx: int
    edx: int


def cpuid(guest: LinuxGuest, *leaves: int) -> list[Leaf]:
    """CPUID as a program in the guest executes it."""
    code = b""
    for number, leaf in enumerate(leaves):
        code += b"\xb8" + struct.pack("<I", leaf) + b"\x31\xc9\x0f\xa2"  # mov eax, leaf; xor ecx, ecx; cpuid
        for place, register in enumerate((0x84, 0x9C, 0x8C, 0x94)):
            code += bytes([0x89, register, 0x24]) + struct.pack("<I", 16 * number + 4 * place)  # mov [rsp + place], register
    return [Leaf(*numbers) for numbers in struct.iter_unpack("<4I", _run(guest, code, 16 * len(leaves)))]


def _run(guest: LinuxGuest, code: bytes, size: int) -> bytes:
    """What machine code of x86-64 leaves in the `size` bytes from RSP on."""
    begin = b"\x48\x81\xec" + struct.pack("<I", size + 15 & ~15)  # sub rsp, size
    write = b"\xb8\1\0\0\0\xbf\1\0\0\0\x48\x89\xe6\xba" + struct.pack("<I", size) + b"\x0f\x05"  # write(1, rsp, size)
    code = begin + code + write + b"\xb8\x3c\0\0\0\x31\xff\x0f\x05"  # exit(0)
    at, head = 0x400000, 64 + 56
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, at + head, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, at, at, head + len(code), head + len(code), 0x1000)
    program = header + segment + code
    guest.shell.run_text("cat >/tmp/program && chmod 700 /tmp/program", guest.command_seconds, input=program)
    return guest.must(["/tmp/program"]).stdout


def signature(leaf: Leaf) -> str:
    """The twelve characters of the hypervisor's leaf, or the numbers where they are none."""
    text = struct.pack("<3I", leaf.ebx, leaf.ecx, leaf.edx)
    shown = text.rstrip(b"\0").decode("ascii", "replace")
    return repr(shown) if shown and shown.isprintable() else f"none, {text.hex(' ', 4)}"


def _yes(found: bool) -> str:
    return "yes" if found else "no"


def _list(values: Iterable[int], form: str = "d") -> str:
    return ", ".join(format(value, form) for value in values)
