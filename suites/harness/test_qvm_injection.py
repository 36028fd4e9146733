"""Interrupts of a guest arrive once, on the clock that cuts the board's time into the most slices (`boards/virtual/image/injection.c`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from suites.harness.qvm_board import QvmBoard, booted

LAPIC_TIMER = """
    .set APIC, 0xfee00000
    gate 31, tick
    movl $0x1ff, APIC + 0xf0        # on
    movl $0xb, APIC + 0x3e0         # divide by 1
    movl $0x2001f, APIC + 0x320     # periodic, vector 31
    movl $251003, APIC + 0x380      # ns; no part of the host's own tick, so that this comes at every point of the handler
    sti
1:  cmpl $COUNT, ticks
    jb 1b
    cli
    mov nested, %edi
    print_hex %edi
    stop
tick:                               # interrupts are disabled in here
    lock incl inside
    cmpl $1, inside
    je 1f
    incl nested
1:  push %ecx
    mov $4000, %ecx
1:  loop 1b
    pop %ecx
    incl ticks
    lock decl inside
    movl $0, APIC + 0xb0            # end of interrupt
    iret
inside: .long 0
nested: .long 0
ticks: .long 0
"""


@pytest.fixture(scope="module")
def exact_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QvmBoard]:
    with booted(tmp_path_factory.mktemp("board"), "virtual-x86_64-exact") as board:
        yield board


def test_no_interrupt_comes_while_interrupts_are_disabled(exact_board: QvmBoard) -> None:
    """10,000 of the local APIC's timer, each with 32 us of handler."""
    exact_board.guest(LAPIC_TIMER.replace("COUNT", "10000"))
    ended = exact_board.run()
    assert (ended.status, ended.console) == (0, "00000000\n")
