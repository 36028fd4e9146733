"""Measured values: the decision rule, and that a rate's interval always holds the true rate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import Inconclusive
from harness.measure import RULE, Measurement, Quantity, Rate, Sample, rate_from_counts
from harness.verdict import Verdict


def measurement(value: float, uncertainty: float, expected: float | None = 100.0, limit: float | None = 1.0) -> Measurement:
    return Measurement(name="tick rate", quantity=Quantity(value, uncertainty), unit="Hz", expected=expected, limit=limit)


@pytest.mark.parametrize(
    ("value", "uncertainty", "verdict"),
    [
        (100.0, 0.0, Verdict.PASSED),
        (100.9, 0.5, Verdict.PASSED),
        (101.4, 0.5, Verdict.PASSED),
        (98.6, 0.5, Verdict.PASSED),
        (101.6, 0.5, Verdict.FAILED),
        (98.4, 0.5, Verdict.FAILED),
        (101.0, 0.0, Verdict.PASSED),
        (101.1, 0.0, Verdict.FAILED),
        (100.0, 1.0, Verdict.PASSED),
        (100.0, 1.1, Verdict.INCONCLUSIVE),
        (103.0, 5.0, Verdict.INCONCLUSIVE),
        (110.0, 5.0, Verdict.FAILED),
        (math.nan, 0.1, Verdict.INCONCLUSIVE),
        (math.inf, 0.1, Verdict.INCONCLUSIVE),
        (100.0, math.inf, Verdict.INCONCLUSIVE),
        (100.0, math.nan, Verdict.INCONCLUSIVE),
    ],
)
def test_the_decision_rule(value: float, uncertainty: float, verdict: Verdict) -> None:
    assert measurement(value, uncertainty).verdict is verdict


@pytest.mark.parametrize(("lost", "verdict"), [(0, Verdict.PASSED), (1, Verdict.FAILED)])
def test_a_count_is_exact(lost: int, verdict: Verdict) -> None:
    assert measurement(lost, 0, expected=0, limit=0).verdict is verdict


def test_without_a_limit_a_value_is_recorded() -> None:
    it = measurement(7.0, 0.5, None, None)
    assert it.verdict is Verdict.SKIPPED
    assert it.text() == "tick rate: measured 7 Hz, no limit, uncertainty 0.5 Hz: recorded"


def test_the_text_has_three_columns_and_the_verdict() -> None:
    text = measurement(102.5, 0.25).text()
    assert text == "tick rate: measured 102.5 Hz, expected 100 ± 1 Hz, uncertainty 0.25 Hz: failed"


def test_the_record_states_value_uncertainty_and_rule() -> None:
    assert measurement(100.5, 0.25).record() == {
        "name": "tick rate",
        "quantity": {"value": 100.5, "uncertainty": 0.25},
        "unit": "Hz",
        "expected": 100.0,
        "limit": 1.0,
        "rule": RULE,
        "verdict": "passed",
    }


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        Quantity(1.0, -0.1)
    with pytest.raises(ValueError, match="not negative"):
        measurement(1.0, 0.1, 1.0, -1.0)
    with pytest.raises(ValueError, match="goes with an expected value"):
        measurement(1.0, 0.1, None, 1.0)


@given(true=st.floats(99, 101), uncertainty=st.floats(0, 5), error=st.floats(-1, 1))
def test_a_device_within_its_limit_never_fails(true: float, uncertainty: float, error: float) -> None:
    """Whatever the true value inside the limit, a measurement honest about its uncertainty does not call it wrong."""
    assert measurement(true + error * uncertainty, uncertainty + 1e-9).verdict is not Verdict.FAILED


# Rates.


def steady(rate: float, reads: list[tuple[float, float, float]], start: float, phase: float) -> list[Sample]:
    """What a steady counter shows: per read, the pause before it, how long it took, and when in it the count was taken (0..1)."""
    samples, now = [], start
    for pause, width, moment in reads:
        now += pause
        true = (now - start) + moment * width
        samples.append(Sample(now, now + width, math.floor(rate * true + phase)))
        now += width
    return samples


READS = st.lists(st.tuples(st.floats(0.001, 5), st.floats(0, 0.5), st.floats(0, 1)), min_size=2, max_size=12)


@given(rate=st.floats(0.5, 20000), reads=READS, start=st.floats(0, 1e6), phase=st.floats(0, 0.999))
def test_the_true_rate_is_always_inside(rate: float, reads: list[tuple[float, float, float]], start: float, phase: float) -> None:
    """With a perfect clock; 1e-9 of the rate is left to the arithmetic of the clock's own digits."""
    found = rate_from_counts(steady(rate, reads, start, phase), reference_ppm=0)
    digits = rate * 4 * math.ulp(start + 100) / found.seconds
    assert abs(found.value - rate) <= found.uncertainty + rate * 1e-9 + digits * 10
    assert found.uneven <= 1e-6 * rate


