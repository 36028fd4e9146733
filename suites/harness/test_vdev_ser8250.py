"""vdev ser8250 alone, line by line of the 16550A's tables: registers, divisor and line format."""

from __future__ import annotations

import pytest

from suites.harness.rig import NS
from suites.harness.uart import (
    BASE,
    BI,
    BREAK,
    DLAB,
    DLL,
    DLM,
    DR,
    FCR,
    FE,
    FIFO_ERROR,
    FIFO_ON,
    IER,
    IIR,
    IS_LINE_STATUS,
    LCR,
    LINE_STATUS,
    LOOP,
    LSR,
    MCR,
    MSR,
    OUT2,
    RBR,
    SCR,
    TEMT,
    THR,
    THRE,
    Uart,
)


def test_uart_001_dlab_swaps_offsets_0_and_1(uart: Uart) -> None:
    uart.set(IER, 0x05)
    uart.set(LCR, DLAB | 3)
    uart.set(DLL, 0x34)
    uart.set(DLM, 0x12)
    uart.set(LCR, 3)
    assert uart.get(IER) == 0x05
    uart.set(LCR, DLAB | 3)
    assert (uart.get(DLL), uart.get(DLM)) == (0x34, 0x12)


def test_uart_002_reset_state() -> None:
    with Uart(setup=False) as uart:
        assert [uart.get(register) for register in (IER, IIR, LCR, MCR, LSR)] == [0, 1, 0, 0, THRE | TEMT]
        assert uart.get(MSR) & 0x0F == 0
        assert (uart.lines()["pins"], uart.lines()["pin_calls"]) == (0, 1), "DTR and RTS are made inactive"
        uart.advance(NS)
        assert uart.edges() == []


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("register", range(8))
def test_uart_003_wide_access_is_refused_with_all_ones(uart: Uart, register: int, width: int) -> None:
    uart.feed(b"a")
    assert uart.read(BASE + register, width) == (1 << 8 * width) - 1
    uart.write(BASE + register, 0, width=width)
    assert uart.get(RBR) == ord("a")


def test_uart_004_098_reserved_bits_read_0(uart: Uart) -> None:
    uart.set(IER, 0xFF)
    uart.set(MCR, 0xFF)
    assert uart.get(IER) == 0x0F
    assert uart.get(MCR) == 0x1F
    for fcr in range(256):
        uart.set(FCR, fcr)
        assert not uart.get(IIR) & 0x30


def test_uart_005_writes_to_lsr_and_msr_do_nothing(uart: Uart) -> None:
    uart.feed(b"x")
    before = [uart.get(LSR), uart.get(MSR)]
    uart.set(LSR, 0x00, 0xFF)
    uart.set(MSR, 0x00, 0xFF)
    assert [uart.get(LSR), uart.get(MSR)] == before
    assert uart.get(RBR) == ord("x")


def test_uart_006_scratch_register(uart: Uart) -> None:
    for value in range(256):
        uart.set(SCR, value)
        assert uart.get(SCR) == value


def test_uart_007_the_others_do_not_depend_on_dlab(uart: Uart) -> None:
    uart.set(SCR, 0x5A)
    uart.set(LCR, DLAB | 3)
    assert (uart.get(SCR), uart.get(LCR), uart.get(MCR), uart.get(LSR)) == (0x5A, 0x83, OUT2, THRE | TEMT)
    uart.set(SCR, 0xA5)
    uart.set(LCR, 3)
    assert uart.get(SCR) == 0xA5


