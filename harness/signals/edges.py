"""The transitions of one line in a window of time.

The invariant: times increase, and the level changes at each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Nanoseconds = NDArray[np.int64]


@dataclass(frozen=True)
class Edges:
    """One line from `begin` to `end`."""

    times: Nanoseconds
    """Shape (n,), int64: nanoseconds."""
    initial: int
    """The level at `begin`."""
    begin: int
    end: int

    def __post_init__(self) -> None:
        import numpy as np

        if self.initial not in (0, 1):
            raise ValueError(f"a level is 0 or 1, not {self.initial}")
        if len(self.times) and (self.times[0] < self.begin or self.times[-1] > self.end or not bool(np.all(np.diff(self.times) > 0))):
            raise ValueError("edges come one after the other, between the begin and the end of their window")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def rising(self) -> Nanoseconds:
        """The times at which the line goes to 1."""
        return self.times[self.initial :: 2]

    @property
    def falling(self) -> Nanoseconds:
        """The times at which the line goes to 0."""
        return self.times[1 - self.initial :: 2]

    def level_at(self, moment: int) -> int:
        """The level after whatever happened at `moment`."""
        import numpy as np

        return (self.initial + int(np.searchsorted(self.times, moment, side="right"))) % 2

    def between(self, begin: int, end: int) -> Edges:
        """The part of it from `begin` to before `end`."""
        import numpy as np

        first, last = (int(place) for place in np.searchsorted(self.times, (begin, end)))
        return Edges(self.times[first:last], (self.initial + first) % 2, begin, end)

    def inverted(self) -> Edges:
        """The same line behind an inverter, such as a level shifter of RS-232."""
        return Edges(self.times, 1 - self.initial, self.begin, self.end)


def from_levels(times: Nanoseconds, levels: NDArray[np.integer], begin: int, end: int) -> Edges:
    """From what an instrument saw: a level at each of some times, of which some may repeat the one before.

    The first one says what the level was at `begin`. Raises `ValueError` when there is none.
    """
    import numpy as np

    if not len(times):
        raise ValueError("a line of which no level is known has no edges")
    changed = np.flatnonzero(np.diff(levels)) + 1
    return Edges(np.asarray(times, np.int64)[changed], int(levels[0]), begin, end)
