"""The one monotonic clock. Every wait of the harness is a `Deadline` made from it; tests replace it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Seconds that never go back, and the wall clock for stamps that people read."""

    def monotonic(self) -> float: ...

    def wall(self) -> float: ...


class SystemClock:
    """The lab controller's own clocks (CLOCK_MONOTONIC, CLOCK_REALTIME)."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


SYSTEM: Clock = SystemClock()


@dataclass(frozen=True)
class Deadline:
    """A moment on a clock, and what has to happen until then (the words an error uses)."""

    at: float
    seconds: float
    awaited: str
    clock: Clock

    @classmethod
    def after(cls, seconds: float, awaited: str, clock: Clock = SYSTEM) -> Deadline:
        """The moment `seconds` from now."""
        return cls(clock.monotonic() + seconds, seconds, awaited, clock)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - self.clock.monotonic())

    @property
    def expired(self) -> bool:
        return self.remaining == 0.0