def test_uart_008_offset_2_is_fcr_whatever_lcr_holds(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    uart.set(LCR, 0xBF)
    assert uart.get(IIR) & 0xC0 == 0xC0
    uart.set(FCR, 0)
    assert uart.get(IIR) & 0xC0 == 0


def test_uart_010_the_divisor_holds_16_bits(uart: Uart) -> None:
    uart.set(LCR, DLAB | 3)
    for bit in range(16):
        uart.set(DLL, 1 << bit & 0xFF)
        uart.set(DLM, 1 << bit >> 8)
        assert uart.get(DLL) | uart.get(DLM) << 8 == 1 << bit


def test_uart_011_the_divisor_latch_touches_nothing_else(uart: Uart) -> None:
    uart.feed(b"r")
    uart.set(IER, 0x0D)
    uart.set(LCR, DLAB | 3)
    for _ in range(3):
        uart.set(DLL, 12)
        uart.set(DLM, 0)
        uart.get(DLL)
    uart.set(LCR, 3)
    uart.characters(5)
    assert uart.taken() == b""
    assert uart.get(IER) == 0x0D
    assert uart.get(RBR) == ord("r")


def test_uart_012_divisor_0_stalls_the_transmitter(uart: Uart) -> None:
    uart.divisor(0)
    uart.set(THR, 0x41)
    uart.advance(10 * NS)
    assert uart.taken() == b""
    assert not uart.get(LSR) & TEMT
    uart.divisor(1)
    assert not uart.get(LSR) & TEMT, "the character begins with the clock"
    uart.advance(NS // 1000)
    assert uart.taken() == b"A"
    assert uart.get(LSR) == THRE | TEMT


def test_uart_013_the_largest_divisor(uart: Uart) -> None:
    uart.divisor(0xFFFF)
    uart.set(THR, 0x41)
    uart.advance(int(10 * 65535 / 115200 * NS))
    assert not uart.get(LSR) & TEMT
    uart.advance(NS)
    assert uart.get(LSR) & TEMT
    assert uart.taken() == b"A"


@pytest.mark.parametrize(
    ("lcr", "bits"), [(0x00, 7), (0x01, 8), (0x02, 9), (0x03, 10), (0x0B, 11), (0x07, 11), (0x04, 7.5), (0x0F, 12), (0x1A, 10), (0x2B, 11)]
)
@pytest.mark.parametrize("divisor", [1, 12, 384])
def test_uart_014_020_character_time(uart: Uart, divisor: int, lcr: int, bits: float) -> None:
    uart.set(LCR, lcr)
    uart.divisor(divisor)
    bit = divisor / 115200 * NS
    uart.set(THR, 0x55)
    uart.advance(round((1 + bits) * bit) - 2)
    assert not uart.get(LSR) & TEMT
    uart.advance(4)
    assert uart.get(LSR) & TEMT


@pytest.mark.parametrize(("divisor", "baud"), [(1, 115200), (2, 57600), (12, 9600), (384, 300), (293, 393)])
def test_uart_015_the_divisor_reaches_the_line(uart: Uart, divisor: int, baud: int) -> None:
    uart.divisor(divisor)
    assert uart.lines()["baud"] == baud


@pytest.mark.parametrize(
    ("lcr", "data", "stop", "parity"),
    [(0x03, 8, 1, 0), (0x1A, 7, 1, 2), (0x0E, 7, 2, 1), (0x04, 5, 2, 0), (0x2B, 8, 1, 3), (0x3B, 8, 1, 4), (0x01, 6, 1, 0)],
)
def test_uart_015_021_the_format_reaches_the_line(uart: Uart, lcr: int, data: int, stop: int, parity: int) -> None:
    uart.set(LCR, lcr)
    lines = uart.lines()
    assert (lines["data"], lines["stop"], lines["parity"]) == (data, stop, parity)


def test_uart_015_the_line_is_set_when_settings_are_complete_and_new(uart: Uart) -> None:
    before = uart.lines()["settings"]
    uart.set(LCR, DLAB | 3)
    uart.set(DLL, 0x80)
    uart.set(DLM, 0x01)
    assert uart.lines()["settings"] == before, "not half-way"
    uart.set(LCR, 3)
    assert uart.lines()["settings"] == before + 1
    uart.divisor(384)
    uart.set(LCR, 3)
    uart.send(b"a")
    assert uart.lines()["settings"] == before + 1


def test_uart_018_lcr_reads_back(uart: Uart) -> None:
    for value in range(256):
        uart.set(LCR, value)
        assert uart.get(LCR) == value


@pytest.mark.parametrize(("lcr", "mask"), [(0, 0x1F), (1, 0x3F), (2, 0x7F), (3, 0xFF)])
def test_uart_019_short_words_have_no_upper_bits(uart: Uart, lcr: int, mask: int) -> None:
    uart.set(LCR, lcr)
    uart.loop()
    uart.set(THR, 0xFF)
    uart.characters(2)
    assert uart.get(RBR) == mask
    uart.set(MCR, OUT2)
    uart.feed(b"\xff")
    assert uart.get(RBR) == mask
    uart.set(THR, 0xFF)
    uart.characters(2)
    assert uart.taken() == bytes([mask])


def test_uart_022_023_break_reaches_the_line_for_as_long_as_it_is_set(uart: Uart) -> None:
    uart.set(LCR, BREAK | 3)
    assert uart.lines()["break"] == 1
    uart.set(LCR, BREAK | 3)
    uart.set(LCR, 3)
    assert (uart.lines()["break"], uart.lines()["breaks"]) == (0, 2)


def test_uart_022_055_a_break_in_loopback_interrupts_after_a_character(uart: Uart) -> None:
    uart.loop()
    uart.set(IER, LINE_STATUS)
    uart.set(LCR, BREAK | 3)
    uart.characters(0.9)
    assert uart.edges() == []
    uart.characters(0.2)
    assert uart.interrupt()


def test_uart_022_characters_are_not_seen_during_a_break(uart: Uart) -> None:
    uart.set(LCR, BREAK | 3)
    uart.set(THR, 0x41)
    uart.characters(2)
    assert uart.get(LSR) & TEMT, "but they take their time, which is how a break is measured"
    uart.set(LCR, 3)
    uart.characters(2)
    assert uart.taken() == b""


def test_uart_022_038_039_040_a_break_in_loopback_is_one_nul_with_bi_and_fe(uart: Uart) -> None:
    uart.loop(FIFO_ON)
    uart.set(IER, LINE_STATUS)
    uart.send(b"a")
    uart.characters(2)
    uart.set(LCR, BREAK | 3)
    uart.characters(20)
    uart.set(LCR, 3)
    uart.send(b"b")
    uart.characters(2)
    assert uart.get(LSR) == DR | THRE | TEMT | FIFO_ERROR, "the error is not at the head yet"
    assert uart.get(RBR) == ord("a")
    assert uart.identify() == IS_LINE_STATUS
    assert uart.get(LSR) == DR | THRE | TEMT | BI | FE | FIFO_ERROR
    assert uart.get(LSR) == DR | THRE | TEMT, "cleared by reading"
    assert [uart.get(RBR), uart.get(RBR)] == [0, ord("b")]
    assert uart.lines()["breaks"] == 0, "the pin marks"


def test_status_text(uart: Uart) -> None:
    uart.set(IER, 5)
    uart.set(MCR, OUT2 | LOOP)
    assert uart.ask("status").rstrip() == "dlr=0xc lcr=0x3 ier=0x5 mcr=0x18"
