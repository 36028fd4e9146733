"""vdev timer8254 alone, line by line of the 8254's tables: access, control word, counting."""

from __future__ import annotations

import pytest

from suites.harness.pit import (
    CONTROL,
    INPUT_CLOCK,
    NULL_COUNT,
    PORT_B,
    READ_BACK,
    Pit,
    control_word,
    selects,
)
from suites.harness.rig import NS, Rig

CHANNELS = (0, 1, 2)


def test_pit_001_the_counters_are_read_and_written_at_their_ports(pit: Pit) -> None:
    for channel in CHANNELS:
        loaded = pit.program(channel, 2, 1000 + channel)
        pit.to(loaded + 10)
        assert pit.latched(channel) == 990 + channel


@pytest.mark.parametrize("location", ["io:0x140", "mem:0xfed00000"])
def test_pit_001_loc_moves_the_counters(location: str) -> None:
    base = location if location.startswith("mem:") else location.removeprefix("io:")
    at = f"mem:{int(base[4:], 0) + 2:#x}" if base.startswith("mem:") else f"{int(base, 0) + 2:#x}"
    control = f"mem:{int(base[4:], 0) + 3:#x}" if base.startswith("mem:") else f"{int(base, 0) + 3:#x}"
    with Rig("timer8254", locations=[location]) as rig:
        rig.write(control, 0x94)
        rig.write(at, 0x40)
        rig.advance(NS)
        assert rig.read(0x42) == 0xFF, "nothing is left at the default ports"
        counts = {value for value in rig.sample(at, 100, 1000) if 1 <= value <= 0x40}
        assert (len(counts) > 1) == location.startswith("mem:"), "without port B gate 2 is high"
        assert (rig.read(PORT_B) == 0xFF) == location.startswith("mem:"), "port B belongs to port space"


def test_pit_002_reading_the_control_word_port_does_nothing(pit: Pit) -> None:
    loaded = [pit.program(channel, 2, 5000) for channel in CHANNELS]
    pit.clocks(100)
    before = [pit.status(channel) for channel in CHANNELS]
    assert set(pit.sample(CONTROL, 1000, 0)) == {0xFF}
    assert [pit.status(channel) for channel in CHANNELS] == before
    assert [pit.latched(channel) for channel in CHANNELS] == [5000 - (pit.tick - tick) for tick in loaded]


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("port", [0x40, 0x41, 0x42, 0x43, PORT_B])
def test_pit_003_107_124_wide_access_is_refused_with_all_ones(pit: Pit, port: int, width: int) -> None:
    loaded = pit.program(0, 2, 5000)
    assert {pit.read(port, width) for _ in range(100)} == {(1 << 8 * width) - 1}
    pit.write(port, 0, width=width)
    pit.to(loaded + 7)
    assert pit.latched(0) == 4993


@pytest.mark.parametrize("channel", CHANNELS)
def test_pit_006_an_unprogrammed_counter_can_be_read(pit: Pit, channel: int) -> None:
    assert pit.latched(channel) == 0
    assert pit.pair(channel) == 0
    pit.control(READ_BACK | selects(channel))
    assert pit.read(0x40 + channel) & NULL_COUNT
    pit.advance(NS)
    assert pit.pair(channel) == 0


@pytest.mark.parametrize("control", range(48))
@pytest.mark.parametrize("channel", CHANNELS)
def test_pit_010_011_059_status_shows_the_control_word(pit: Pit, channel: int, control: int) -> None:
    control |= 0x10
    pit.control(channel << 6 | control)
    assert pit.status(channel) & 0x3F == control


@pytest.mark.parametrize(("code", "mode"), [(6, 2), (7, 3)])
def test_pit_011_mode_codes_6_and_7_are_2_and_3(pit: Pit, code: int, mode: int) -> None:
    pit.program(2, code, 8)
    pit.clocks(1)
    assert pit.duty(2, 80) == {2: 7 / 8, 3: 1 / 2}[mode]


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("mode", range(6))
def test_pit_012_a_control_word_sets_out_at_once(pit: Pit, before: int, mode: int) -> None:
    pit.control(control_word(2, before), control_word(2, mode))
    assert pit.out2() == (mode != 0)


def test_pit_012_a_rise_of_out_0_by_control_word_is_an_edge(pit: Pit) -> None:
    pit.control(control_word(0, 0))
    assert pit.rises() == []
    pit.advance(1000)
    pit.control(control_word(0, 2))
    assert pit.rises() == [1000]