@given(rate=st.floats(0.5, 20000), reads=READS, ppm=st.floats(-50, 50))
def test_the_clocks_own_error_is_inside_too(rate: float, reads: list[tuple[float, float, float]], ppm: float) -> None:
    fast = 1 + ppm * 1e-6
    samples = [Sample(s.before * fast, s.after * fast, s.count) for s in steady(rate, reads, 0.0, 0.5)]
    found = rate_from_counts(samples, reference_ppm=50.1)
    assert abs(found.value - rate) <= found.uncertainty * (1 + 1e-9) + rate * 1e-9


@given(rate=st.floats(10, 2000), reads=READS)
def test_every_read_can_only_help(rate: float, reads: list[tuple[float, float, float]]) -> None:
    """The bound is the best over all pairs of reads: no pair alone does better."""
    samples = steady(rate, reads, 0.0, 0.0)
    found = rate_from_counts(samples, reference_ppm=0)
    for i, first in enumerate(samples):
        for last in samples[i + 1 :]:
            alone = rate_from_counts([first, last], reference_ppm=0)
            assert found.uncertainty <= alone.uncertainty * (1 + 1e-9)


def test_a_tick_counter_over_ten_seconds() -> None:
    """250 Hz read through brackets of 20 ms, the first and last of 2 ms: known to better than one per mille."""
    reads = [(0.0, 0.002, 0.5), *[(0.98, 0.02, 0.9)] * 10, (0.5, 0.002, 0.1)]
    found = rate_from_counts(steady(249.9857, reads, 50.0, 0.3), reference_ppm=50)
    assert abs(found.value - 249.9857) <= found.uncertainty
    assert found.uncertainty < 250 * 0.001
    assert found.uneven == 0


def test_a_rate_wrong_by_a_per_cent_is_told_from_a_right_one() -> None:
    reads = [(0.5, 0.01, 0.5)] * 20
    for rate, verdict in ((249.9857, Verdict.PASSED), (249.9857 * 1.01, Verdict.FAILED)):
        found = rate_from_counts(steady(rate, reads, 0.0, 0.0))
        expected = 249.9857
        assert Measurement(name="rate", quantity=found, unit="Hz", expected=expected, limit=expected * 0.0033).verdict is verdict


def test_lost_events_show_as_unevenness() -> None:
    samples = steady(250.0, [(0.5, 0.002, 0.5)] * 20, 0.0, 0.0)
    late = [*samples[:9], *(Sample(s.before, s.after, s.count - 30) for s in samples[9:12]), *samples[12:]]
    assert 20 < rate_from_counts(late).uneven < 30
    assert rate_from_counts(samples).uneven == 0


def test_a_counter_that_stands_still_has_rate_zero_within_its_bound() -> None:
    found = rate_from_counts([Sample(0, 0.1, 7), Sample(10, 10.1, 7)])
    assert (found.value, found.uneven) == (0.0, 0.0)
    assert found.uncertainty >= 1 / 10.1


def test_a_counter_that_runs_backwards_is_bounded_too() -> None:
    found = rate_from_counts([Sample(0, 0.1, 1000), Sample(10, 10.1, 900)], reference_ppm=0)
    assert found.value - found.uncertainty <= -101 / 9.9
    assert found.value + found.uncertainty >= -99 / 10.1


def test_reads_that_overlap_decide_nothing() -> None:
    with pytest.raises(Inconclusive, match="overlap in time and bound no rate; sample for longer"):
        rate_from_counts([Sample(0, 1, 0), Sample(0.5, 1.5, 10)])


@pytest.mark.parametrize("samples", [[], [Sample(0, 1, 2)], [Sample(0, 1, 2), Sample(3, 2.9, 5)]])
def test_samples_that_are_none_are_refused(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="two samples or more"):
        rate_from_counts(samples)


def test_a_rate_is_a_quantity() -> None:
    found: Quantity = rate_from_counts([Sample(0, 0.1, 0), Sample(10, 10.1, 100)])
    assert isinstance(found, Rate)
    assert found.seconds == pytest.approx(10)
    assert measurement(1, 1).record()["quantity"].keys() == {"value", "uncertainty"}
    record = Measurement(name="rate", quantity=found, unit="Hz").record()
    assert record["quantity"].keys() == {"value", "uncertainty", "seconds", "uneven"}
