"""vdev timer8254 alone, line by line of the 8254's tables: the six modes on channel 2, port B of the system controller."""

from __future__ import annotations

from itertools import pairwise

import pytest

from suites.harness.pit import NULL_COUNT, PORT_B, Pit, control_word, tick_of
from suites.harness.rig import NS


def trigger(pit: Pit) -> int:
    """A rising edge of gate 2; returns the tick on which it takes effect."""
    pit.gate2(False)
    pit.gate2(True)
    return pit.tick + 1


def out_changes(pit: Pit, ticks: int) -> list[tuple[int, bool]]:
    """OUT 2 followed for a number of clocks: the clock of each change and the new level."""
    changes, level = [], pit.out2()
    for _ in range(ticks):
        pit.clocks(1)
        if pit.out2() != level:
            level = not level
            changes.append((pit.tick, level))
    return changes


def test_pit_065_mode_0_is_low_until_terminal_count(pit: Pit) -> None:
    loaded = pit.program(2, 0, 11932)
    assert not pit.out2()
    pit.to(loaded + 11931)
    assert not pit.out2()
    pit.clocks(1)
    assert pit.out2()
    assert pit.now == pytest.approx(10e6, abs=2000)
    pit.advance(10 * NS)
    assert pit.out2()


@pytest.mark.parametrize("access", [1, 2, 3])
def test_pit_066_017_rewriting_the_count_restarts_mode_0(pit: Pit, access: int) -> None:
    count = [0x10] if access != 3 else [0x10, 0x10]
    ticks = {1: 0x10, 2: 0x1000, 3: 0x1010}[access]
    pit.control(control_word(2, 0, access))
    pit.write(0x42, *count)
    pit.clocks(ticks + 10)
    assert pit.out2()
    pit.write(0x42, count[0])
    assert not pit.out2(), "low at the first write"
    pit.write(0x42, *count[1:])
    pit.clocks(ticks)
    assert not pit.out2()
    pit.clocks(1)
    assert pit.out2()


def test_pit_068_gate_freezes_mode_0(pit: Pit) -> None:
    loaded = pit.program(2, 0, 1000)
    pit.to(loaded + 400)
    pit.gate2(False)
    pit.clocks(5000)
    assert pit.latched(2) == 600
    assert not pit.out2()
    pit.gate2(True)
    pit.clocks(599)
    assert not pit.out2()
    pit.clocks(1)
    assert pit.out2()


def test_pit_069_a_count_written_with_gate_low_is_loaded_and_waits(pit: Pit) -> None:
    pit.gate2(False)
    loaded = pit.program(2, 0, 1000)
    pit.to(loaded + 5000)
    assert pit.latched(2) == 1000
    assert not pit.status(2) & NULL_COUNT
    pit.gate2(True)
    pit.clocks(1000)
    assert pit.out2()


