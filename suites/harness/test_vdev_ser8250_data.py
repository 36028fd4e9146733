"""vdev ser8250 alone, line by line of the 16550A's tables: transmitter, receiver, random access."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.harness.rig import NS
from suites.harness.uart import (
    BASE,
    CLEAR_RX,
    CLEAR_TX,
    DLAB,
    DLL,
    DLM,
    DR,
    FCR,
    FIFO_ON,
    IER,
    IIR,
    IS_LINE_STATUS,
    LCR,
    LINE_STATUS,
    LSR,
    MCR,
    OE,
    OUT2,
    RBR,
    RDA,
    TEMT,
    THR,
    THRE,
    THRE_INT,
    TRIGGERS,
    Uart,
)


def test_uart_025_027_thre_comes_back_before_temt(uart: Uart) -> None:
    uart.set(THR, 0x41)
    assert uart.get(LSR) == 0
    uart.advance(round(uart.bit) + 1)
    assert uart.get(LSR) == THRE
    uart.characters(1)
    assert uart.get(LSR) == THRE | TEMT


def test_uart_026_temt_implies_thre(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    for number in range(40):
        if number % 13 == 0:
            uart.send(bytes(7))
        for value in uart.sample(BASE + LSR, 30, 97_003):
            assert value & TEMT == 0 or value & THRE


def test_uart_028_the_fifo_takes_16(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    for start in range(0, 160, 16):
        assert uart.get(LSR) & THRE
        uart.send(bytes(range(start, start + 16)))
        assert not uart.get(LSR) & THRE
        uart.characters(17)
    assert uart.taken() == bytes(range(160))


def test_uart_028_what_is_written_to_a_full_fifo_is_lost(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    uart.send(bytes(range(20)))
    uart.characters(20)
    assert uart.taken() == bytes(range(16))


def test_uart_028_a_full_fifo_is_paced_and_takes_few_callbacks(uart: Uart) -> None:
    """On time to the character, also when the callbacks are late."""
    uart.divisor(1)
    uart.set(FCR, FIFO_ON)
    uart.set(IER, THRE_INT)
    uart.get(IIR)
    uart.ask("callbacks")
    for block in range(100):
        uart.send(bytes([block]) * 16)
        while not uart.get(LSR) & THRE:
            uart.stall(40_000)
    elapsed = uart.now
    uart.advance(NS // 100)
    assert len(uart.taken()) == 1600
    assert elapsed == pytest.approx(1600 * 86_806 - 86_806, rel=0.001)
    assert int(uart.ask("callbacks")) <= 300


def test_uart_028_output_does_not_wait_for_the_whole_fifo(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    uart.send(bytes(16))
    uart.characters(4)
    assert len(uart.taken()) >= 2


def test_uart_029_order_and_completeness(uart: Uart) -> None:
    data = bytes(i * 7 + (i >> 8) & 0xFF for i in range(1 << 16))
    uart.divisor(1)
    uart.set(FCR, FIFO_ON)
    script = []
    for start in range(0, len(data), 16):
        script += [f"out {BASE + THR} {byte}" for byte in data[start : start + 16]] + ["advance 1500000"]
    uart.script(script)
    assert uart.taken() == data


def test_uart_030_a_host_that_takes_nothing_holds_the_shift_register(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    uart.ask("room 2")
    uart.send(bytes(range(16)))
    uart.characters(100)
    assert uart.taken() == b"\0\1"
    assert not uart.get(LSR) & THRE
    uart.send(b"\x20\x21\x22")
    uart.advance(60 * NS)
    assert not uart.get(LSR) & (THRE | TEMT)
    uart.ask("room -")
    uart.characters(0.9)
    assert uart.taken() == b"\2", "the one that waited; the others take their time"
    uart.characters(20)
    assert uart.taken() == bytes(range(3, 16)) + b"\x20\x21\x22", "nothing lost, nothing twice"
    assert uart.get(LSR) == THRE | TEMT


def test_uart_031_no_stray_characters(uart: Uart) -> None:
    for fcr in (0x01, 0x07, 0x00, 0xC7, 0x06, 0x01, 0x00):
        uart.set(FCR, fcr)
        uart.set(LCR, 0x83, 0x03, 0xBF, 0x00, 0x03)
        uart.set(MCR, 0x1F, 0x0B)
        uart.set(IER, 0x0F, 0)
        uart.characters(3)
    assert uart.taken() == b""
    assert uart.get(LSR) & DR == 0


def test_uart_033_dr(uart: Uart) -> None:
    assert not uart.get(LSR) & DR
    uart.feed(b"z")
    assert uart.get(LSR) & DR
    assert uart.get(RBR) == ord("z")
    assert not uart.get(LSR) & DR


@pytest.mark.parametrize("fcr", [0, FIFO_ON])
def test_uart_034_106_input_waits_at_the_host_and_is_never_overrun(uart: Uart, fcr: int) -> None:
    data = bytes(i & 0xFF for i in range(1000))
    uart.set(FCR, fcr)
    uart.feed(data)
    uart.characters(100)
    assert uart.get(LSR) & (DR | OE) == DR
    assert int(uart.ask("waiting")) == len(data) - (16 if fcr else 1)
    received = bytearray()
    for _ in range(1500):
        while (lsr := uart.get(LSR)) & DR:
            assert not lsr & OE
            received.append(uart.get(RBR))
        uart.characters(1)
    assert received == data


def test_uart_034_input_comes_at_the_programmed_rate(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON | TRIGGERS[14])
    uart.set(IER, RDA)
    uart.feed(bytes(14))
    assert uart.get(LSR) & DR, "the first is there"
    uart.advance(13 * uart.character - 1000)
    assert uart.edges() == []
    uart.advance(2000)
    assert uart.interrupt()
    assert int(uart.ask("callbacks")) <= 2, "and not one callback for each"


def test_uart_034_the_next_character_comes_without_being_looked_for(uart: Uart) -> None:
    uart.set(IER, RDA)
    uart.feed(b"ab")
    uart.get(RBR)
    uart.edges()
    uart.characters(1)
    assert uart.interrupt()


def test_uart_035_077_092_fifo_overrun_keeps_the_fifo(uart: Uart) -> None:
    uart.loop(FIFO_ON)
    uart.send(bytes(range(16)))
    uart.characters(17)
    assert not uart.get(LSR) & OE
    uart.send(b"\x10")
    uart.characters(2)
    assert uart.get(LSR) & OE
    assert not uart.get(LSR) & OE
    assert [uart.get(RBR) for _ in range(16)] == list(range(16))
    assert not uart.get(LSR) & DR


def test_uart_036_overrun_without_fifo_keeps_the_new_character(uart: Uart) -> None:
    uart.loop()
    for byte in b"ab":
        uart.set(THR, byte)
        uart.characters(2)
    assert uart.get(LSR) & (OE | DR) == OE | DR
    assert uart.get(RBR) == ord("b")
    assert not uart.get(LSR) & DR


@pytest.mark.parametrize("fcr", [0, FIFO_ON])
def test_uart_037_an_empty_rbr_can_be_read(uart: Uart, fcr: int) -> None:
    uart.set(FCR, fcr)
    for _ in range(100):
        uart.get(RBR)
    uart.feed(b"ok")
    assert uart.get(RBR) == ord("o")
    uart.characters(1)
    assert uart.get(RBR) == ord("k")
    assert not uart.get(LSR) & DR


def test_uart_041_reading_lsr_clears_errors_only(uart: Uart) -> None:
    uart.loop()
    uart.set(IER, LINE_STATUS)
    for byte in b"ab":
        uart.set(THR, byte)
        uart.characters(2)
    assert uart.identify() == IS_LINE_STATUS
    assert uart.get(LSR) == OE | DR | THRE | TEMT
    assert uart.identify() == 1
    assert uart.get(LSR) == DR | THRE | TEMT


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7), st.integers(0, 255), st.sampled_from([1, 1, 1, 2, 4])), max_size=300))
def test_uart_105_the_device_works_after_random_access(accesses: list[tuple[bool, int, int, int]]) -> None:
    with Uart() as uart:
        uart.feed(bytes(300))
        for write, register, value, width in accesses:
            if write:
                uart.write(BASE + register, value, width=width)
            else:
                uart.read(BASE + register, width)
            uart.advance(value * 1009)
        uart.set(LCR, DLAB)
        uart.set(DLL, 1)
        uart.set(DLM, 0)
        uart.set(LCR, 3)
        uart.set(MCR, OUT2)
        uart.set(IER, 0)
        uart.set(FCR, FIFO_ON | CLEAR_RX | CLEAR_TX)
        uart.advance(10 * NS)
        uart.taken()
        uart.send(bytes(range(16)))
        uart.advance(NS)
        assert uart.taken() == bytes(range(16))
        assert uart.get(LSR) & (THRE | TEMT) == THRE | TEMT


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_uart_108_two_processors_on_the_port(sanitizer: str) -> None:
    with Uart(sanitizer=sanitizer) as uart:
        uart.feed(bytes(1000))
        uart.ask("race 20000 1 0x3f8 8")
        uart.ask("status")
