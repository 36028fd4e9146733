"""A console: one port, one reader thread, one byte log, many readers.

The invariant: the thread reads from `open` to `close`. When the port vanishes it waits for it to come back and marks the gap; when
the thread itself fails, every wait fails with its reason.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from harness.clock import SYSTEM, Clock, Deadline
from harness.console.cursor import Cursor
from harness.console.log import ByteLog, Stamp
from harness.console.port import Port, PortGone
from harness.errors import BenchError, HarnessError
from harness.events import Events

FIFO = 16
"""Bytes a 16550A receives before anybody has to look: never more are sent ahead of the line."""
BITS_PER_BYTE = 10
_REOPEN = 0.25
"""Seconds between two tries to open a port that vanished."""


class ConsoleDead(BenchError):
    """Nothing will be read from a console any more: it was closed, or its reader thread failed."""


class WriteStalled(BenchError):
    """The port took no more bytes, or their echo did not come back. Usual causes: flow control, a vanished port, a board that is off."""


class Gap(NamedTuple):
    """A time without a port. What was said meanwhile is lost."""

    offset: int
    """Where in the log it lies."""
    lost: float
    back: float
    """Monotonic, seconds."""


class Console:
    """A serial port by pyserial URL. A context manager: leaving it closes the port."""

    def __init__(self, name: str, url: str, baud: int, log_path: Path, events: Events, *, clock: Clock = SYSTEM) -> None:
        """Opens the port and begins to read. Raises `PortMissing` or `PortBusy`."""
        self.name = name
        self.url = url
        self.baud = baud
        self.events = events
        self._clock = clock
        self._port: Port | None = Port(name, url, baud)
        self.log = ByteLog(log_path, clock)
        self.gaps: list[Gap] = []
        self.still_there: Callable[[], None] = lambda: None
        """Raises when what is at the other end is gone for good; asked by everyone who waits or writes."""
        self._lost_at = 0.0
        self._failure: BaseException | None = None
        self._closing = threading.Event()
        self._writing = threading.Lock()
        """Held by a writer for all of its bytes."""
        self._using = threading.Lock()
        """Held while the port is written to or closed, so that no write reaches a descriptor that is something else by now."""
        self._thread = threading.Thread(target=self._run, name=f"console {name}", daemon=True)
        self._thread.start()
        events.emit("console.open", console=name, url=url, baud=baud, log=str(log_path))

    @property
    def offset(self) -> int:
        """Bytes that came so far."""
        return self.log.size

    def cursor(self, offset: int | None = None, *, raw: bool = False) -> Cursor:
        """A place to wait from: the end of what has come, or an earlier offset. `raw` cursors see terminal escapes."""
        return Cursor(self.name, self.log, self.offset if offset is None else offset, self._check, self._note, raw=raw)

    def slice(self, start: int, end: int | None = None) -> bytes:
        """What came from one offset to another (None: up to now), as it came."""
        return self.log.read(start, end)

    def stamp(self, offset: int) -> Stamp:
        """When the byte at an offset was read."""
        return self.log.stamp(offset)

    def write(self, data: bytes, deadline: Deadline, *, echo: bool = False, paced: bool = True) -> None:
        """Sends bytes, never further ahead of the line than a FIFO holds. With `echo` each such piece waits for its own echo.

        Not `paced`, they are handed over at once, for a caller who knows by acknowledgements how far ahead he is. Raises `WriteStalled`.
        """
        if not paced:
            with self._writing:
                self._hand_over(data, deadline)
            return
        with self._writing:
            begin = self._clock.monotonic()
            cursor = self.cursor() if echo else None
            for at in range(0, len(data), FIFO):
                piece = data[at : at + FIFO]
                self._hand_over(piece, deadline)
                if cursor:
                    self._await_echo(cursor, piece, deadline)
                else:
                    self._pace(begin + at * BITS_PER_BYTE / self.baud)

    def configure(self, baud: int, data_bits: int = 8, parity: str = "N", stop_bits: int = 1) -> None:
        """Sets the port's speed and format; parity is one of `NEOMS`. Raises `ConsoleDead` or `WriteStalled`."""
        self._with_port(lambda port: port.configure(baud, data_bits, parity, stop_bits))
        self.baud = baud

    def request_to_send(self, on: bool) -> None:
        """Drives the port's RTS, as nothing else here does. Raises as `configure`."""
        self._with_port(lambda port: port.request_to_send(on))

    def send_break(self, seconds: float) -> None:
        """Holds the line in break; a pty carries none. Raises as `configure`."""
        self._with_port(lambda port: port.send_break(seconds))

    def answers(self, data: bytes, within: float) -> bool:
        """Sends bytes and says whether anything at all comes back within some seconds."""
        before, deadline = self.offset, Deadline.after(within, "any answer", self._clock)
        self.write(data, deadline)
        return self.log.wait(before, deadline.remaining, self._closing.is_set)

    def as_pexpect(self, timeout: float = 30.0) -> Any:
        """A pexpect spawn object that reads on from here and writes to the console, for people who know pexpect."""
        from harness.console.adapter import ConsoleSpawn

        return ConsoleSpawn(self, timeout)

    def close(self) -> None:
        """Ends the reading and closes the port. The log stays. Harmless when repeated."""
        if self._closing.is_set():
            return
        self._closing.set()
        with self._using:
            if self._port:
                self._port.interrupt()
        self._thread.join()
        self.log.wake()
        self.events.emit("console.close", console=self.name, bytes=self.offset)

    def __enter__(self) -> Console:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _with_port(self, action: Callable[[Port], None]) -> None:
        self._check()
        with self._writing, self._using:
            try:
                if self._port is None:
                    raise PortGone(self._note())
                action(self._port)
            except PortGone as reason:
                raise WriteStalled(
                    f"the settings of console {self.name} cannot be changed: {reason}", "check its port, and what the board file says of it"
                ) from None

    def _hand_over(self, piece: bytes, deadline: Deadline) -> None:
        while piece:
            self._check()
            with self._using:
                try:
                    sent = self._port.write(piece, min(_REOPEN, deadline.remaining)) if self._port else 0
                except PortGone:
                    sent = 0
            piece = piece[sent:]
            if not sent:
                if deadline.expired:
                    raise WriteStalled(
                        f"console {self.name} took no bytes for {deadline.seconds:.3g} s{self._note()}", "check the board and the port"
                    )
                self._closing.wait(min(_REOPEN, deadline.remaining))

    def _await_echo(self, cursor: Cursor, piece: bytes, deadline: Deadline) -> None:
        """The piece's bytes must come back in order; the line may add to them (CR, `^C`, what the board says meanwhile)."""
        for byte in piece:
            if byte >= 0x20 and not cursor.poll(bytes([byte]), deadline):
                raise WriteStalled(
                    f"console {self.name}: the echo of {piece!r} did not come back", "see its last lines", evidence=self.log.tail()
                )

    def _pace(self, moment: float) -> None:
        ahead = moment - self._clock.monotonic()
        if ahead > 0:
            self._closing.wait(ahead)

    def _check(self) -> None:
        if self._failure:
            raise ConsoleDead(
                f"console {self.name} is no longer read: {self._failure}", "start again; its log ends here"
            ) from self._failure
        if self._closing.is_set():
            raise ConsoleDead(f"console {self.name} was closed", "open it again")
        self.still_there()

    def _note(self) -> str:
        if self._port is None:
            return f"; its port {self.url} has been gone for {self._clock.monotonic() - self._lost_at:.1f} s"
        return ""

    def _run(self) -> None:
        try:
            self._read_on()
        except BaseException as error:
            self._failure = error
            self.events.emit("console.dead", console=self.name, error=str(error) or type(error).__name__)
        finally:
            with self._using:
                port, self._port = self._port, None
                if port:
                    port.close()
            self.log.wake()

    def _read_on(self) -> None:
        gap = False
        while not self._closing.is_set():
            assert self._port
            try:
                data = self._port.read()
            except PortGone as reason:
                gap = self._reopen(str(reason))
                continue
            if data:
                self.log.append(data, gap=gap)
                gap = False

    def _reopen(self, reason: str) -> bool:
        """Waits until the port can be opened again; False when the console is closed first."""
        with self._using:
            port, self._port = self._port, None
            if port:
                port.close()
        self._lost_at = self._clock.monotonic()
        self.events.emit("console.lost", console=self.name, offset=self.offset, reason=reason)
        while not self._closing.wait(_REOPEN):
            self.log.wake()  # who waits may learn by now that nobody comes back
            with contextlib.suppress(HarnessError):
                self._port = Port(self.name, self.url, self.baud)
                self.gaps.append(Gap(self.offset, self._lost_at, self._clock.monotonic()))
                self.events.emit("console.back", console=self.name, seconds=self.gaps[-1].back - self._lost_at)
                return True
        return False