def test_pit_013_after_a_control_word_the_counter_waits(pit: Pit) -> None:
    pit.program(0, 2, 1193)
    pit.advance(NS // 100)
    assert len(pit.rises()) == 10
    pit.control(control_word(0, 2))
    frozen = pit.latched(0)
    pit.advance(NS // 10)
    assert pit.latched(0) == frozen
    assert pit.rises() == []


def test_pit_014_a_control_word_resets_both_flip_flops(pit: Pit) -> None:
    pit.control(control_word(0, 2))
    pit.write(0x40, 0x12)
    pit.read(0x40)
    loaded = pit.program(0, 2, 0x1234)
    pit.to(loaded)
    assert pit.pair(0) == 0x1234


def test_pit_015_a_control_word_releases_the_latches(pit: Pit) -> None:
    pit.program(0, 2, 5000)
    pit.clocks(10)
    pit.control(READ_BACK | selects(0))
    loaded = pit.program(0, 2, 3000)
    pit.to(loaded + 5)
    assert pit.pair(0) == 2995


def test_pit_016_lsb_only(pit: Pit) -> None:
    pit.control(control_word(2, 2, access=1))
    pit.write(0x42, 0x40)
    pit.clocks(1)
    seen = []
    for _ in range(200):
        pit.control(2 << 6)
        seen.append(pit.read(0x42))
        pit.clocks(1)
    assert seen == [64 - i % 64 for i in range(200)]


def test_pit_017_msb_only(pit: Pit) -> None:
    pit.control(control_word(2, 2, access=2))
    pit.write(0x42, 0x04)
    pit.clocks(1)
    seen = []
    for _ in range(20):
        pit.control(2 << 6)
        seen.append(pit.read(0x42))
        pit.clocks(100)
    assert seen == [(1024 - i * 100 % 1024) >> 8 for i in range(20)]


def test_pit_018_040_lsb_comes_first(pit: Pit) -> None:
    loaded = pit.program(1, 2, 0x1234)
    pit.to(loaded)
    assert [pit.read(0x41), pit.read(0x41)] == [0x34, 0x12]


def test_pit_019_reads_may_be_interleaved_with_the_two_writes(pit: Pit) -> None:
    pit.control(control_word(2, 2))
    pit.write(0x42, 0x34)
    pit.read(0x42)
    pit.write(0x42, 0x12)
    pit.clocks(1)
    assert pit.read(0x42) == 0x12, "the MSB is next to be read"
    assert pit.read(0x42) == 0x34


def test_pit_020_channels_are_programmed_in_any_order(pit: Pit) -> None:
    pit.control(*(control_word(channel, 2) for channel in CHANNELS))
    for channel in reversed(CHANNELS):
        pit.write(0x40 + channel, 0x10 + channel)
    for channel in (1, 0, 2):
        pit.write(0x40 + channel, 0x20)
    pit.clocks(1)
    assert [pit.pair(channel) for channel in CHANNELS] == [0x2010, 0x2011, 0x2012]


@pytest.mark.parametrize("mode", [2, 3])
def test_pit_021_half_a_count_leaves_a_running_rate_alone(pit: Pit, mode: int) -> None:
    pit.program(0, mode, 1193)
    pit.advance(NS // 100)
    pit.write(0x40, 0x10)
    pit.advance(NS // 100)
    assert len(pit.rises()) == 20


def test_pit_021_half_a_count_stops_mode_0(pit: Pit) -> None:
    loaded = pit.program(2, 0, 1000)
    pit.to(loaded + 100)
    pit.write(0x42, 0x10)
    pit.clocks(5000)
    assert pit.latched(2) == 900
    assert not pit.out2()


@pytest.mark.parametrize("mode", [2, 3])
def test_pit_025_count_0_is_65536(pit: Pit, mode: int) -> None:
    pit.program(0, mode, 0)
    pit.advance(100 * NS)
    count, first, last = pit.count_rises()
    assert count == 1820
    assert NS * (count - 1) / (last - first) == pytest.approx(INPUT_CLOCK / 65536, rel=1e-9)


def test_pit_026_count_0_in_bcd_is_10000(pit: Pit) -> None:
    loaded = pit.program(2, 0, 0, bcd=True)
    pit.to(loaded + 9999)
    assert not pit.out2()
    pit.clocks(1)
    assert pit.out2()


@pytest.mark.parametrize(("mode", "count"), [(0, 1), (1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (5, 1)])
def test_pit_027_the_smallest_counts(pit: Pit, mode: int, count: int) -> None:
    pit.program(0, mode, count)
    pit.advance(NS)
    assert pit.count_rises()[0] <= 10000
    pit.program(2, mode, count)
    pit.clocks(100)
    assert pit.latched(2) <= 0xFFFF


def test_pit_028_bcd_counts_decimal(pit: Pit) -> None:
    loaded = pit.program(2, 2, 0x1000, bcd=True)
    pit.to(loaded)
    for step in range(1500):
        assert f"{pit.latched(2):04x}" == f"{1000 - step % 1000:04d}"
        pit.clocks(1)


@pytest.mark.parametrize("mode", range(6))
@pytest.mark.parametrize("count", [0xABCD, 0xFFFF, 0x000A, 0xA000])
def test_pit_029_a_count_that_is_not_decimal_does_no_harm(pit: Pit, mode: int, count: int) -> None:
    pit.program(2, mode, count, bcd=True)
    for step in (1, 3, 1000, 40000, 10**7):
        pit.clocks(step)
        assert all(nibble in "0123456789" for nibble in f"{pit.latched(2):04x}")


def test_pit_030_mode_0_ends_n_plus_1_clocks_after_the_write(pit: Pit) -> None:
    written = pit.tick
    pit.program(2, 0, 10)
    pit.to(written + 10)
    assert not pit.out2()
    pit.to(written + 11)
    assert pit.out2()


@pytest.mark.parametrize(("mode", "step"), [(0, 1), (2, 1), (3, 2), (4, 1)])
def test_pit_031_the_count_falls_by_one_a_clock_and_by_two_in_mode_3(pit: Pit, mode: int, step: int) -> None:
    loaded = pit.program(2, mode, 60000)
    pit.to(loaded)
    for clocks in range(0, 11932, 1193):
        pit.to(loaded + clocks)
        assert pit.latched(2) == 60000 - step * clocks


@pytest.mark.parametrize(("bcd", "modulus"), [(False, 65536), (True, 10000)])
@pytest.mark.parametrize("mode", [0, 1, 4, 5])
def test_pit_032_070_after_terminal_count_the_counter_wraps(pit: Pit, mode: int, bcd: bool, modulus: int) -> None:
    loaded = pit.program(2, mode, 0x1000, bcd)
    if mode in (1, 5):
        pit.gate2(False)
        pit.gate2(True)
    after = 3 * modulus + 5000
    pit.to(loaded + after)
    expected = ((1000 if bcd else 0x1000) - after) % modulus
    assert pit.latched(2) == (int(f"{expected:04d}", 16) if bcd else expected)
    assert pit.out2()


@pytest.mark.parametrize("mode", [2, 3])
def test_pit_033_089_modes_2_and_3_repeat(pit: Pit, mode: int) -> None:
    pit.program(0, mode, 1193)
    pit.advance(NS + NS // 1000)
    assert pit.count_rises()[0] == 1001


@pytest.mark.parametrize("mode", [2, 3])
@pytest.mark.parametrize("count", [1193, 4773, 11932, 65536, 1009, 32749])
def test_pit_034_079_rate(pit: Pit, count: int, mode: int) -> None:
    pit.program(0, mode, count)
    pit.advance(100 * NS)
    rises, first, last = pit.count_rises()
    assert rises == 100 * NS * 21 // 17600 // count
    assert (rises - 1) * NS / (last - first) == pytest.approx(INPUT_CLOCK / count, rel=1e-8)


def test_pit_035_ten_minutes_without_drift(pit: Pit) -> None:
    loaded = pit.program(0, 2, 1193)
    pit.advance(600 * NS)
    count, _, last = pit.count_rises()
    assert count == 600091
    assert last == -(-(loaded + 1193 * count) * 17600 // 21), "the last edge is on the grid to the nanosecond"


@pytest.mark.parametrize("hours", [4.29, 5, 24 * 365 * 100])
def test_pit_036_no_overflow(pit: Pit, hours: float) -> None:
    loaded = pit.program(2, 2, 50000)
    pit.advance(int(hours * 3600) * NS)
    assert pit.latched(2) == 50000 - (pit.tick - loaded) % 50000


@pytest.mark.parametrize("mode", range(6))
def test_pit_037_the_count_never_goes_up_within_a_period(pit: Pit, mode: int) -> None:
    loaded = pit.program(2, mode, 40000)
    pit.gate2(False)
    pit.gate2(True)
    pit.to(loaded)
    last = 40000
    for _ in range(1000):
        pit.advance(7000)
        value = pit.latched(2)
        assert value <= last or (mode == 3 and last < 20), (last, value)
        last = value
