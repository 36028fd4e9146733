"""Hours of a board's time in minutes, on the board that leaves out what nobody does anything in: what goes wrong only late.

A guest of a few instructions programs counter 2 once, then latches and reads it once a second; `vdev_seconds.c` makes the seconds and
brackets each reading by the host's clock. `HARNESS_HOURS` says how many; by default it is a fraction of one, for the machinery's sake.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from suites.asked import asked
from suites.harness.bare_board import HERE, BareBoard, bare_board, compile_vdev
from suites.harness.bare_guest import BareGuest
from suites.harness.pit import tick_of

HOURS = asked("HARNESS_HOURS", 0.1)
OVERFLOW = 2**64 / 1193182e9 / 3600
"""Hours of the host's clock after which nanoseconds times the input clock's frequency need more than 64 bits: 4.29."""
NS = 1_000_000_000
MODULUS = 65536
"""The count of mode 2: a period is 54.9 ms."""
COUNTER_2 = (0x61, 0x01), (0x43, 0xB4), (0x42, 0x00), (0x42, 0x00)
"""Gate 2 on; counter 2, both bytes, mode 2; 65536."""
LATENCY = 2e-3
"""Seconds of the host's time that a reading may take in the median; a random jump is seen unless it falls into that."""
WALL_PER_HOUR = 240.0
"""Seconds of the lab controller's time for one of the board's; 12 were measured beside four busy neighbours."""


class Reading(NamedTuple):
    """The counter, and the host's clock in ns before and after it was latched."""

    before: int
    after: int
    value: int


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareBoard]:
    directory = tmp_path_factory.mktemp("board")
    vdevs = [compile_vdev(directory, "seconds", HERE / "vdev_seconds.c")]
    with bare_board(directory, vdevs, of="virtual-x86_64-soak", reference=("timer8254",)) as board:
        yield board


def readings(board: BareBoard, *options: str) -> list[Reading]:
    """What a guest reads once a second."""
    number = round(HOURS * 3600)
    guest = BareGuest()
    for port, value in COUNTER_2:
        guest.out(port, value)
    guest.read_counter_2_for_ever(wait=0x308, report=0x30C)
    lines = (f"vdev seconds number {number}", " ".join(["vdev timer8254 intr pic:0", *options]))
    ended = board.run(guest, *lines, seconds=60 + HOURS * WALL_PER_HOUR)
    assert ended.status == 32, ended.stderr
    text = board.shell('cat "$1/readings"', board.place)
    found = [Reading(*map(int, line.split())) for line in text.splitlines()]
    assert len(found) == number
    return found


def discontinuities(found: list[Reading]) -> list[float]:
    """Hours of the host's clock at which the counter was off what the readings before allow of an input clock that never stops."""
    earliest, latest = bounds(found[0])
    jumps = []
    for reading in found[1:]:
        low, high = bounds(reading)
        base = (found[0].value - reading.value - (low - latest) + 1) % MODULUS
        if base > (high - earliest) - (low - latest) + 2:
            jumps.append(reading.after / NS / 3600)
    return jumps


def bounds(reading: Reading) -> tuple[int, int]:
    """The input clocks at which it may have been latched."""
    return tick_of(reading.before), tick_of(reading.after) + 1


def test_pit_036_counter_2_counts_on_for_hours(board: BareBoard) -> None:
    """Never programmed again, read each second: no reading is off, and the readings are quick enough to show it."""
    found = readings(board)
    assert (found[-1].after - found[0].before) / NS >= (HOURS * 3600 - 1)
    took = sorted(reading.after - reading.before for reading in found)
    assert took[len(took) // 2] <= LATENCY * NS
    assert discontinuities(found) == []


@pytest.mark.skipif(HOURS < OVERFLOW + 0.1, reason="the product overflows after 4.29 hours: HARNESS_HOURS=5 (`make soak`)")
def test_a_product_that_overflows_is_noticed(board: BareBoard) -> None:
    """From the overflow on nearly every reading is off, and none before it."""
    found = readings(board, "defect pit.overflow64")
    jumps = discontinuities(found)
    due = (found[0].after / NS / 3600 // OVERFLOW + 1) * OVERFLOW
    assert jumps
    assert jumps[0] == pytest.approx(due, abs=0.01)


def test_a_jump_of_a_counter_is_found_whatever_the_hour() -> None:
    """Readings made up: a counter that goes on, and one that loses 7 ms once."""
    good = [Reading(at, at + 200_000, -tick_of(at + 100_000) % MODULUS) for at in range(5 * NS, 100 * NS, NS)]
    assert discontinuities(good) == []
    lost = [reading if number < 40 else reading._replace(value=(reading.value + 8353) % MODULUS) for number, reading in enumerate(good)]
    assert discontinuities(lost)[0] == pytest.approx(45 / 3600, abs=1e-6)
