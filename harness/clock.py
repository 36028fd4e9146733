"""The one monotonic clock. Every wait of the harness is a `Deadline` made from it; tests replace it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Seconds that never go back, and the wall clock for stamps that people read."""

    def monotonic(self) -> float:
        """Seconds since a moment that means nothing; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC; may be set, and go back."""
        ...


class SystemClock:
    """The lab controller's own clocks (CLOCK_MONOTONIC, CLOCK_REALTIME)."""

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC, in seconds. It stands still while the machine sleeps."""
        return time.monotonic()

    def wall(self) -> float:
        """CLOCK_REALTIME, in seconds."""
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
        """Whether its moment has come."""
        return self.remaining == 0.0
