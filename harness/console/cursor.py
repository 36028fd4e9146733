"""Waiting for text on a console.

A cursor is a place in a console's byte log that only moves forward; any number of them read the same log and none takes bytes from
another. Every byte is searched once, with `WINDOW` bytes before it: a match that is longer than that may be missed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.clock import Deadline
from harness.console.escapes import CleanText, strip
from harness.console.log import ByteLog
from harness.errors import BenchError

WINDOW = 4096
_KEEP = 8 * WINDOW
"""Bytes of searched text that are kept at hand."""

Pattern = bytes | re.Pattern[bytes]
"""Bytes stand for themselves."""


class NotSeen(BenchError):
    """What was awaited on a console did not come in time. Usual causes: the board is off or hangs, or the baud rate is wrong."""

    def __init__(self, name: str, deadline: Deadline, *, received: int, silence: float, lines: str, note: str) -> None:
        came = (
            f"{received} bytes came, the last of them {silence:.1f} s ago" if received else f"not a byte came, silence for {silence:.1f} s"
        )
        super().__init__(
            f"console {name}: {deadline.awaited} was not seen within {deadline.seconds:.3g} s: {came}{note}",
            "compare its last lines with the board file" if received else "check that the board is on, its cable, and the baud rate",
            evidence=lines,
        )
        self.awaited = deadline.awaited
        self.received = received
        self.silence = silence
        self.lines = lines


@dataclass(frozen=True)
class Match:
    """What was seen. `start` and `end` are its offsets in the log, escapes included."""

    index: int
    """Which of the patterns."""
    match: re.Match[bytes]
    start: int
    end: int
    _from: int
    _log: ByteLog

    @property
    def before(self) -> bytes:
        """What came between the last match and this one, without escapes."""
        return strip(self._log.read(self._from, self.start))

    def group(self, number: int | str = 0) -> bytes:
        """A group of the pattern that was seen, as `re` numbers or names it. Raises `IndexError` for one that is not there."""
        found: bytes = self.match.group(number)
        return found


class Cursor:
    """A place in a byte log. Made by `Console.cursor`; not for use by several threads."""

    def __init__(self, name: str, log: ByteLog, offset: int, dead: Callable[[], None], note: Callable[[], str], *, raw: bool) -> None:
        self._name = name
        self._log = log
        self._dead = dead
        """Raises when no byte will ever come again."""
        self._note = note
        self._raw = raw
        self._patterns: list[re.Pattern[bytes]] = []
        self.seek(offset)

    @property
    def offset(self) -> int:
        """What lies before it in the log has been seen."""
        return self._offset

    def seek(self, offset: int) -> None:
        """Goes to another place in the log."""
        self._offset = offset
        self._text = CleanText(offset, raw=self._raw)
        self._searched = 0
        self._dropped = False

    def skip(self) -> None:
        """Goes to the end of what has come so far."""
        self.seek(self._log.size)

    def expect(self, patterns: Pattern | Sequence[Pattern], deadline: Deadline) -> Match:
        """Waits for the first of some patterns and goes behind it. Raises `NotSeen`, or `ConsoleDead` when nothing can come any more."""
        found = self.poll(patterns, deadline)
        if not found:
            raise self.not_seen(deadline)
        return found

    def poll(self, patterns: Pattern | Sequence[Pattern], deadline: Deadline) -> Match | None:
        """As `expect`, but running out of time is an answer."""
        compiled = [_compile(pattern) for pattern in ([patterns] if isinstance(patterns, bytes | re.Pattern) else patterns)]
        if compiled != self._patterns:
            self._patterns = compiled
            self._search_again()
        while True:
            self._feed()
            if found := self._search(compiled):
                return found
            if deadline.expired:
                return None
            self._dead()
            self._log.wait(self._text.fed, deadline.remaining, self._is_dead)

    def take(self, count: int, deadline: Deadline) -> bytes:
        """The next `count` bytes as they came, escapes included. Raises `NotSeen` when fewer come."""
        while self._log.size < self._offset + count:
            if deadline.expired:
                raise self.not_seen(deadline)
            self._dead()
            self._log.wait(self._offset + count - 1, deadline.remaining, self._is_dead)
        taken = self._log.read(self._offset, self._offset + count)
        self.seek(self._offset + count)
        return taken

    def not_seen(self, deadline: Deadline) -> NotSeen:
        """The error for a wait that ran out."""
        received = self._log.size - self._offset
        lines = self._log.tail(start=self._offset)
        return NotSeen(self._name, deadline, received=received, silence=self._log.silence, lines=lines, note=self._note())

    def _is_dead(self) -> bool:
        try:
            self._dead()
        except BenchError:
            return True
        return False

    def _feed(self) -> None:
        if self._log.size > self._text.fed:
            self._text.feed(self._log.read(self._text.fed))

    def _search_again(self) -> None:
        """Other patterns than last time may be in what is not consumed."""
        self._searched = 0
        if self._dropped:
            self.seek(self._offset)

    def _search(self, patterns: Sequence[re.Pattern[bytes]]) -> Match | None:
        begin = max(0, self._searched - WINDOW)
        starts = [(index, found.start()) for index, pattern in enumerate(patterns) if (found := pattern.search(self._text.data, begin))]
        if not starts:
            self._searched = len(self._text.data)
            self._forget()
            return None
        index, _ = min(starts, key=lambda start: start[1])
        text = bytes(self._text.data)
        found = patterns[index].search(text, begin)
        assert found
        match = Match(index, found, self._text.origin(found.start()), self._text.end_origin(found.end()), self._offset, self._log)
        self._text.drop(found.end())
        self._offset, self._searched, self._dropped = match.end, 0, False
        return match

    def _forget(self) -> None:
        """Drops text that was searched long ago, so that a long wait holds no long text."""
        if self._searched > 2 * _KEEP:
            self._text.drop(self._searched - _KEEP)
            self._searched = _KEEP
            self._dropped = True


def _compile(pattern: Pattern) -> re.Pattern[bytes]:
    return re.compile(re.escape(pattern)) if isinstance(pattern, bytes) else pattern
