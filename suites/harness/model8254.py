"""A counter of the 8254 that steps clock by clock, to compare the reference vdev's closed forms with.

It does what the data sheet's text says on each CLK pulse and knows nothing of time stamps.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counter:
    """One counter. Accesses happen between two CLK pulses; `clock()` is one pulse."""

    gate: bool = True
    control: int = 0x36
    out: bool = True
    null_count: bool = True
    element: int = 0
    count: int | None = None
    """The count register, as written; None before the first complete count after a control word."""
    rises: int = 0
    _lsb: int | None = None
    _load: bool = False
    _trigger: bool = False
    _counting: bool = False
    _armed: bool = False
    _programmed: bool = False
    _reload: int = 0

    @property
    def mode(self) -> int:
        mode = self.control >> 1 & 7
        return mode - 4 if mode > 5 else mode

    @property
    def bcd(self) -> bool:
        return bool(self.control & 1)

    @property
    def modulus(self) -> int:
        return 10000 if self.bcd else 65536

    def _set_out(self, level: bool) -> None:
        self.rises += level and not self.out
        self.out = level

    def program(self, control: int) -> None:
        self.control, self._programmed = control & 0x3F, True
        self.count, self.null_count, self._lsb = None, True, None
        self.element %= self.modulus
        self._load = self._trigger = self._counting = self._armed = False
        self._set_out(self.mode != 0)

    def write(self, byte: int) -> None:
        if not self._programmed:
            return
        access = self.control >> 4 & 3
        if access == 3 and self._lsb is None:
            self._lsb = byte
            if self.mode == 0:
                self._counting = self._armed = self._load = False
                self._set_out(False)
            return
        count = {1: byte, 2: byte << 8, 3: byte << 8 | (self._lsb or 0)}[access]
        self._lsb = None
        first, self.count, self.null_count = self.count is None, count, True
        if self.mode == 0:
            self._set_out(False)
            self._armed = False
        if self.mode in (0, 4) or (self.mode in (2, 3) and first):
            self._load = True

    def set_gate(self, gate: bool) -> None:
        rising, self.gate = gate and not self.gate, gate
        if rising and self.mode in (1, 2, 3, 5) and self.count is not None:
            self._trigger = True
        if not gate and self.mode in (2, 3):
            self._set_out(True)

    def _take(self) -> None:
        """CR goes to CE."""
        assert self.count is not None
        count = sum((self.count >> 4 * digit & 15) * 10**digit for digit in range(4)) if self.bcd else self.count
        count = count % self.modulus or self.modulus
        if self.mode in (2, 3) and count == 1:
            count = 2
        self._reload = count
        self.element = (count & ~1 if self.mode == 3 else count) % self.modulus
        self.null_count = False

    def clock(self) -> None:
        if self._load or self._trigger:
            strobing = self.mode in (4, 5) and not self.out
            self._load = self._trigger = False
            self._take()
            self._counting = True
            self._armed = self.mode in (0, 1, 4, 5)
            if self.mode == 1:
                self._set_out(False)
            if self.mode in (2, 3) or strobing:
                self._set_out(True)
            return
        if self.mode in (4, 5) and not self.out:
            self._set_out(True)
        if self._counting and (self.gate or self.mode in (1, 5)):
            self._count()

    def _count(self) -> None:
        if self.mode == 2:
            self.element = (self.element - 1) % self.modulus
            if self.element == 1:
                self._set_out(False)
            if self.element == 0:
                self._take()
                self._set_out(True)
        elif self.mode == 3:
            # An odd count shows one more CLK, at zero, in its high half.
            last = 0 if self._reload % 2 and self.out else 2
            if self.element == last:
                self._take()
                self._set_out(not self.out)
            else:
                self.element = (self.element - 2) % self.modulus
        else:
            self.element = (self.element - 1) % self.modulus
            if self.element == 0 and self._armed:
                self._armed = False
                self._set_out(self.mode in (0, 1))

    def status(self) -> int:
        return self.out << 7 | self.null_count << 6 | self.control

    def shown(self) -> int:
        """The counting element as it is read."""
        return int(f"{self.element:04d}", 16) if self.bcd else self.element
