"""A measured value with unit, uncertainty, limit and decision rule, and what follows from them.

The invariant: a value beyond its limit fails only when its uncertainty cannot explain it, and a value whose uncertainty exceeds
its limit never passes. Uncertainties are expanded, k = 2, or bounds that cannot be exceeded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from harness.errors import Inconclusive
from harness.verdict import Verdict

RULE = "failed if |value - expected| > limit + U, else inconclusive if U > limit, else passed"
"""The decision rule, stated in every record before the verdict."""

UNDISCIPLINED_PPM = 50.0
"""How wrong a lab controller's free-running crystal clock may be."""


class Quantity(msgspec.Struct, frozen=True):
    """A value and its expanded uncertainty U, in the same unit."""

    value: float
    uncertainty: float

    def __post_init__(self) -> None:
        if self.uncertainty < 0:
            raise ValueError(f"an uncertainty cannot be negative: {self.uncertainty}")


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity, measured once, against what is expected of it. Without a limit it is recorded and judged by nobody."""

    name: str
    quantity: Quantity
    unit: str
    expected: float | None = None
    limit: float | None = None
    """How far the value may be off, in its unit. For what should be 0 and cannot be less, a latency say, expect 0."""

    def __post_init__(self) -> None:
        if (self.expected is None) != (self.limit is None) or (self.limit is not None and self.limit < 0):
            raise ValueError(f"{self.name}: a limit goes with an expected value, and is not negative")

    @property
    def verdict(self) -> Verdict:
        """By `RULE`; *skipped* (recorded) without a limit; *inconclusive* for what is no finite number."""
        if self.expected is None or self.limit is None:
            return Verdict.SKIPPED
        deviation, uncertainty = abs(self.quantity.value - self.expected), self.quantity.uncertainty
        if not math.isfinite(deviation) or not math.isfinite(uncertainty):
            return Verdict.INCONCLUSIVE
        if deviation > self.limit + uncertainty:
            return Verdict.FAILED
        return Verdict.INCONCLUSIVE if uncertainty > self.limit else Verdict.PASSED

    def text(self) -> str:
        """The three columns on a line: measured, reference with its limit, uncertainty; then the verdict."""
        reference = "no limit" if self.expected is None else f"expected {self.expected:.10g} ± {self.limit:.3g} {self.unit}"
        verdict = "recorded" if self.expected is None else self.verdict.value
        value, uncertainty = self.quantity.value, self.quantity.uncertainty
        return f"{self.name}: measured {value:.10g} {self.unit}, {reference}, uncertainty {uncertainty:.3g} {self.unit}: {verdict}"

    def record(self) -> dict[str, Any]:
        """Builtin types only, for the journal."""
        return {**msgspec.to_builtins(self), "rule": RULE, "verdict": self.verdict.value}


class Sample(msgspec.Struct, frozen=True):
    """A counter read once: the clock before the read and after it, in seconds, and the count."""

    before: float
    after: float
    count: int

    @property
    def bracket(self) -> float:
        """Seconds within which the count was read."""
        return self.after - self.before


class Rate(Quantity, frozen=True):
    """A counter's mean rate in counts per second over the window between two of its reads."""

    seconds: float
    """Length of that window."""
    uneven: float
    """Counts by which some read is off what a steady counter of this rate could have shown; 0: it ran steadily as far as was seen."""


def rate_from_counts(samples: Sequence[Sample], *, reference_ppm: float = UNDISCIPLINED_PPM) -> Rate:
    """The mean rate of a counter between the two reads that bound it best, `reference_ppm` being the error of the clock itself.

    Between two reads the count grew by d. Either read happened somewhere in its bracket, and a count hides up to one event that
    was not complete, so d-1 to d+1 events' worth passed in no less than the gap between the brackets and no more than their
    span. That bounds the rate with certainty and asks for no steadiness. Every pair gives such a bound; the narrowest is taken.

    Raises `Inconclusive` when no two brackets are apart, `ValueError` for fewer than two samples or a clock that runs backwards.
    """
    if len(samples) < 2 or any(sample.bracket < 0 for sample in samples):
        raise ValueError("a rate needs two samples or more, each with its clock read before and after it")
    # A read with an earlier one beside it that is no wider can be no better start of the window; likewise for its end.
    pairs = [(first, last) for first in _narrowing(samples) for last in _narrowing(samples[::-1]) if first.after < last.before]
    if not pairs:
        raise Inconclusive(f"{len(samples)} reads of a counter overlap in time and bound no rate", "sample for longer")
    bounds = {pair: _bounds(*pair) for pair in pairs}
    first, last = min(pairs, key=lambda pair: bounds[pair][1] - bounds[pair][0])
    slowest, fastest = bounds[first, last]
    uncertainty = (fastest - slowest) / 2 + max(abs(slowest), abs(fastest)) * reference_ppm * 1e-6
    seconds = (last.before + last.after - first.before - first.after) / 2
    return Rate((slowest + fastest) / 2, uncertainty, seconds, _unevenness(samples, first, slowest, fastest))


def _narrowing(samples: Iterable[Sample]) -> list[Sample]:
    """The samples whose bracket is narrower than every one before."""
    kept: list[Sample] = []
    for sample in samples:
        if not kept or sample.bracket < kept[-1].bracket:
            kept.append(sample)
    return kept


def _bounds(first: Sample, last: Sample) -> tuple[float, float]:
    """The slowest and the fastest rate that explain both reads."""
    grown, gap, span = last.count - first.count, last.before - first.after, last.after - first.before
    return (grown - 1) / (span if grown >= 1 else gap), (grown + 1) / (gap if grown >= -1 else span)


def _unevenness(samples: Iterable[Sample], first: Sample, slowest: float, fastest: float) -> float:
    """How far the worst read is off what a steady counter, `slowest` to `fastest`, would have shown then."""
    worst = 0.0
    for sample in samples:
        if sample is first:
            continue
        elapsed = (sample.before - first.after, sample.after - first.before)
        grown = [rate * seconds for rate in (slowest, fastest) for seconds in elapsed]
        step = sample.count - first.count
        worst = max(worst, step - max(grown) - 1, min(grown) - 1 - step)
    return worst
