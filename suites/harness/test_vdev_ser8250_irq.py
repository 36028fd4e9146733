"""vdev ser8250 alone, line by line of the 16550A's tables: interrupts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from suites.harness.uart import (
    DTR,
    FCR,
    FIFO_ON,
    IER,
    IIR,
    IS_LINE_STATUS,
    IS_MODEM,
    IS_RDA,
    IS_THRE,
    LINE_STATUS,
    LOOP,
    LSR,
    MCR,
    MODEM,
    MSR,
    NONE,
    OUT2,
    RBR,
    RDA,
    RTS,
    THR,
    THRE_INT,
    Uart,
)


def everything_pending(uart: Uart, ier: int = 0x0F) -> None:
    """Overrun, received data, THRE and modem deltas at once, in loopback."""
    uart.loop()
    for byte in b"ab":
        uart.set(THR, byte)
        uart.characters(2)
    uart.set(MCR, OUT2 | LOOP | RTS)
    uart.set(IER, ier)


@pytest.mark.parametrize("ier", range(16))
def test_uart_045_each_bit_enables_its_source(uart: Uart, ier: int) -> None:
    everything_pending(uart, ier)
    order = [(LINE_STATUS, IS_LINE_STATUS), (RDA, IS_RDA), (THRE_INT, IS_THRE), (MODEM, IS_MODEM)]
    expected = next((code for bit, code in order if ier & bit), NONE)
    assert uart.interrupt() == bool(ier)
    assert uart.identify() == expected


def test_uart_046_060_priority(uart: Uart) -> None:
    everything_pending(uart)
    serve: list[tuple[int, Callable[[], int]]] = [
        (IS_LINE_STATUS, lambda: uart.get(LSR)),
        (IS_RDA, lambda: uart.get(RBR)),
        (IS_THRE, lambda: 0),
        (IS_MODEM, lambda: uart.get(MSR)),
    ]
    for code, action in serve:
        assert uart.interrupt()
        assert uart.identify() == code
        action()
    assert uart.identify() == NONE
    assert not uart.interrupt()


def test_uart_047_nothing_pending(uart: Uart) -> None:
    assert uart.get(IIR) == NONE
    uart.set(IER, 0x0D)
    assert uart.get(IIR) == NONE


def test_uart_048_iir_clears_thre_only_when_it_reports_it(uart: Uart) -> None:
    uart.set(IER, RDA | THRE_INT)
    uart.feed(b"a")
    assert [uart.identify(), uart.identify()] == [IS_RDA, IS_RDA]
    uart.get(RBR)
    assert [uart.identify(), uart.identify()] == [IS_THRE, NONE]


def test_uart_049_thr_clears_the_thre_interrupt(uart: Uart) -> None:
    uart.set(IER, THRE_INT)
    assert uart.interrupt()
    uart.set(THR, 0x41)
    assert not uart.interrupt()
    assert uart.identify() == NONE


def test_uart_050_enabling_the_thre_interrupt_raises_it(uart: Uart) -> None:
    for _ in range(3):
        uart.set(IER, THRE_INT)
        assert uart.interrupt()
        assert uart.identify() == IS_THRE
        uart.set(IER, 0)
        assert not uart.interrupt()


def test_uart_050_enabling_it_while_thr_is_full_raises_nothing_yet(uart: Uart) -> None:
    uart.set(THR, 0x41, 0x42)
    uart.set(IER, THRE_INT)
    assert uart.identify() == NONE
    uart.characters(2)
    assert uart.identify() == IS_THRE


def test_uart_051_after_iir_it_stays_clear_until_thr_was_emptied_again(uart: Uart) -> None:
    uart.set(IER, THRE_INT)
    assert [uart.identify(), uart.identify()] == [IS_THRE, NONE]
    uart.characters(50)
    assert uart.identify() == NONE
    uart.set(THR, 0x41)
    assert uart.identify() == NONE
    uart.characters(1)
    assert uart.identify() == IS_THRE


def test_uart_052_rewriting_ier_does_not_raise_it_again(uart: Uart) -> None:
    uart.set(IER, THRE_INT)
    uart.identify()
    uart.set(IER, THRE_INT, THRE_INT | RDA, THRE_INT)
    assert uart.identify() == NONE


def test_uart_053_received_data_is_a_level(uart: Uart) -> None:
    uart.set(IER, RDA)
    uart.feed(b"a")
    assert [uart.identify(), uart.identify()] == [IS_RDA, IS_RDA]
    uart.get(RBR)
    assert uart.identify() == NONE


def test_uart_054_059_masking_and_enabling_again(uart: Uart) -> None:
    uart.set(IER, RDA | THRE_INT)
    uart.identify()
    uart.feed(b"a")
    for _ in range(3):
        assert uart.interrupt()
        uart.set(IER, 0)
        assert not uart.interrupt(), "INTR falls at once"
        uart.set(IER, RDA | THRE_INT)
    uart.get(RBR)
    assert uart.identify() == IS_THRE


def test_uart_055_line_status(uart: Uart) -> None:
    everything_pending(uart, LINE_STATUS)
    assert uart.identify() == IS_LINE_STATUS
    uart.get(LSR)
    assert uart.identify() == NONE
    assert not uart.interrupt()


def test_uart_056_088_modem_status(uart: Uart) -> None:
    uart.loop()
    uart.get(MSR)
    uart.set(IER, MODEM)
    assert not uart.interrupt()
    uart.set(MCR, OUT2 | LOOP | DTR)
    assert uart.interrupt()
    assert uart.identify() == IS_MODEM
    assert uart.get(MSR) & 0x0F == 0x02
    assert not uart.interrupt()


def test_uart_057_a_second_source_keeps_the_line_up(uart: Uart) -> None:
    uart.set(IER, RDA | THRE_INT)
    uart.feed(b"a")
    uart.edges()
    uart.get(RBR)
    assert uart.edges() == [], "THRE is still pending: no edge"
    uart.identify()
    assert [level for _, level in uart.edges()] == [False]
    uart.feed(b"b")
    uart.characters(1)
    assert [level for _, level in uart.edges()] == [True]


def test_uart_058_out2_gates_the_line_and_not_iir(uart: Uart) -> None:
    uart.set(MCR, 0)
    uart.set(IER, THRE_INT)
    assert uart.edges() == []
    uart.set(MCR, OUT2)
    assert uart.interrupt()
    uart.set(MCR, 0)
    assert not uart.interrupt()
    assert uart.identify() == IS_THRE


def test_uart_061_one_thre_interrupt_per_drain(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    uart.set(IER, THRE_INT)
    uart.identify()
    uart.edges()
    uart.send(bytes(16))
    written = uart.now
    uart.characters(20)
    edges = uart.edges()
    assert [level for _, level in edges] == [True]
    assert edges[0][0] - written == pytest.approx(uart.bit + 15 * uart.character, abs=20), "when the last one leaves the FIFO"
