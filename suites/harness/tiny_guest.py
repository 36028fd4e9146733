"""Guests of a few instructions for the tests of qvm: assembled here, with a UART to print on and a port to reset by.

A body starts at `start` in 32-bit protected mode with flat segments, as qvm starts an image, and may use `print "TEXT"`,
`print_hex REGISTER` (both clobber EAX, ECX, EDX, ESI, EBP), `flush` (waits until the last character has left: the end of the VM loses
it), `stop` (`flush`, then resets the PC: qvm ends with 0), `halt` (until the power is cut), `gate VECTOR, LABEL` (below 32: where it
goes, with interrupts disabled) and `catch VECTOR`: from then on that exception prints its number, its error code and the address it has
for the instruction, and stops. The last two are for images that are linked for where they are.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

MIB = 1 << 20

PROLOGUE = r"""
.code32
.macro print text
    jmp 2f
1:  .asciz "\text\n"
2:  call 3f
3:  pop %esi
    sub $(3b - 1b), %esi
    call print_text
.endm
.macro print_hex register
    mov \register, %ebp
    call print_number
.endm
.macro flush
    mov $0x3fd, %dx
9:  in %dx, %al
    test $0x40, %al
    jz 9b
.endm
.macro stop
    flush
    mov $0xcf9, %dx
    mov $6, %al
    out %al, %dx
    halt
.endm
.macro halt
9:  cli
    hlt
    jmp 9b
.endm
.macro gate vector, handler
    movl $\handler, %eax
    movw %ax, idt + 8 * \vector
    movw $0x10, idt + 8 * \vector + 2
    movw $0x8e00, idt + 8 * \vector + 4
    shr $16, %eax
    movw %ax, idt + 8 * \vector + 6
    lidt idt_pointer
.endm
.macro catch vector, code=1
    gate \vector, caught_\vector
    jmp 8f
caught_\vector:
    print "exception \vector"
    .if \code
    pop %edi
    print_hex %edi
    .endif
    pop %edi
    print_hex %edi
    stop
8:
.endm
.globl start
start:
    mov $STACK, %esp
    push %eax
    mov $0x3fb, %dx             # LCR: 8 bits
    mov $3, %al
    out %al, %dx
    pop %eax
"""
EPILOGUE = """
print_text:                     # ESI: text
    lodsb
    test %al, %al
    jz 2f
    call print_character
    jmp print_text
2:  ret
print_character:                # AL, when the transmitter takes one
    mov %al, %ah
    mov $0x3fd, %dx
1:  in %dx, %al
    test $0x20, %al
    jz 1b
    mov $0x3f8, %dx
    mov %ah, %al
    out %al, %dx
    ret
print_number:                   # EBP in eight hexadecimal digits and a line's end
    mov $8, %ecx
1:  rol $4, %ebp
    mov %ebp, %eax
    and $0xf, %al
    cmp $10, %al
    jb 2f
    add $('a' - 10 - '0'), %al
2:  add $'0', %al
    call print_character
    loop 1b
    mov $10, %al
    jmp print_character
.align 8
idt: .fill 32, 8, 0
idt_pointer: .word 32 * 8 - 1
    .long idt
"""
MULTIBOOT = """
.align 4
header: .long 0x1badb002, {flags:#x}, -(0x1badb002 + {flags:#x})
    .long header, {load:#x}, 0, 0, start
"""
"""Flags without bit 16 make the addresses mean nothing."""


def assemble(body: str, target: Path, *, form: str = "elf32", at: int = MIB, multiboot: int | None = None) -> Path:
    """Writes an image that runs `body` to `target`: `elf32`, `elf64` or `raw`, linked for the address `at`.

    `multiboot` are the flags of a multiboot header, None for no header.
    """
    header = "" if multiboot is None else MULTIBOOT.format(flags=multiboot, load=at)
    source = f".set STACK, {at:#x} + 0x8000\n{PROLOGUE}{body}{EPILOGUE}{header}"
    linked = target.with_name(target.name + ".elf") if form == "raw" else target
    width = "-m64" if form == "elf64" else "-m32"
    options = ["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", f"-Wl,-Ttext={at:#x}", "-Wl,-e,start", "-Wl,-N", "-x", "assembler"]
    done = subprocess.run(["gcc", width, *options, "-o", linked, "-"], input=source, text=True, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    if form == "raw":
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", linked, target], check=True)
    return target
