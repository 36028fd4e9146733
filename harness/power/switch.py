"""What a power switch is.

The invariant: three states. What cannot be read is *unknown*, and unknown is never treated as off.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from harness.errors import BenchError


class State(StrEnum):
    """What a power switch reads back. Three-valued: what does not answer is not off."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class NotAvailable(BenchError):
    """The switch cannot do what was asked of it, on this bench."""


class PowerFault(BenchError):
    """The switch did not do what it was told, or does not say so. Treat the board as on."""


class PowerSwitch(Protocol):
    """One board's power. Every call ends within the bench's deadline for `power`, or raises."""

    def state(self) -> State:
        """What the switch reads back; `UNKNOWN` when it does not answer."""
        ...

    def on(self) -> None:
        """Switches on, not before the board has been off for its least time. Nothing when it is on. Raises `PowerFault`."""
        ...

    def off(self) -> None:
        """Switches off, whatever the state. Raises `PowerFault` unless it then reads back as off."""
        ...

    def reset(self) -> None:
        """Pulses the reset line. Raises `NotAvailable` where there is none."""
        ...

    def close(self) -> None:
        """Lets go of the switch; the power stays as it is."""
        ...
