"""Power switches.

    power = switch(board, events)
    power.on()
    power.state() is State.ON

The invariant: a switch says what it read back, never what it was told; and what it cannot read is unknown, which is not off.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.boardfile import Board, suggestion
from harness.errors import UseError
from harness.events import Events
from harness.power.scpi import ScpiSwitch
from harness.power.switch import NotAvailable, PowerFault, PowerSwitch, State

DRIVERS: dict[str, Callable[[Board, Events], PowerSwitch]] = {"scpi": ScpiSwitch.of}
"""What `power.driver` may say."""


def check(board: Board) -> None:
    """Raises `UseError` for a driver that is not there and for a bench file that does not say where the switch is: before a run begins.

    A board that is launched says so then.
    """
    if board.power.driver and not (board.launch and board.power.driver in DRIVERS):
        switch(board, Events())


def switch(board: Board, events: Events) -> PowerSwitch:
    """The switch a board file names; nothing is touched yet. Raises `UseError` for a driver that is not there."""
    name = board.power.driver
    if name not in DRIVERS:
        raise UseError(f"{board.files[-1]}: power.driver {name!r} is unknown", suggestion(name, DRIVERS))
    return DRIVERS[name](board, events)


__all__ = ["DRIVERS", "NotAvailable", "PowerFault", "PowerSwitch", "ScpiSwitch", "State", "check", "switch"]
