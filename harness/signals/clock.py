"""How fast and how even the events of a clock are: ticks, periods, edges of one kind.

Every figure says of how many events it is and by which formula: the same word means different things in different documents (IEEE 2414,
JESD65B). A single late event hides in an rms, so peak values stand beside each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from harness.errors import Inconclusive
from harness.measure import Quantity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Nanoseconds = NDArray[np.int64]

FEWEST = 3
"""Events before there is a period and a scatter."""
COVERAGE = 2
"""k of every expanded uncertainty."""


@dataclass(frozen=True)
class Figure:
    """A figure of some events."""

    name: str
    value: float
    unit: str
    events: int
    formula: str

    def text(self) -> str:
        """On a line."""
        return f"{self.name}: {self.value:.6g} {self.unit} of {self.events} events ({self.formula})"


@dataclass(frozen=True)
class Clock:
    """Events and the even clock that fits them best."""

    times: Nanoseconds
    """Shape (n,), nanoseconds."""
    number: NDArray[np.int64]
    """Which one each of them is: 0, 1, 2, … without those that are missing."""
    period: float
    """Nanoseconds, by least squares."""
    error: NDArray[np.float64]
    """The time interval error of each against that clock, nanoseconds; its mean is 0."""

    @classmethod
    def fit(cls, times: Nanoseconds, number: NDArray[np.int64] | None = None) -> Clock:
        """The clock of some events. `number` says which they are, where some are missing. Raises `Inconclusive` for fewer than three."""
        import numpy as np

        if len(times) < FEWEST:
            raise Inconclusive(f"{len(times)} events have no period", "capture for longer, and see whether the line moves at all")
        index = np.arange(len(times)) if number is None else number
        since = (times - times[0]).astype(np.float64)
        place = index - index.mean()
        period = float((place * since).sum() / (place * place).sum())
        error = since - since.mean() - place * period
        return cls(times, np.asarray(index, np.int64), period, error)

    def rate(self, *, resolution: float, time_base_ppm: float) -> Quantity:
        """Hz, by least squares. Its U: scatter of the events, their resolution in nanoseconds (rectangular), the time base; k = 2."""
        place = self.number - self.number.mean()
        spread = sqrt(float((place * place).sum()))
        scatter = sqrt(float((self.error * self.error).sum()) / (len(self.times) - 2))
        period = COVERAGE * sqrt(scatter**2 + resolution**2 / 12) / spread
        return self._frequency(self.period, period, time_base_ppm)

    def rate_by_end_points(self, *, resolution: float, time_base_ppm: float) -> Quantity:
        """Hz, as a plain counter sees it: the last event and the first. Its U is that of two events and of the time base; k = 2."""
        periods = int(self.number[-1] - self.number[0])
        scatter = sqrt(float((self.error * self.error).sum()) / (len(self.times) - 2))
        period = float(self.times[-1] - self.times[0]) / periods
        return self._frequency(period, COVERAGE * sqrt(2 * (scatter**2 + resolution**2 / 12)) / periods, time_base_ppm)

    def figures(self) -> list[Figure]:
        """Jitter, time interval error and what else tells how even the clock is, in nanoseconds."""
        import numpy as np

        periods = self._periods()
        steps = np.diff(periods)
        n = len(self.times)
        return [
            Figure("period jitter", float(periods.std(ddof=1)), "ns", n, "sd of P[k] = t[k+1] - t[k]"),
            Figure("period jitter, peak to peak", float(np.ptp(periods)), "ns", n, "max P[k] - min P[k]"),
            Figure("cycle to cycle", float(np.abs(steps).max()) if len(steps) else 0.0, "ns", n, "max |P[k+1] - P[k]|"),
            Figure("TIE", sqrt(float((self.error**2).mean())), "ns", n, "rms of t[k] - least-squares clock"),
            Figure("TIE, peak to peak", float(np.ptp(self.error)), "ns", n, "max - min of t[k] - least-squares clock"),
            Figure("latest event", float(self.error.max() - np.median(self.error)), "ns", n, "max TIE - median TIE"),
        ]

    def accumulated_jitter(self, periods: int) -> Figure:
        """How much the time of so many periods scatters. Raises `ValueError` when there are not so many."""
        if not 1 <= periods < len(self.times) - 1:
            raise ValueError(f"{len(self.times)} events do not have {periods} periods between them more than once")
        spans = (self.times[periods:] - self.times[:-periods]).astype(float)
        return Figure(f"{periods}-period jitter", float(spans.std(ddof=1)), "ns", len(self.times), "sd of t[k+N] - t[k]")

    def mtie(self, periods: int) -> Figure:
        """The most the time interval error moves within any window of so many periods (ITU-T G.810)."""
        from numpy.lib.stride_tricks import sliding_window_view

        windows = sliding_window_view(self.error, min(periods + 1, len(self.error)))
        value = float((windows.max(axis=1) - windows.min(axis=1)).max())
        return Figure(f"MTIE of {periods} periods", value, "ns", len(self.times), "max over windows of max TIE - min TIE")

    def late(self, limit: float) -> NDArray[np.int64]:
        """The numbers of the events that are later than the median one by more than so many nanoseconds."""
        import numpy as np

        return self.number[self.error - np.median(self.error) > limit]

    def allan_deviation(self, periods: int) -> Figure:
        """The overlapping Allan deviation of the relative frequency over so many periods (NIST SP 1065, 5.2.4)."""
        phase = (self.times - self.times[0]) * 1e-9
        tau = periods * self.period * 1e-9
        second = phase[2 * periods :] - 2 * phase[periods:-periods] + phase[: -2 * periods]
        if not len(second):
            raise ValueError(f"{len(self.times)} events do not have {2 * periods} periods between them")
        value = sqrt(float((second**2).sum()) / (2 * len(second))) / tau
        return Figure(f"Allan deviation at {tau:.3g} s", value, "", len(self.times), "overlapping, x[k+2m] - 2 x[k+m] + x[k]")

    def _periods(self) -> NDArray[np.float64]:
        """The time of one period each; where events are missing the share of it."""
        import numpy as np

        return np.diff(self.times) / np.diff(self.number)

    @staticmethod
    def _frequency(period: float, uncertainty: float, time_base_ppm: float) -> Quantity:
        rate = 1e9 / period
        return Quantity(rate, rate * (uncertainty / period + time_base_ppm * 1e-6))


@dataclass(frozen=True)
class Sequence:
    """Events that each carry a number which goes up by one and begins again at 256."""

    number: NDArray[np.int64]
    """Of each event that came in its turn, counted on from the first one's 0."""
    kept: NDArray[np.int64]
    """The places of those among all that came."""
    lost: tuple[int, ...]
    """Numbers that never came."""
    doubled: tuple[int, ...]
    """Numbers that came once more at once."""
    disordered: tuple[int, ...]
    """Places of those that fit in nowhere: a number behind what came before."""


def read_sequence(values: bytes) -> Sequence:
    """What became of events that wrote 0, 1, … 255, 0, …; fewer than 128 are lost in a row."""
    number: list[int] = []
    kept: list[int] = []
    lost: list[int] = []
    doubled: list[int] = []
    disordered: list[int] = []
    count = 0
    for place, value in enumerate(values):
        step = (value - values[kept[-1]]) % 256 if kept else 0
        if kept and step == 0:
            doubled.append(count)
            continue
        if step >= 128:
            disordered.append(place)
            continue
        lost += range(count + 1, count + step)
        count += step
        number.append(count)
        kept.append(place)
    import numpy as np

    return Sequence(np.array(number, np.int64), np.array(kept, np.int64), tuple(lost), tuple(doubled), tuple(disordered))
