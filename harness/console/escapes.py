"""Takes terminal escapes out of a stream of bytes as it comes in, and remembers where every byte that is left came from.

The invariant: feeding a stream in any pieces gives the same clean bytes; a sequence cut at the end of a piece waits for the next one.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

_ESCAPE = re.compile(
    rb"\x1b(?:"
    rb"\[[0-?]*[ -/]*[@-~]"  # control sequence: colours, cursor
    rb"|\][^\x07\x1b]*(?:\x07|\x1b\\)"  # operating system command: window title
    rb"|[ -/]+[0-~]"  # character sets
    rb"|[0-Z\\^-~])"  # single functions
)
_CUT = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[ -/]*)?\Z")
_LONGEST = 256
"""An escape that goes on for longer is taken for text that begins with an ESC byte."""


def strip(data: bytes) -> bytes:
    """`data` without its escapes; one that is cut at the end stays."""
    return _ESCAPE.sub(b"", data)


class CleanText:
    """The clean bytes of a stream that begins at an offset of a raw log."""

    def __init__(self, offset: int, *, raw: bool = False) -> None:
        """With `raw` nothing is taken out."""
        self.data = bytearray()
        self._raw = raw
        self._fed = offset
        self._cut = b""
        self._clean_at = [0]
        self._raw_at = [offset]
        """Where runs of bytes without an escape in between begin, in `data` and in the log."""

    @property
    def fed(self) -> int:
        """Offset in the log up to which the stream was fed."""
        return self._fed

    def feed(self, data: bytes) -> None:
        """Adds the bytes that follow in the log."""
        start, data = self._fed - len(self._cut), self._cut + data
        self._fed, self._cut = start + len(data), b""
        if self._raw:
            self.data += data
            return
        cut = _CUT.search(data)
        if cut and len(data) - cut.start() <= _LONGEST:
            data, self._cut = data[: cut.start()], data[cut.start() :]
        at = 0
        for escape in _ESCAPE.finditer(data):
            self.data += data[at : escape.start()]
            at = escape.end()
            self._clean_at.append(len(self.data))
            self._raw_at.append(start + at)
        self.data += data[at:]

    def origin(self, index: int) -> int:
        """Offset in the log of the byte `data[index]`, or of what follows the last."""
        run = bisect_right(self._clean_at, index) - 1
        return self._raw_at[run] + index - self._clean_at[run]

    def end_origin(self, index: int) -> int:
        """Offset in the log just behind the byte `data[index - 1]`."""
        return self.origin(index - 1) + 1 if index else self.origin(0)

    def drop(self, count: int) -> None:
        """Forgets the first `count` clean bytes."""
        first = self.end_origin(count)
        keep = bisect_left(self._clean_at, count)
        self._clean_at = [0, *(at - count for at in self._clean_at[keep:])]
        self._raw_at = [first, *self._raw_at[keep:]]
        del self.data[:count]
