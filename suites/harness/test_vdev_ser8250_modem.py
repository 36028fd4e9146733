"""vdev ser8250 alone, line by line of the 16550A's tables: modem lines, loopback, identity; its defects."""

from __future__ import annotations

import pytest

from suites.harness.rig import NS, Rig, RigEnded
from suites.harness.uart import (
    BASE,
    CLEAR_RX,
    CLEAR_TX,
    DR,
    DTR,
    FCR,
    FIFO_ON,
    HOST_CTS,
    HOST_DCD,
    HOST_DSR,
    HOST_RI,
    IER,
    IIR,
    IS_MODEM,
    IS_THRE,
    LCR,
    LOOP,
    LSR,
    MCR,
    MODEM,
    MSR,
    NONE,
    OUT1,
    OUT2,
    RBR,
    RDA,
    RTS,
    SCR,
    TEMT,
    THR,
    THRE,
    THRE_INT,
    TRIGGERS,
    Uart,
)


def test_uart_080_mcr_reads_back(uart: Uart) -> None:
    for value in range(32):
        uart.set(MCR, value)
        assert uart.get(MCR) == value


@pytest.mark.parametrize(
    ("host", "msr"), [(HOST_CTS, 0x10), (HOST_DSR, 0x20), (HOST_RI, 0x40), (HOST_DCD, 0x80), (HOST_CTS | HOST_DSR | HOST_DCD, 0xB0)]
)
def test_uart_081_modem_lines(uart: Uart, host: int, msr: int) -> None:
    uart.ask(f"modem {host}")
    assert uart.get(MSR) & 0xF0 == msr


