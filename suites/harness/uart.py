"""The rig's ser8250 in the words of the 16550A's data sheet. Times in nanoseconds."""

from __future__ import annotations

from suites.harness.rig import Rig

BASE = 0x3F8
RBR = THR = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR, MCR, LSR, MSR, SCR = range(3, 8)

RDA, THRE_INT, LINE_STATUS, MODEM = 1, 2, 4, 8
"""IER bits."""
DR, OE, PE, FE, BI, THRE, TEMT, FIFO_ERROR = (1 << bit for bit in range(8))
"""LSR bits."""
DTR, RTS, OUT1, OUT2, LOOP = (1 << bit for bit in range(5))
"""MCR bits."""
NONE, IS_MODEM, IS_THRE, IS_RDA, IS_LINE_STATUS, IS_TIMEOUT = 0x01, 0x00, 0x02, 0x04, 0x06, 0x0C
"""IIR bits 3..0."""
BREAK, DLAB = 0x40, 0x80
"""LCR bits."""

FIFO_ON = 0x01
CLEAR_RX, CLEAR_TX = 0x02, 0x04
TRIGGERS = {1: 0x00, 4: 0x40, 8: 0x80, 14: 0xC0}

HOST_CTS, HOST_DSR, HOST_RI, HOST_DCD = 0x4, 0x8, 0x10, 0x20
"""`modem` inputs of the rig."""


class Uart(Rig):
    """A started ser8250 at 0x3f8, set to 9600 8N1, FIFOs off, OUT2 on: as a driver leaves it."""

    def __init__(self, *defects: str, sanitizer: str = "address", setup: bool = True) -> None:
        super().__init__("ser8250", [("defect", name) for name in defects], sanitizer=sanitizer)
        if setup:
            self.divisor(12)
            self.set(LCR, 3)
            self.set(MCR, OUT2)
            self.bit = 12 * 1e9 / 115200
            self.character = round(10 * self.bit)

    def set(self, register: int, *values: int) -> None:
        self.write(BASE + register, *values)

    def get(self, register: int) -> int:
        return self.read(BASE + register)

    def divisor(self, divisor: int) -> None:
        """Through DLAB; leaves LCR as it was."""
        lcr = self.get(LCR)
        self.set(LCR, lcr | DLAB)
        self.set(DLL, divisor & 0xFF)
        self.set(DLM, divisor >> 8)
        self.set(LCR, lcr)

    def characters(self, number: float) -> None:
        """Lets that many character times pass."""
        self.advance(round(number * self.character))

    def loop(self, fcr: int = 0) -> None:
        self.set(FCR, fcr)
        self.set(MCR, OUT2 | LOOP)

    def send(self, data: bytes) -> None:
        """Fills THR, or the FIFO."""
        self.set(THR, *data)

    def identify(self) -> int:
        """IIR bits 3..0."""
        return self.get(IIR) & 0x0F

    def lines(self) -> dict[str, int]:
        """What the host device was told: baud, data, stop, parity, break, pins and how often."""
        return {name: int(value) for name, value in (item.split("=") for item in self.ask("line").split())}

    def interrupt(self) -> bool:
        """The level of the interrupt line."""
        for _, level in self.edges():
            self._level = level
        return self._level

    _level = False
