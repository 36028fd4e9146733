"""The rig's timer8254 in the words of the 8254's data sheet. Time is counted in ticks, CLK pulses of the input clock."""

from __future__ import annotations

from suites.harness.rig import Rig

INPUT_CLOCK = 315e6 / 264
"""Hz."""

CONTROL = 0x43
PORT_B = 0x61
READ_BACK = 0xC0
READ_BACK_COUNT, READ_BACK_STATUS = 0xD0, 0xE0
"""Read-back commands that latch only counts, only status; or-ed with `selects(channel)`."""

OUT, NULL_COUNT = 0x80, 0x40
"""Bits of the status byte."""


def moment_of(tick: int) -> int:
    """The first nanosecond at which that CLK pulse has come."""
    return -(-tick * 17600 // 21)


def tick_of(moment: int) -> int:
    """The number of CLK pulses up to that nanosecond."""
    return moment * 21 // 17600


def control_word(channel: int, mode: int, access: int = 3, bcd: bool = False) -> int:
    return channel << 6 | access << 4 | mode << 1 | bcd


def selects(*channels: int) -> int:
    return sum(2 << channel for channel in channels)


class Pit(Rig):
    """A started timer8254 at its default ports."""

    def __init__(self, *defects: str) -> None:
        super().__init__("timer8254", [("defect", name) for name in defects])

    @property
    def tick(self) -> int:
        return tick_of(self.now)

    def to(self, tick: int) -> None:
        """Advances to the moment of a CLK pulse."""
        self.advance(moment_of(tick) - self.now)

    def clocks(self, number: int) -> None:
        self.to(self.tick + number)

    def control(self, *words: int) -> None:
        self.write(CONTROL, *words)

    def count(self, channel: int, count: int) -> None:
        """Writes a two-byte count."""
        self.write(0x40 + channel, count & 0xFF, count >> 8 & 0xFF)

    def program(self, channel: int, mode: int, count: int, bcd: bool = False) -> int:
        """Control word and two-byte count; returns the tick on which the count is loaded."""
        self.control(control_word(channel, mode, bcd=bcd))
        self.count(channel, count)
        return self.tick + 1

    def pair(self, channel: int) -> int:
        """Two reads, LSB first."""
        low, high = (int(answer, 0) for answer in self.script([f"in {0x40 + channel}"] * 2))
        return low | high << 8

    def latched(self, channel: int) -> int:
        """Latch command and two reads."""
        self.control(channel << 6)
        return self.pair(channel)

    def status(self, channel: int) -> int:
        self.control(READ_BACK_STATUS | selects(channel))
        return self.read(0x40 + channel)

    def gate2(self, level: bool) -> None:
        self.write(PORT_B, int(level))

    def out2(self) -> bool:
        return bool(self.read(PORT_B) & 0x20)

    def out(self, channel: int) -> bool:
        return bool(self.status(channel) & OUT)

    def duty(self, channel: int, ticks: int) -> float:
        """The part of `ticks` clocks during which OUT of a channel is high; samples once in each."""
        high = 0
        for _ in range(ticks):
            high += self.out(channel)
            self.clocks(1)
        return high / ticks
