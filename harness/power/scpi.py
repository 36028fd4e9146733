"""A channel of a bench supply as power switch, and another channel's relay on the board's reset line.

    [power]
    driver = "scpi"
    resource = "TCPIP::192.0.2.7::5555::SOCKET"
    channel = 1
    reset_channel = 2      # optional
    off_time = 2.0         # seconds

Words of the Rigol DP800 series (programming guide, OUTPut subsystem). Voltages and limits are set at the instrument, not from here.
"""

from __future__ import annotations

import threading

from harness.boardfile import Board
from harness.clock import SYSTEM, Clock, Deadline
from harness.errors import UseError
from harness.events import Events
from harness.instruments import InstrumentSilent, Link
from harness.power.switch import NotAvailable, PowerFault, State

RESET_HOLD = 0.1
"""Seconds the reset line is held: a relay bounces for some milliseconds, a reset input debounces for some tens."""
_STATES = {"ON": State.ON, "1": State.ON, "OFF": State.OFF, "0": State.OFF}
_LOOK_AGAIN = 0.05


class ScpiSwitch:
    """Satisfies `PowerSwitch`."""

    def __init__(
        self,
        link: Link,
        events: Events,
        *,
        channel: int,
        reset_channel: int | None,
        off_time: float,
        seconds: float,
        clock: Clock = SYSTEM,
    ) -> None:
        """`off_time`: least seconds off before it is switched on; `seconds`: what each operation may take."""
        self._link = link
        self._channel = channel
        self._reset_channel = reset_channel
        self._off_time = off_time
        self._seconds = seconds
        self._events = events
        self._clock = clock
        self._off_since: float | None = None
        """The latest moment from which it is known to have been off (monotonic)."""

    @classmethod
    def of(cls, board: Board, events: Events) -> ScpiSwitch:
        """From the table `[power]`."""
        power = board.power
        if not power.resource:
            raise UseError(f"{board.files[-1]}: power.resource is missing", "add the VISA resource of the bench supply")
        return cls(
            Link(power.resource, "bench supply", events),
            events,
            channel=power.channel,
            reset_channel=power.reset_channel,
            off_time=power.off_time,
            seconds=board.seconds("power"),
        )

    def state(self) -> State:
        """By `:OUTP? CHn`; an instrument that does not answer is `UNKNOWN`. Raises `InstrumentRefused`."""
        try:
            state = self._read(self._channel, self._deadline("its output state"))
        except InstrumentSilent as error:
            self._events.emit("power.unknown", reason=str(error))
            state = State.UNKNOWN
        self._note(state)
        return state

    def on(self) -> None:
        """`:OUTP CHn,ON` and reads it back. Raises `PowerFault`, `InstrumentSilent` or `InstrumentRefused`."""
        deadline = self._deadline("its output to read ON")
        self._note(state := self._read(self._channel, deadline))
        if state is State.ON:
            return
        with self._events.step("power.on", channel=self._channel) as results:
            results["waited"] = self._wait_out()
            self._switch(self._channel, State.ON)
        self._off_since = None

    def off(self) -> None:
        """`:OUTP CHn,OFF` and reads it back. Raises as `on`."""
        with self._events.step("power.off", channel=self._channel):
            was = self._off_since
            self._switch(self._channel, State.OFF)
            self._off_since = was if was is not None else self._clock.monotonic()

    def reset(self) -> None:
        """Closes the relay of the reset channel for `RESET_HOLD` seconds. Raises `NotAvailable`, or as `on`; the relay is opened again."""
        channel = self._reset_channel
        if channel is None:
            raise NotAvailable(
                "this bench has no relay on the reset line", "add power.reset_channel to the bench file, or power-cycle the board"
            )
        with self._events.step("power.reset", channel=channel):
            try:
                self._switch(channel, State.ON)
                threading.Event().wait(RESET_HOLD)
            finally:
                self._switch(channel, State.OFF)

    def close(self) -> None:
        """Ends the session with the instrument."""
        self._link.close()

    def _switch(self, channel: int, state: State) -> None:
        """Sets an output and reads it back until it is so."""
        deadline = self._deadline(f"channel {channel} to read {state.upper()}")
        self._link.write(f":OUTP CH{channel},{state.upper()}", deadline)
        while (read := self._read(channel, deadline)) is not state:
            if deadline.remaining <= _LOOK_AGAIN:
                raise PowerFault(
                    f"channel {channel} of the {self._link.name} was switched {state} and reads {read}",
                    "check the supply's protection and that the channel is the board's",
                )
            threading.Event().wait(_LOOK_AGAIN)

    def _read(self, channel: int, deadline: Deadline) -> State:
        return _STATES.get(self._link.query(f":OUTP? CH{channel}", deadline).upper(), State.UNKNOWN)

    def _note(self, state: State) -> None:
        if state is not State.OFF:
            self._off_since = None
        elif self._off_since is None:
            self._off_since = self._clock.monotonic()

    def _wait_out(self) -> float:
        """Waits for the rest of the time off; charge left in the board would keep its memory alive."""
        rest = 0.0 if self._off_since is None else max(0.0, self._off_since + self._off_time - self._clock.monotonic())
        threading.Event().wait(rest)
        return round(rest, 3)

    def _deadline(self, awaited: str) -> Deadline:
        return Deadline.after(self._seconds, awaited, self._clock)