def test_uart_082_a_change_of_the_line_is_seen_and_interrupts(uart: Uart) -> None:
    uart.get(MSR)
    uart.set(IER, MODEM)
    uart.ask(f"modem {HOST_CTS}")
    uart.advance(NS // 50)
    assert uart.interrupt()
    assert uart.identify() == IS_MODEM
    assert uart.get(MSR) == 0x1A
    assert uart.get(MSR) == 0x10, "deltas cleared by reading"


def test_uart_083_teri_is_the_end_of_ring(uart: Uart) -> None:
    uart.loop()
    uart.get(MSR)
    uart.set(MCR, OUT2 | LOOP | OUT1)
    assert uart.get(MSR) & 0x0F == 0
    uart.set(MCR, OUT2 | LOOP)
    assert uart.get(MSR) & 0x0F == 0x04


def test_uart_084_086_the_pins_follow_mcr_but_not_in_loopback(uart: Uart) -> None:
    for mcr, pins in ((DTR, 1), (RTS, 2), (DTR | RTS, 3), (DTR | RTS | LOOP, 0), (DTR | RTS, 3), (0, 0)):
        uart.set(MCR, mcr)
        assert uart.lines()["pins"] == pins


@pytest.mark.parametrize("mcr", range(16))
def test_uart_085_089_loop_map(uart: Uart, mcr: int) -> None:
    uart.set(MCR, LOOP | mcr)
    expected = 0x10 * bool(mcr & RTS) | 0x20 * bool(mcr & DTR) | 0x40 * bool(mcr & OUT1) | 0x80 * bool(mcr & OUT2)
    assert uart.get(MSR) & 0xF0 == expected


def test_uart_086_087_looped_characters_stay_inside(uart: Uart) -> None:
    uart.loop()
    for byte in range(256):
        uart.set(THR, byte)
        uart.characters(0.9)
        assert not uart.get(LSR) & DR
        uart.characters(0.3)
        assert uart.get(RBR) == byte
    assert uart.taken() == b""


def test_uart_090_input_during_loopback_is_not_heard(uart: Uart) -> None:
    uart.loop()
    uart.feed(b"lost")
    uart.characters(10)
    assert not uart.get(LSR) & DR
    uart.set(MCR, OUT2)
    uart.characters(10)
    assert not uart.get(LSR) & DR
    uart.feed(b"k")
    assert uart.get(RBR) == ord("k")


def test_uart_091_leaving_loopback_shows_the_line_again(uart: Uart) -> None:
    uart.get(MSR)
    uart.set(MCR, LOOP | DTR)
    assert uart.get(MSR) == 0x29
    uart.set(MCR, 0)
    assert uart.get(MSR) == 0xB9
    assert uart.get(MSR) == 0xB0


def test_uart_092_loopback_with_fifo_has_no_overrun_up_to_16(uart: Uart) -> None:
    uart.loop(FIFO_ON | TRIGGERS[14])
    for _ in range(10):
        uart.send(bytes(range(16)))
        uart.characters(17)
        assert uart.get(LSR) == DR | THRE | TEMT
        assert [uart.get(RBR) for _ in range(16)] == list(range(16))


def test_uart_095_097_linux_detection_ends_in_16550a(uart: Uart) -> None:
    """The accesses of the driver's autoconfiguration and what it wants to see."""
    uart.set(IER, 0)
    assert uart.get(IER) & 0x0F == 0
    uart.set(IER, 0x0F)
    assert uart.get(IER) & 0x0F == 0x0F
    uart.set(IER, 0)
    uart.set(MCR, 0x1A)
    assert uart.get(MSR) & 0xF0 == 0x90
    uart.set(MCR, 0)
    uart.set(LCR, 0xBF)
    uart.set(FCR, 0)
    uart.set(LCR, 0)
    uart.set(FCR, FIFO_ON)
    assert uart.get(IIR) >> 6 == 3
    uart.set(SCR, 0xA5)
    assert uart.get(SCR) == 0xA5


def test_uart_099_the_start_up_tests_of_linux_pass(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON, FIFO_ON | CLEAR_RX | CLEAR_TX, 0)
    uart.set(IER, THRE_INT)
    uart.get(IIR)
    uart.set(IER, 0, THRE_INT)
    assert uart.identify() != NONE, "THRE test"
    uart.set(IER, 0)
    uart.set(LCR, 3)
    uart.set(IER, THRE_INT)
    assert uart.get(LSR) & TEMT
    assert uart.identify() != NONE, "TXEN test"


def test_uart_111_ports_are_independent() -> None:
    with Rig("ser8250", locations=["io:0x3f8", "io:0x2f8", "mem:0x1c090000"]) as rig:
        scratch: tuple[int | str, ...] = (0x3FF, 0x2FF, "mem:0x1c090007")
        for value, address in enumerate(scratch):
            rig.write(address, value)
        assert [rig.read(address) for address in scratch] == [0, 1, 2]
        rig.ask("use 1")
        rig.feed(b"two")
        assert [rig.read(address) & DR for address in (0x3FD, 0x2FD, "mem:0x1c090005")] == [0, 1, 0]


def test_uart_112_a_received_character_interrupts_at_once(uart: Uart) -> None:
    uart.set(FCR, FIFO_ON)
    uart.set(IER, RDA)
    uart.advance(12345)
    uart.feed(b"a")
    assert uart.edges() == [(uart.now, True)]


def test_defect_thre_lost() -> None:
    with Uart("uart.thre_lost") as uart:
        uart.set(IER, THRE_INT)
        assert uart.identify() == NONE, "lost"
        uart.set(THR, 0x41)
        uart.characters(1)
        assert uart.identify() == IS_THRE, "but not after a character"


@pytest.mark.parametrize("loop", [0, LOOP])
def test_defect_drop_byte(loop: int) -> None:
    with Uart("uart.drop_byte") as uart:
        uart.set(FCR, FIFO_ON)
        uart.set(MCR, OUT2 | loop)
        received = 0
        for _ in range(2 * 4093 // 16 + 1):
            uart.send(bytes(16))
            uart.characters(17)
            if loop:
                while uart.get(LSR) & DR:
                    uart.get(RBR)
                    received += 1
        sent = 16 * (2 * 4093 // 16 + 1)
        assert (received or len(uart.taken())) == sent - 2


def test_an_unknown_defect_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(RigEnded) as ended:
        Uart("uart.nothing")
    assert ended.value.status == 65
    assert "uart.thre_lost" in ended.value.text
    assert "uart.drop_byte" in ended.value.text


def test_the_port_has_eight_registers() -> None:
    with Uart(setup=False) as uart:
        assert uart.read(BASE - 1) == uart.read(BASE + 8) == 0xFF
