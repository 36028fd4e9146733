"""Rate, jitter, time interval error and Allan deviation of events, on streams whose figures are known."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.errors import Inconclusive
from harness.signals.clock import Clock, read_sequence

MILLISECOND = 1_000_000
ALLAN = {
    1: 0.0002958737624578794,
    4: 0.00015123540069853473,
    32: 4.891282437086408e-05,
    256: 2.1245208785643038e-05,
    1024: 3.3721926291964414e-05,
}
"""Overlapping Allan deviation of `wandering()` over so many periods, by allantools 2024.6 (`oadev`, data_type "phase")."""


def even(count: int, *, noise: float = 0.0, period: float = MILLISECOND) -> NDArray[np.int64]:
    """Events a period apart, each off its place by white noise of that standard deviation, nanoseconds."""
    chance = random.Random(1)
    return np.array([round(period * number + (chance.gauss(0, noise) if noise else 0)) for number in range(count)], np.int64)


def wandering() -> NDArray[np.int64]:
    """Four thousand periods of 1 ms with white noise, whose length takes a random walk."""
    chance = random.Random(8254)
    wander = now = 0.0
    times = []
    for _ in range(4000):
        wander += chance.gauss(0, 2)
        now += MILLISECOND + chance.gauss(0, 300) + wander
        times.append(round(now))
    return np.array(times, np.int64)


def figure(clock: Clock, name: str) -> float:
    return next(figure.value for figure in clock.figures() if figure.name == name)


@pytest.mark.parametrize("ppm", [0, 200, -10_000])
def test_the_rate_is_within_its_uncertainty(ppm: float) -> None:
    clock = Clock.fit(even(2000, noise=1000, period=MILLISECOND / (1 + ppm * 1e-6)))
    for rate in (clock.rate(resolution=10, time_base_ppm=0.1), clock.rate_by_end_points(resolution=10, time_base_ppm=0.1)):
        assert abs(rate.value - 1000 * (1 + ppm * 1e-6)) < rate.uncertainty


def test_least_squares_know_more_than_end_points() -> None:
    """100 ns of white noise at 1 kHz: of ten thousand periods end points know the rate to some 1e-8, all edges to some 1e-10."""
    clock = Clock.fit(even(10_000, noise=100))
    by_all, by_two = (rate(resolution=0, time_base_ppm=0.0).uncertainty / 1000 / 2 for rate in (clock.rate, clock.rate_by_end_points))
    assert by_two == pytest.approx(1.4e-8, rel=0.1)
    assert by_all == pytest.approx(3.5e-10, rel=0.1)


def test_the_instruments_resolution_and_time_base_count() -> None:
    """Without scatter U is what the instrument leaves open."""
    clock = Clock.fit(even(100))
    assert clock.rate(resolution=0, time_base_ppm=0.0).uncertainty == pytest.approx(0, abs=1e-9)
    assert clock.rate(resolution=0, time_base_ppm=20.0).uncertainty == pytest.approx(0.02)
    assert clock.rate_by_end_points(resolution=1000, time_base_ppm=0.0).uncertainty == pytest.approx(
        1000 * 2 * (2 / 12) ** 0.5 * 1000 / (99 * MILLISECOND)
    )


def test_one_late_event_hides_in_an_rms() -> None:
    """200 µs in ten thousand events: 2.8 µs of period jitter and 2 µs of TIE by rms, 400 and 200 µs from peak to peak."""
    times = even(10_000)
    times[5000] += 200_000
    clock = Clock.fit(times)
    assert figure(clock, "period jitter") == pytest.approx(2828, rel=0.01)
    assert figure(clock, "period jitter, peak to peak") == pytest.approx(400_000, rel=0.01)
    assert figure(clock, "cycle to cycle") == pytest.approx(400_000, rel=0.01)
    assert figure(clock, "TIE") == pytest.approx(2000, rel=0.01)
    assert figure(clock, "TIE, peak to peak") == pytest.approx(200_000, rel=0.01)
    assert figure(clock, "latest event") == pytest.approx(200_000, rel=0.01)
    assert clock.late(100_000).tolist() == [5000]


def test_events_that_are_missing_do_not_bend_the_clock() -> None:
    """By their numbers the others lie on the same line."""
    kept = np.delete(np.arange(1000), [10, 11, 500])
    clock = Clock.fit(even(1000)[kept], kept)
    assert clock.period == pytest.approx(MILLISECOND)
    assert figure(clock, "TIE, peak to peak") == pytest.approx(0, abs=1e-3)
    assert figure(Clock.fit(even(1000)[kept]), "TIE, peak to peak") > MILLISECOND


def test_jitter_over_several_periods_and_mtie() -> None:
    """White noise on the edges does not add up; a drifting period does."""
    clock = Clock.fit(even(5000, noise=100))
    assert clock.accumulated_jitter(1).value == pytest.approx(141, rel=0.05)
    assert clock.accumulated_jitter(1000).value == pytest.approx(141, rel=0.1)
    drifting = Clock.fit((even(5000) + np.arange(5000) ** 2).astype(np.int64))
    assert drifting.accumulated_jitter(1000).value > 100 * drifting.accumulated_jitter(1).value
    assert drifting.mtie(10).value < drifting.mtie(1000).value <= figure(drifting, "TIE, peak to peak")
    with pytest.raises(ValueError, match="more than once"):
        clock.accumulated_jitter(4999)


@pytest.mark.parametrize(("periods", "value"), ALLAN.items())
def test_the_allan_deviation_is_allantools_s(periods: int, value: float) -> None:
    assert Clock.fit(wandering()).allan_deviation(periods).value == pytest.approx(value, rel=1e-6)


def test_two_events_are_no_clock() -> None:
    with pytest.raises(Inconclusive, match="2 events have no period"):
        Clock.fit(even(2))
    with pytest.raises(ValueError, match="do not have 8 periods"):
        Clock.fit(even(8)).allan_deviation(4)


def numbered(count: int) -> bytes:
    return bytes(number % 256 for number in range(count))


def test_a_sequence_tells_what_became_of_each_event() -> None:
    whole = read_sequence(numbered(600))
    assert whole.number.tolist() == whole.kept.tolist() == list(range(600))
    assert whole.lost == whole.doubled == whole.disordered == ()
    some = numbered(600)
    lost = read_sequence(some[:255] + some[257:])
    assert lost.lost == (255, 256)
    assert lost.number.tolist() == [*range(255), *range(257, 600)]
    doubled = read_sequence(some[:300] + some[299:])
    assert doubled.doubled == (299,)
    assert doubled.number.tolist() == list(range(600))
    assert doubled.kept.tolist() == [*range(300), *range(301, 601)]
    swapped = read_sequence(some[:10] + some[11:12] + some[10:11] + some[12:])
    assert (swapped.lost, swapped.disordered) == ((10,), (11,))
    assert read_sequence(b"").number.tolist() == []
