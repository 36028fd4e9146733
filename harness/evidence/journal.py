"""The journal of a run: one JSON object a line, one line an event. It is the truth every report is made from.

The invariant: an event is in the file, whole, before `emit` returns, or `failure` says why not. A run that is killed leaves at most its
last line cut, and the reader says so instead of stumbling.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from harness.errors import BenchError, unwritable
from harness.events import Event, Events

DAMAGED = "journal.damaged"
"""The event a reader puts in the place of a line that is none: `line` its number, `text` what is there."""
PLANNED = "run.planned"
"""The first thing to know about a run: `tests`, every test it is going to do, by its id."""
VERDICT = "test.verdict"
"""How a planned test ended: `test`, its id, and `verdict`. A repetition adds another; the last one counts."""


class Journal:
    """An append-only file of events. Several processes may append to one; each line stays whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: BenchError | None = None
        """Why nothing is written down any more. A run without evidence is none: its next test is not begun."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        self._end_cut_line()

    def listen(self, events: Events) -> Callable[[], None]:
        """Writes down every event from now on; the returned function ends that."""
        return events.listen(self.write)

    def write(self, event: Event) -> None:
        """Appends one event. What the disk does not take is in `failure`, not raised: whoever reports may be switching a board off."""
        line = _encode(event) + b"\n"
        try:
            while line and self.failure is None:
                line = line[os.write(self._descriptor, line) :]
        except OSError as error:
            self.failure = BenchError(*unwritable(error, self.path))

    def close(self) -> None:
        """Makes the file outlive a crash of the machine, and closes it. Harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):  # a full disk was told before
                os.fsync(descriptor)
            os.close(descriptor)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _end_cut_line(self) -> None:
        """A journal continued after a crash starts on a line of its own."""
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")


def read(path: Path) -> Iterator[Event]:
    """The events of a journal, in order, also of a run that was killed or is still going on."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if event := _decode(line, number):
                yield event


def without_verdict(events: Sequence[Event]) -> list[str]:
    """Planned tests that never got a verdict, in their order: what a killed run owes."""
    planned = [test for event in events if event.name == PLANNED for test in event.fields["tests"]]
    judged = {event.fields["test"] for event in events if event.name == VERDICT}
    return [test for test in planned if test not in judged]


def _encode(event: Event) -> bytes:
    record = {"event": event.name, "at": event.at, "wall": event.wall, "fields": event.fields}
    try:
        return msgspec.json.encode(record, enc_hook=str)
    except (UnicodeEncodeError, TypeError):
        return msgspec.json.encode(_plain(record), enc_hook=str)


def _plain(value: Any) -> Any:
    """What JSON has no word for, made readable rather than refused: text with bytes that are no UTF-8, keys that are no text."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple | set | frozenset) else value


def _decode(line: bytes, number: int) -> Event | None:
    """The event on a line; a blank line is none; a line that is no event is reported as one."""
    if not line.strip():
        return None
    try:
        record: dict[str, Any] = json.loads(line)
        return Event(record["event"], record["at"], record["wall"], record["fields"])
    except (ValueError, KeyError, TypeError):
        return Event(DAMAGED, 0.0, 0.0, {"line": number, "text": line.decode(errors="replace").rstrip("\n")})
