"""The clock that time inside a board is compared with: the lab controller's, or the host's where `[reference]` says so.

The invariant: what `monotonic` returns is a moment between the call and its return, whoever's clock it is. So two calls bracket whatever
happened between them, in the time of that clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from harness.clock import SYSTEM, Deadline
from harness.console import Console, Shell

TELL = 'while read -r what && [ "$what" != end ]; do date +=%s.%N=; done'
"""QNX's `date` is toybox's. Its clock goes as CLOCK_MONOTONIC does as long as nobody sets it, and no host here has anybody who does."""
TOLD = re.compile(rb"=(\d+\.\d{9})=")


class ReferenceClock(Protocol):
    """Seconds that go on evenly, from a moment that means nothing."""

    def monotonic(self) -> float:
        """Its time now, in seconds. Raises what the way to it raises: the host's is asked over a console."""
        ...


class HostClock:
    """The host's clock, asked for over its console."""

    def __init__(self, console: Console, seconds: float) -> None:
        """`seconds` of the lab controller are how long an answer may take. For `host_clock`, which runs the other side."""
        self._console = console
        self._seconds = seconds
        self._cursor = console.cursor()

    def monotonic(self) -> float:
        """Raises what a console raises when the answer does not come."""
        deadline = Deadline.after(self._seconds, "the host's clock")
        self._cursor.skip()
        self._console.write(b"\n", deadline)
        return float(self._cursor.expect(TOLD, deadline).group(1))


@contextmanager
def host_clock(shell: Shell, seconds: float) -> Iterator[HostClock]:
    """The clock of the host behind a shell; nothing else can be asked of that shell meanwhile. Raises `NoShell`."""
    clock = HostClock(shell.console, seconds)
    shell.console.write(TELL.encode() + b"\n", Deadline.after(seconds, "the port to take a line"))
    try:
        yield clock
    finally:
        shell.resync(Deadline.after(seconds, "the host's shell after its clock"))


@contextmanager
def lab_clock() -> Iterator[ReferenceClock]:
    """The lab controller's own."""
    yield SYSTEM
