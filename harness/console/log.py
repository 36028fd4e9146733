"""Everything a serial port ever said, byte for byte, with the time of each byte.

Append-only. The bytes are in the log file itself, unchanged; beside it `FILE.index` has one line of fixed length for each chunk that
came in: its offset, the monotonic and the wall clock in seconds when it was read, and `gap` when the port had been away before it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.clock import Clock
from harness.errors import BenchError, unwritable

_ENTRY = "{:016d} {:017.6f} {:017.6f} {:4}\n"
_LENGTH = len(_ENTRY.format(0, 0.0, 0.0, ""))


class Stamp(NamedTuple):
    """When a byte was read."""

    offset: int
    """Of the first byte of its chunk."""
    monotonic: float
    wall: float
    gap: bool
    """The port had been away just before."""


class ByteLog:
    """One writer, any number of readers."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Makes or overwrites the log file and its index. What is in them stays readable as long as this object lives."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._clock = clock
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._bytes = os.open(path, flags, 0o644)
        self._index = os.open(self.index_path, flags, 0o644)
        self._size = 0
        self._entries = 0
        self._last = clock.monotonic()
        self._changed = threading.Condition()
        weakref.finalize(self, _close, self._bytes, self._index)

    @property
    def index_path(self) -> Path:
        """The index: `FILE.index`, beside the log file."""
        return self.path.with_name(self.path.name + ".index")

    @property
    def size(self) -> int:
        """Bytes that came so far; the offset of the next one."""
        return self._size

    @property
    def silence(self) -> float:
        """Seconds since the last byte, or since the log was made."""
        return self._clock.monotonic() - self._last

    def append(self, data: bytes, *, gap: bool = False) -> None:
        """Adds a chunk that was read just now, and wakes who waits for it. Raises `BenchError` when the disk does not take it."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        with self._changed:
            try:
                _write(self._bytes, data)
                _write(self._index, _ENTRY.format(self._size, now, wall, "gap" if gap else "").encode())
            except OSError as error:
                raise BenchError(*unwritable(error, self.path)) from error
            self._size += len(data)
            self._entries += 1
            self._last = now
            self._changed.notify_all()

    def read(self, start: int, end: int | None = None) -> bytes:
        """The bytes from offset `start` up to `end`, or up to what there is now."""
        stop = self._size if end is None else min(end, self._size)
        return _read(self._bytes, max(0, start), stop)

    def tail(self, lines: int = 20, start: int = 0) -> str:
        """The last lines for people, from offset `start` at the earliest."""
        text = self.read(max(start, self._size - 200 * lines)).decode("utf-8", "replace")
        return "\n".join(line.rstrip() for line in text.splitlines()[-lines:])

    def stamp(self, offset: int) -> Stamp:
        """When the byte at `offset` was read. Raises `IndexError` for a byte that has not come."""
        if not 0 <= offset < self._size:
            raise IndexError(f"{self.path} holds no byte {offset}")
        low, high = 0, self._entries - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._entry(middle).offset <= offset:
                low = middle
            else:
                high = middle - 1
        return self._entry(low)

    def wait(self, beyond: int, seconds: float, awake: Callable[[], bool]) -> bool:
        """Waits until there are bytes beyond offset `beyond` or `awake()` is true; says whether there are such bytes."""
        with self._changed:
            self._changed.wait_for(lambda: self._size > beyond or awake(), seconds)
        return self._size > beyond

    def wake(self) -> None:
        """Makes who waits look again."""
        with self._changed:
            self._changed.notify_all()

    def _entry(self, number: int) -> Stamp:
        offset, monotonic, wall, *mark = _read(self._index, number * _LENGTH, (number + 1) * _LENGTH).split()
        return Stamp(int(offset), float(monotonic), float(wall), bool(mark))


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _read(descriptor: int, start: int, end: int) -> bytes:
    parts = []
    while start < end and (part := os.pread(descriptor, end - start, start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
