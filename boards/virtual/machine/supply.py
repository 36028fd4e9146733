"""The bench supply: SCPI over TCP, in the words of a Rigol DP832 (programming guide: OUTPut, MEASure, SYSTem).

Channel 1 feeds the board, channel 2 drives a relay across its reset line. The instrument knows what leaves its terminals and no
more: a board that ended by itself leaves the output on and draws no current.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Protocol

from harness.errors import HarnessError

BOARD, RELAY = 1, 2
VOLTS = {BOARD: 5.0, RELAY: 12.0}
AMPERES = {BOARD: 0.65, RELAY: 0.03}
"""What a board and a relay coil draw when they are on."""
ERROR_QUEUE = 32

_UNDEFINED = (-113, "Undefined header")
_PARAMETER = (-224, "Illegal parameter value")
_OVERFLOW = (-350, "Queue overflow")


class Load(Protocol):
    """What hangs on the terminals."""

    def power(self, on: bool) -> None: ...

    def reset_line(self, asserted: bool) -> None: ...

    @property
    def running(self) -> bool: ...


class Supply:
    """The instrument behind the socket: one line in, one line or nothing out."""

    def __init__(self, load: Load, serial_number: str) -> None:
        self._load = load
        self._serial_number = serial_number
        self._output = {BOARD: False, RELAY: False}
        self._errors: deque[tuple[int, str]] = deque()
        self._commands: list[tuple[re.Pattern[str], Callable[..., str | None]]] = [
            (_header(r"\*IDN\?"), self._identity),
            (_header(r"\*CLS"), self._errors.clear),
            (_header(r"\*OPC\?"), lambda: "1"),
            (_header(r":?SYST(?:EM)?:ERR(?:OR)?\?"), self._error),
            (_header(r":?OUTP(?:UT)?(?::STAT(?:E)?)?\? +CH(\d+)"), self._output_state),
            (_header(r":?OUTP(?:UT)?(?::STAT(?:E)?)? +CH(\d+) *, *(ON|OFF|1|0)"), self._switch),
            (_header(r":?MEAS(?:URE)?:CURR(?:ENT)?(?::DC)?\? +CH(\d+)"), self._current),
            (_header(r":?MEAS(?:URE)?(?::VOLT(?:AGE)?)?(?::DC)?\? +CH(\d+)"), self._voltage),
        ]

    def execute(self, line: str) -> str | None:
        """Carries out one command; the answer of a query. What cannot be done goes into the error queue, as SCPI wants it."""
        if not line.strip():
            return None
        for pattern, action in self._commands:
            if match := pattern.fullmatch(line.strip()):
                if match.groups() and int(match.group(1)) not in self._output:
                    self._fault(_PARAMETER)
                    return None
                return action(*match.groups())
        self._fault(_UNDEFINED)
        return None

    def _identity(self) -> str:
        return f"HARNESS,DP832-SIM,{self._serial_number},1.0"

    def _error(self) -> str:
        code, text = self._errors.popleft() if self._errors else (0, "No error")
        return f'{code},"{text}"'

    def _output_state(self, channel: str) -> str:
        return "ON" if self._output[int(channel)] else "OFF"

    def _switch(self, channel: str, state: str) -> None:
        number, on = int(channel), state.upper() in ("ON", "1")
        if self._output[number] == on:
            return
        self._output[number] = on
        try:
            if number == BOARD:
                self._load.power(on)
            else:
                self._load.reset_line(on)
        except HarnessError as error:
            self._fault((-200, f"Execution error; {error.sentence}"))

    def _current(self, channel: str) -> str:
        number = int(channel)
        flows = self._output[number] and (number != BOARD or self._load.running)
        return f"{AMPERES[number] if flows else 0.0:.4f}"

    def _voltage(self, channel: str) -> str:
        number = int(channel)
        return f"{VOLTS[number] if self._output[number] else 0.0:.4f}"

    def _fault(self, error: tuple[int, str]) -> None:
        if len(self._errors) == ERROR_QUEUE:
            self._errors[-1] = _OVERFLOW
        else:
            self._errors.append(error)


def _header(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