def test_pit_070_mode_0_stays_high(pit: Pit) -> None:
    pit.program(2, 0, 1000)
    pit.clocks(2000)
    assert set(pit.sample(PORT_B, 1000, NS // 10)) <= {0x21, 0x31}


def test_pit_072_073_mode_1_waits_for_the_trigger_and_is_low_for_n_clocks(pit: Pit) -> None:
    pit.gate2(False)
    pit.program(2, 1, 50)
    pit.clocks(200)
    assert pit.out2()
    start = trigger(pit)
    assert out_changes(pit, 200) == [(start, False), (start + 50, True)]


def test_pit_073_the_gate_may_fall_during_the_pulse(pit: Pit) -> None:
    pit.program(2, 1, 50)
    start = trigger(pit)
    pit.clocks(10)
    pit.gate2(False)
    assert out_changes(pit, 100) == [(start + 50, True)]


def test_pit_074_a_retrigger_restarts_the_pulse(pit: Pit) -> None:
    pit.program(2, 1, 1000)
    start = trigger(pit)
    pit.to(start + 500)
    start = trigger(pit)
    assert out_changes(pit, 1100) == [(start + 1000, True)]


def test_pit_075_a_new_count_waits_for_the_next_trigger(pit: Pit) -> None:
    pit.program(2, 1, 50)
    start = trigger(pit)
    pit.clocks(10)
    pit.count(2, 20)
    assert out_changes(pit, 100) == [(start + 50, True)]
    start = trigger(pit)
    assert out_changes(pit, 100) == [(start, False), (start + 20, True)]


@pytest.mark.parametrize("mode", [1, 5])
def test_pit_076_097_modes_1_and_5_never_fire_on_channel_0(pit: Pit, mode: int) -> None:
    pit.program(0, mode, 100)
    pit.advance(NS)
    assert pit.rises() == []


@pytest.mark.parametrize("count", [8, 4, 3, 2])
def test_pit_078_mode_2_is_low_for_the_last_clock_of_the_period(pit: Pit, count: int) -> None:
    loaded = pit.program(2, 2, count)
    pit.to(loaded - 1)
    expected = [(loaded + n * count - low, not low) for n in range(1, 6) for low in (1, 0)]
    assert out_changes(pit, 5 * count + 1) == expected
    assert pit.duty(2, 40 * count) == pytest.approx(1 - 1 / count)


def test_pit_080_a_new_count_in_mode_2_takes_effect_after_the_period(pit: Pit) -> None:
    loaded = pit.program(0, 2, 65536)
    pit.to(loaded + 6553)
    pit.count(0, 1193)
    pit.to(loaded + 65536 + 3 * 1193)
    assert [tick_of(time) - loaded for time in pit.rises()] == [65536 + n * 1193 for n in range(4)]


@pytest.mark.parametrize("mode", [2, 3])
def test_pit_081_after_a_control_word_the_count_starts_at_once(pit: Pit, mode: int) -> None:
    loaded = pit.program(0, mode, 65536)
    pit.to(loaded + 6553)
    loaded = pit.program(0, mode, 1193)
    pit.to(loaded + 1192)
    assert pit.rises() == []
    pit.clocks(1)
    assert len(pit.rises()) == 1


@pytest.mark.parametrize(("mode", "low_at"), [(2, 9), (3, 7)])
def test_pit_082_090_gate_low_stops_modes_2_and_3_and_a_rise_reloads(pit: Pit, mode: int, low_at: int) -> None:
    loaded = pit.program(2, mode, 10)
    pit.to(loaded + low_at)
    assert not pit.out2()
    count = pit.latched(2)
    pit.gate2(False)
    assert pit.out2(), "high at once"
    pit.clocks(1000)
    assert pit.out2()
    assert pit.latched(2) == count
    pit.gate2(True)
    pit.clocks(1)
    assert pit.latched(2) == 10


@pytest.mark.parametrize("count", [3, 8, 100])
def test_pit_083_mode_2_runs_from_n_to_1(pit: Pit, count: int) -> None:
    loaded = pit.program(2, 2, count)
    pit.to(loaded)
    seen = []
    for _ in range(10 * count):
        seen.append(pit.latched(2))
        pit.clocks(1)
    assert seen == list(range(count, 0, -1)) * 10


@pytest.mark.parametrize(("count", "high"), [(8, 4), (100, 50), (3, 2), (5, 3), (101, 51)])
def test_pit_085_086_mode_3_halves(pit: Pit, count: int, high: int) -> None:
    loaded = pit.program(2, 3, count)
    pit.to(loaded)
    expected = [(loaded + n * count + at, level) for n in range(3) for at, level in ((high, False), (count, True))]
    assert out_changes(pit, 3 * count) == expected


@pytest.mark.parametrize(("at", "changes"), [(1000, [30000, 30100, 30200]), (31000, [60000, 60100, 60200])])
def test_pit_087_a_new_count_in_mode_3_takes_effect_after_the_half_cycle(pit: Pit, at: int, changes: list[int]) -> None:
    loaded = pit.program(2, 3, 60000)
    pit.to(loaded + at)
    pit.count(2, 200)
    pit.to(loaded + changes[0] - 5)
    assert [tick - loaded for tick, _ in out_changes(pit, 250)] == changes


@pytest.mark.parametrize("count", [3, 8, 101, 1000])
def test_pit_088_mode_3_reads_even(pit: Pit, count: int) -> None:
    pit.to(pit.program(2, 3, count))
    seen = set()
    for _ in range(2 * count):
        seen.add(pit.latched(2))
        pit.clocks(1)
    assert seen == set(range(0 if count % 2 else 2, count + 1, 2))


def test_pit_089_mode_3_interrupts_once_a_period(pit: Pit) -> None:
    pit.program(0, 3, 11932)
    pit.advance(10 * NS)
    assert pit.count_rises()[0] == 999


def test_pit_091_mode_3_toggles_for_ever(pit: Pit) -> None:
    loaded = pit.program(2, 3, 1000)
    pit.advance(24 * 3600 * NS)
    for _ in range(100):
        assert pit.out2() == ((pit.tick - loaded) % 1000 < 500)
        pit.clocks(97)


def test_pit_093_mode_4_strobes_once(pit: Pit) -> None:
    loaded = pit.program(2, 4, 20)
    assert out_changes(pit, 1000) == [(loaded + 20, False), (loaded + 21, True)]
    pit.clocks(65536 - 900)
    assert out_changes(pit, 2000) == [], "not again when the count wraps"


def test_pit_094_gate_low_stops_mode_4(pit: Pit) -> None:
    loaded = pit.program(2, 4, 1000)
    pit.to(loaded + 100)
    pit.gate2(False)
    pit.clocks(5000)
    assert pit.latched(2) == 900
    pit.gate2(True)
    resumed = pit.tick
    assert out_changes(pit, 1000) == [(resumed + 900, False), (resumed + 901, True)]


def test_pit_095_each_count_in_mode_4_is_one_interrupt(pit: Pit) -> None:
    pit.control(control_word(0, 4))
    for count in (0xF, 100, 1000, 0x7FFF) * 5:
        pit.count(0, count)
        pit.clocks(40000)
        assert len(pit.rises()) == 1


def test_pit_096_mode_5_waits_for_the_trigger(pit: Pit) -> None:
    pit.gate2(False)
    pit.program(2, 5, 20)
    idle = pit.latched(2)
    pit.clocks(1000)
    assert pit.latched(2) == idle
    assert pit.out2()
    start = trigger(pit)
    assert out_changes(pit, 200) == [(start + 20, False), (start + 21, True)]


def test_pit_100_gate_2_reads_back_and_stops_the_counter(pit: Pit) -> None:
    assert pit.read(PORT_B) & 1
    pit.program(2, 2, 5000)
    pit.clocks(10)
    pit.gate2(False)
    assert not pit.read(PORT_B) & 1
    count = pit.latched(2)
    pit.clocks(100)
    assert pit.latched(2) == count


def test_pit_100_gate_2_is_low_after_reset() -> None:
    with Pit() as pit:
        assert pit.read(PORT_B) & 0x0F == 0
        pit.program(2, 0, 1000)
        pit.clocks(5000)
        assert pit.latched(2) == 1000


def test_pit_101_speaker_data_reads_back_and_does_not_touch_out(pit: Pit) -> None:
    loaded = pit.program(2, 3, 1000)
    pit.write(PORT_B, 3)
    assert pit.read(PORT_B) & 3 == 3
    pit.to(loaded + 750)
    assert not pit.out2()
    pit.write(PORT_B, 1)
    assert pit.read(PORT_B) & 3 == 1
    assert not pit.out2()


def test_pit_102_out_2_is_read_only(pit: Pit) -> None:
    pit.control(control_word(2, 0))
    pit.write(PORT_B, 0x21)
    assert not pit.out2()


def test_pit_103_refresh_toggles_by_time(pit: Pit) -> None:
    samples = pit.sample(PORT_B, 10000, 1000)
    changes = sum(a & 0x10 != b & 0x10 for a, b in pairwise(samples))
    assert changes == pytest.approx(10e6 / 15085.7, abs=1)
    assert len(set(pit.sample(PORT_B, 100, 0))) == 1, "not by being read"


def test_pit_104_the_other_bits_of_port_b(pit: Pit) -> None:
    for value in range(256):
        pit.write(PORT_B, value)
        assert pit.read(PORT_B) & 0xCF == value & 0x0F


@pytest.mark.parametrize("mode", [1, 5])
def test_pit_105_a_gate_set_before_the_control_word_is_remembered(mode: int) -> None:
    with Pit() as pit:
        pit.gate2(True)
        pit.program(2, mode, 20)
        pit.gate2(True)
        pit.clocks(100)
        assert pit.status(2) & NULL_COUNT, "no edge, no trigger"
        loaded = pit.program(2, 0, 20)
        pit.to(loaded + 20)
        assert pit.out2()


def test_pit_106_reading_port_b_changes_nothing(pit: Pit) -> None:
    loaded = pit.program(2, 1, 5000)
    pit.clocks(10)
    pit.sample(PORT_B, 1000, 100)
    assert pit.status(2) & NULL_COUNT
    loaded = pit.program(2, 0, 5000)
    pit.sample(PORT_B, 1000, 1000)
    assert pit.latched(2) == 5000 - (pit.tick - loaded)
