"""vdev ser8250 alone, line by line of the 16550A's tables: FIFO control, trigger levels and timeout."""

from __future__ import annotations

import pytest

from suites.harness.rig import NS
from suites.harness.uart import (
    CLEAR_RX,
    CLEAR_TX,
    DR,
    FCR,
    FIFO_ON,
    IER,
    IIR,
    IS_RDA,
    IS_THRE,
    IS_TIMEOUT,
    LCR,
    LSR,
    NONE,
    RBR,
    RDA,
    TEMT,
    THR,
    THRE,
    THRE_INT,
    TRIGGERS,
    Uart,
)


def test_uart_065_iir_shows_the_fifos(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    assert uart.get(IIR) == 0xC1
    uart.set(FCR, 0)
    assert uart.get(IIR) == 0x01


@pytest.mark.parametrize(("before", "after"), [(FIFO_ON, 0), (0, FIFO_ON)])
def test_uart_066_changing_fifo_mode_empties_both(uart: Uart, before: int, after: int) -> None:
    uart.set(FCR, before)
    uart.feed(b"abc")
    uart.characters(3)
    uart.send(b"x")
    uart.set(FCR, after)
    lsr = uart.get(LSR)
    assert lsr & THRE
    uart.characters(1)
    assert uart.taken() == b"", "it had not reached the shift register"
    if before:
        assert not lsr & DR


def test_uart_066_other_bits_need_bit_0(uart: Uart) -> None:
    uart.feed(b"a")
    uart.set(FCR, CLEAR_RX | CLEAR_TX | TRIGGERS[14])
    assert uart.get(LSR) & DR
    assert uart.get(IIR) & 0xC0 == 0
    uart.set(THR, 0x41)
    uart.set(FCR, CLEAR_TX)
    uart.characters(2)
    assert uart.taken() == b"A"
    uart.set(FCR, FIFO_ON | TRIGGERS[8])
    uart.set(FCR, FIFO_ON)
    uart.set(IER, RDA)
    uart.feed(b"b")
    uart.characters(1)
    assert uart.identify() == IS_RDA, "the trigger is 1 again"


def test_uart_067_clearing_the_receiver(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON | TRIGGERS[14])
    uart.set(IER, RDA)
    uart.feed(b"abc")
    uart.characters(10)
    assert uart.identify() == IS_TIMEOUT
    uart.set(FCR, FIFO_ON | CLEAR_RX | TRIGGERS[14])
    assert not uart.get(LSR) & DR
    assert uart.identify() == NONE
    uart.feed(b"d")
    assert uart.get(RBR) == ord("d"), "the bit clears itself"


def test_uart_068_clearing_the_transmitter_spares_the_shift_register(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    uart.send(b"abcdefgh")
    uart.characters(2.5)
    uart.set(IER, THRE_INT)
    uart.set(FCR, FIFO_ON | CLEAR_TX)
    assert uart.identify() == IS_THRE, "the FIFO is empty"
    assert uart.get(LSR) & (THRE | TEMT) == THRE
    uart.characters(10)
    assert uart.taken() == b"abc"


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_uart_069_070_trigger_levels(uart: Uart, trigger: int) -> None:
    uart.loop(FIFO_ON | TRIGGERS[trigger])
    uart.set(IER, RDA)
    for count in range(1, 16):
        uart.send(bytes([count]))
        uart.characters(1.2)
        assert uart.identify() == (IS_RDA if count >= trigger else NONE)
    for left in range(14, 0, -1):
        uart.get(RBR)
        assert uart.identify() == (IS_RDA if left >= trigger else NONE)


def test_uart_075_after_a_single_character_the_thre_interrupt_is_delayed(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    uart.set(IER, THRE_INT)
    uart.identify()
    delays = []
    for data in (b"a", b"b", b"cd", b"e"):
        uart.send(data)
        written = uart.now
        uart.edges()
        uart.characters(0.5)
        uart.get(LSR)
        uart.characters(len(data) + 2)
        ((time, level),) = uart.edges()
        assert level
        delays.append(round((time - written) / uart.bit))
        uart.identify()
    assert delays == [1, 10, 11, 10], "one character less its stop bit; not for the first after FCR bit 0, nor for two"


def test_uart_075_enabling_the_interrupt_ends_the_delay(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    uart.set(THR, 0x41)
    uart.characters(3)
    uart.set(THR, 0x42)
    uart.characters(0.5)
    uart.set(IER, THRE_INT)
    assert uart.identify() == IS_THRE
    uart.characters(3)
    assert uart.identify() == NONE, "one interrupt for one drain"


def test_uart_075_a_slow_processor_is_not_interrupted_while_it_fills_the_fifo(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON, FIFO_ON | CLEAR_TX)
    uart.set(IER, THRE_INT)
    uart.send(b"x")
    uart.characters(3)
    uart.identify()
    uart.edges()
    uart.ask("callbacks")
    for byte in range(16):
        uart.set(THR, byte)
        uart.characters(0.8)
    assert uart.edges() == []
    assert int(uart.ask("callbacks")) == 0
    uart.characters(20)
    assert len(uart.edges()) == 1


@pytest.mark.parametrize("lcr", [3, 0x1A, 7])
def test_uart_071_timeout_after_four_characters(uart: Uart, lcr: int) -> None:
    uart.set(LCR, lcr)
    uart.set(FCR, FIFO_ON | TRIGGERS[14])
    uart.set(IER, RDA)
    uart.feed(b"a")
    uart.advance(NS // 10)
    ((time, level),) = uart.edges()
    assert level
    assert time == pytest.approx(4 * {3: 10, 0x1A: 10, 7: 11}[lcr] * uart.bit, abs=10)
    assert uart.identify() == IS_TIMEOUT


def test_defect_timeout_lost() -> None:
    with Uart("uart.timeout_lost") as uart:
        uart.set(FCR, FIFO_ON | TRIGGERS[4])
        uart.set(IER, RDA)
        uart.feed(b"abc")
        uart.advance(NS // 10)
        assert uart.identify() == NONE, "below the trigger"
        uart.feed(b"d")
        uart.advance(NS // 10)
        assert uart.identify() == IS_RDA, "but at it"


def test_uart_072_a_read_clears_the_timeout_and_restarts_it(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON | TRIGGERS[14])
    uart.set(IER, RDA)
    uart.feed(b"abc")
    uart.characters(7)
    assert uart.identify() == IS_TIMEOUT
    uart.get(RBR)
    assert uart.identify() == NONE
    uart.characters(3.9)
    assert uart.identify() == NONE
    uart.characters(0.2)
    assert uart.identify() == IS_TIMEOUT


def test_uart_072_each_character_restarts_the_timeout(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON | TRIGGERS[14])
    uart.set(IER, RDA)
    for _ in range(10):
        uart.feed(b"a")
        uart.characters(3.9)
        assert uart.identify() == NONE
    uart.characters(0.2)
    assert uart.identify() == IS_TIMEOUT


def test_uart_072_a_character_does_not_clear_a_timeout_that_has_come(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON | TRIGGERS[14])
    uart.feed(b"a")
    uart.characters(5)
    uart.feed(b"b")
    uart.set(IER, RDA)
    assert uart.identify() == IS_TIMEOUT


def test_uart_073_the_timeout_is_masked_with_received_data(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON | TRIGGERS[14])
    uart.feed(b"a")
    uart.characters(10)
    assert uart.identify() == NONE
    assert uart.edges() == []
    uart.set(IER, RDA)
    assert uart.identify() == IS_TIMEOUT


def test_uart_074_no_timeout_without_fifo(uart: Uart) -> None:
    uart.set(IER, RDA)
    uart.feed(b"a")
    uart.characters(10)
    assert uart.get(IIR) == IS_RDA


def test_uart_076_dma_mode_has_no_effect(uart: Uart) -> None:
    for fcr in (FIFO_ON, FIFO_ON | 8, FIFO_ON):
        uart.set(FCR, fcr)
        uart.feed(b"a")
        uart.characters(1)
        assert uart.get(IIR) == 0xC1
        assert uart.get(LSR) == DR | THRE | TEMT
        assert uart.get(RBR) == ord("a")
