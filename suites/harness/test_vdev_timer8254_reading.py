"""vdev timer8254 alone, line by line of the 8254's tables: latches, read-back and status."""

from __future__ import annotations

import pytest

from suites.harness.pit import (
    NULL_COUNT,
    OUT,
    READ_BACK,
    READ_BACK_COUNT,
    READ_BACK_STATUS,
    Pit,
    control_word,
    selects,
)

CHANNELS = (0, 1, 2)


def test_pit_041_a_latch_holds_both_bytes_of_one_instant(pit: Pit) -> None:
    loaded = pit.program(2, 2, 5000)
    pit.to(loaded + 300)
    pit.control(0x80)
    pit.clocks(1193)
    assert pit.read(0x42) == 4700 & 0xFF
    pit.clocks(1193)
    assert pit.read(0x42) == 4700 >> 8


def test_pit_042_a_second_latch_is_ignored(pit: Pit) -> None:
    loaded = pit.program(2, 2, 5000)
    pit.to(loaded + 300)
    pit.control(0x80)
    pit.clocks(1193)
    assert pit.latched(2) == 4700


def test_pit_043_latching_disturbs_nothing(pit: Pit) -> None:
    loaded = pit.program(0, 2, 1193)
    for _ in range(2000):
        pit.control(0x00)
        pit.advance(5000)
    assert pit.count_rises()[0] == (pit.tick - loaded) // 1193


def test_pit_044_after_the_latch_reads_follow_the_counter(pit: Pit) -> None:
    loaded = pit.program(2, 2, 5000)
    pit.to(loaded + 300)
    pit.control(0x80)
    pit.clocks(100)
    assert [pit.pair(2), pit.pair(2)] == [4700, 4600]


def test_pit_045_latches_of_the_channels_are_independent(pit: Pit) -> None:
    loaded = [pit.program(channel, 2, 5000 + channel) for channel in CHANNELS]
    for channel in CHANNELS:
        pit.to(loaded[0] + 100 * (channel + 1))
        pit.control(channel << 6)
    pit.clocks(1000)
    assert [pit.pair(channel) for channel in (2, 0, 1)] == [4702, 4900, 4801]


def test_pit_046_a_latch_between_two_bytes_leaves_the_flip_flop(pit: Pit) -> None:
    loaded = pit.program(2, 2, 0x1234)
    pit.to(loaded)
    assert pit.read(0x42) == 0x34
    pit.control(0x80)
    pit.clocks(0x234)
    assert pit.read(0x42) == 0x12, "the MSB of the latched count, and the end of the latch"
    assert pit.pair(2) == 0x1000


@pytest.mark.parametrize("bits", range(16))
def test_pit_047_low_bits_of_the_latch_command_mean_nothing(pit: Pit, bits: int) -> None:
    loaded = pit.program(2, 2, 5000)
    pit.to(loaded + 10)
    before = pit.status(2)
    pit.control(0x80 | bits)
    assert pit.pair(2) == 4990
    assert pit.status(2) == before


def test_pit_050_053_read_back_latches_counts(pit: Pit) -> None:
    loaded = [pit.program(channel, 2, 5000 + channel) for channel in CHANNELS]
    pit.to(loaded[0] + 100)
    pit.control(READ_BACK_COUNT | selects(0, 1, 2))
    pit.clocks(1000)
    assert [pit.pair(channel) for channel in CHANNELS] == [4900, 4901, 4902]


@pytest.mark.parametrize("selected", range(8))
def test_pit_051_read_back_latches_status_of_the_selected(pit: Pit, selected: int) -> None:
    for channel in CHANNELS:
        pit.program(channel, 2, 0x5555)
    pit.clocks(1)
    pit.control(READ_BACK_STATUS | selected << 1)
    expected = [OUT | 0x34 if selected >> channel & 1 else 0x55 for channel in CHANNELS]
    assert [pit.read(0x40 + channel) for channel in CHANNELS] == expected


def test_pit_052_053_status_is_read_before_the_count(pit: Pit) -> None:
    loaded = pit.program(0, 2, 0x1234)
    pit.program(2, 3, 0x4000)
    pit.to(loaded)
    pit.control(READ_BACK | selects(0, 2))
    pit.clocks(50)
    assert [pit.read(0x40) for _ in range(3)] == [OUT | 0x34, 0x34, 0x12]
    assert [pit.read(0x42) for _ in range(3)] == [OUT | 0x36, 0x00, 0x40]


def test_pit_054_repeated_read_back_is_ignored(pit: Pit) -> None:
    loaded = pit.program(2, 3, 1000)
    pit.to(loaded + 100)
    pit.control(READ_BACK | selects(2))
    pit.clocks(500)
    pit.control(READ_BACK | selects(2))
    assert pit.read(0x42) == OUT | 0x36
    assert pit.pair(2) == 800


def test_pit_055_read_back_of_nothing(pit: Pit) -> None:
    loaded = pit.program(2, 2, 5000)
    pit.to(loaded + 10)
    pit.control(0xFE)
    pit.clocks(10)
    assert pit.pair(2) == 4980


def test_pit_056_the_reserved_bit_of_read_back_means_nothing(pit: Pit) -> None:
    loaded = pit.program(0, 2, 5000)
    pit.to(loaded + 10)
    pit.control(READ_BACK_STATUS | selects(0) | 1)
    assert pit.read(0x40) == OUT | 0x34
    assert pit.latched(0) == 4990


def test_pit_057_102_status_shows_out(pit: Pit) -> None:
    loaded = pit.program(2, 3, 100)
    pit.to(loaded)
    for clock in range(300):
        assert pit.out(2) == pit.out2() == (clock % 100 < 50)
        pit.clocks(1)


@pytest.mark.parametrize("mode", [0, 2, 3, 4])
def test_pit_058_null_count_until_the_count_is_loaded(pit: Pit, mode: int) -> None:
    pit.control(control_word(2, mode))
    assert pit.status(2) & NULL_COUNT
    pit.write(0x42, 0x10)
    pit.clocks(100)
    assert pit.status(2) & NULL_COUNT, "half a count"
    pit.write(0x42, 0x10)
    assert pit.status(2) & NULL_COUNT
    pit.clocks(1)
    assert not pit.status(2) & NULL_COUNT


@pytest.mark.parametrize("mode", [1, 5])
def test_pit_060_null_count_until_the_trigger(pit: Pit, mode: int) -> None:
    pit.gate2(False)
    pit.program(2, mode, 1000)
    pit.clocks(5000)
    assert pit.status(2) & NULL_COUNT
    pit.gate2(True)
    pit.clocks(1)
    assert not pit.status(2) & NULL_COUNT


@pytest.mark.parametrize(("mode", "taken_after"), [(2, 60000), (3, 30000)])
def test_pit_060_null_count_until_the_reload(pit: Pit, mode: int, taken_after: int) -> None:
    loaded = pit.program(2, mode, 60000)
    pit.to(loaded + 1000)
    pit.count(2, 1193)
    pit.to(loaded + taken_after - 1)
    assert pit.status(2) & NULL_COUNT
    pit.clocks(1)
    assert not pit.status(2) & NULL_COUNT
