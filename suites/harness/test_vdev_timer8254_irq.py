"""vdev timer8254 alone: interrupt 0, what a busy host does to it, random access, defects."""

from __future__ import annotations

from collections import Counter as Histogram
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.harness.model8254 import Counter
from suites.harness.pit import CONTROL, INPUT_CLOCK, PORT_B, Pit, control_word, moment_of, selects, tick_of
from suites.harness.rig import NS, Rig, RigEnded

MS = NS // 1000
MINIMUM_SPACING = moment_of(120)
"""Nanoseconds; the vdev's documented shortest distance of two interrupts."""


@pytest.fixture
def pit() -> Iterator[Pit]:
    with Pit() as pit:
        yield pit


def distances(rises: list[int]) -> list[int]:
    return [b - a for a, b in pairwise(rises)]


def test_pit_067_mode_0_interrupts_once_per_count(pit: Pit) -> None:
    pit.control(control_word(0, 0))
    for _ in range(1000):
        pit.count(0, 1000)
        pit.clocks(1001)
        assert len(pit.rises()) == 1
    pit.advance(NS)
    assert pit.rises() == []


def test_pit_111_no_interrupt_before_channel_0_is_programmed(pit: Pit) -> None:
    pit.write(0x40, 0x10, 0x10, 0x10)
    pit.advance(100 * NS)
    assert pit.edges() == []


def test_pit_113_short_periods_are_limited_and_reported() -> None:
    for count in (2, 3, 10, 50, 100, 119):
        with Pit() as pit:
            pit.program(0, 2, count)
            pit.advance(5 * NS)
            rises = pit.rises()
            assert min(distances(rises)) >= MINIMUM_SPACING - 1
            assert len(rises) > 5 * 4900, "limited, not silenced"
            assert int(pit.ask("callbacks")) <= len(rises) + 2
            assert "merged" in pit.ask("log")


def test_pit_113_a_guest_that_programs_in_a_loop_is_limited_too(pit: Pit) -> None:
    for _ in range(2000):
        pit.program(0, 0, 1)
        pit.advance(20_000)
    assert min(distances(pit.rises())) >= MINIMUM_SPACING - 1


def test_pit_114_after_a_stall_the_missed_interrupts_come_half_a_period_apart(pit: Pit) -> None:
    loaded = pit.program(0, 2, 1193)
    pit.advance(10 * MS)
    pit.stall(100 * MS)
    pit.advance(400 * MS)
    rises = pit.rises()
    assert len(rises) == (pit.tick - loaded) // 1193, "none lost, none extra"
    assert rises[-1] == moment_of(loaded + 1193 * len(rises)), "and back on the grid"
    gap, half, whole = [sum(low < d <= high for d in distances(rises)) for low, high in ((99 * MS, NS), (0, 505_000), (999_000, MS))]
    assert gap == 1
    assert half == pytest.approx(200, abs=5)
    assert whole == pytest.approx(len(rises) - 200, abs=5)


def test_pit_114_035_stalls_do_not_add_up(pit: Pit) -> None:
    loaded = pit.program(0, 2, 4773)
    for stall in range(1, 200):
        pit.stall(stall * 337_003)
        pit.advance(stall * 511_007)
    pit.advance(NS)
    assert pit.count_rises()[0] == (pit.tick - loaded) // 4773


def test_pit_114_a_host_that_is_always_late_catches_up_too(pit: Pit) -> None:
    """Callbacks 3 ms late each, a period of 4 ms: half a period after each delivery would come too late."""
    loaded = pit.program(0, 2, 4773)
    pit.stall(200 * MS)
    pit.ask("late 3000000")
    pit.advance(2 * NS)
    assert pit.count_rises()[0] == pytest.approx((pit.tick - loaded) / 4773, abs=1)


def test_pit_114_a_second_stall_during_the_catching_up_is_no_burst(pit: Pit) -> None:
    pit.program(0, 2, 4773)
    pit.stall(200 * MS)
    pit.advance(20 * MS)
    pit.stall(500 * MS)
    pit.advance(20 * MS)
    assert sum(distance < MS for distance in distances(pit.rises())) <= 2


def test_pit_114_a_backlog_is_cut_to_one_second_and_reported(pit: Pit) -> None:
    pit.program(0, 2, 11932)
    pit.stall(10 * NS)
    pit.advance(10 * NS)
    assert pit.count_rises()[0] == pytest.approx(100 + 1000, abs=2)
    assert "discarded" in pit.ask("log")


def test_pit_116_linux_shutdown_silences_the_channel(pit: Pit) -> None:
    pit.program(0, 2, 1193)
    pit.stall(100 * MS)
    pit.advance(MS)
    pit.control(0x30)
    pit.write(0x40, 0, 0)
    pit.control(0x30)
    pit.rises()
    pit.advance(2 * NS)
    assert pit.rises() == []


@pytest.mark.parametrize("late", [0, 20_000, 300_000])
def test_pit_117_the_count_in_the_handler_tells_the_latency(pit: Pit, late: int) -> None:
    loaded = pit.program(0, 2, 1193)
    for period in range(1, 100):
        pit.to(loaded + 1193 * period - 1)
        pit.stall(moment_of(pit.tick + 1) - pit.now + late)
        assert len(pit.rises()) == 1
        assert 1193 - pit.latched(0) == tick_of(moment_of(loaded + 1193 * period) + late) - loaded - 1193 * period


def test_pit_121_a_pause_keeps_everything(pit: Pit) -> None:
    pit.write(PORT_B, 3)
    loaded = pit.program(2, 3, 5000)
    pit.clocks(100)
    pit.control(0x80)
    pit.stall(5 * NS)
    assert pit.pair(2) == 5000 - 2 * (100 - 1)
    assert pit.read(PORT_B) & 3 == 3
    assert pit.out2() == ((pit.tick - loaded) % 5000 < 2500)


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_pit_122_two_processors_on_the_device(sanitizer: str) -> None:
    with Rig("timer8254", sanitizer=sanitizer) as rig:
        rig.ask("race 20000 1 0x40 4")
        rig.ask("race 5000 2 0x60 2")
        rig.ask("status")


def test_the_interrupt_line_follows_out(pit: Pit) -> None:
    """A falling edge is signalled at the latest before the next rise, or when the guest lowers OUT."""
    pit.program(0, 2, 1193)
    pit.advance(3_100_000)
    pit.control(control_word(0, 0))
    levels = [level for _, level in pit.edges()]
    assert levels == [True, False] * 3


def test_status_prints_every_counter(pit: Pit) -> None:
    pit.program(0, 2, 0x12A5)
    pit.clocks(1)
    status = pit.ask("status")
    assert "channel 0: control=0x34 mode=2 cr=0x12a5 ce=0x12a5 out=1 gate=1 null=0" in status
    assert "channel 2:" in status


def test_instances_are_independent() -> None:
    with Rig("timer8254", locations=["mem:0xfed00000", "mem:0xfed10000"]) as rig:
        for base, count in ((0xFED00000, 0x10), (0xFED10000, 0x20)):
            rig.write(f"mem:{base + 3}", 0x94)
            rig.write(f"mem:{base + 2}", count)
        rig.advance(1000)
        assert [rig.read("mem:0xfed00002"), rig.read("mem:0xfed10002")] == [0x10, 0x20]


Operation = tuple[str, int]
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("control"), st.integers(0x10, 0x3F)),
        st.tuples(st.just("write"), st.one_of(st.integers(0, 12), st.integers(0, 255))),
        st.tuples(st.just("gate"), st.integers(0, 1)),
        st.tuples(st.just("clock"), st.one_of(st.integers(0, 5), st.integers(0, 700))),
    ),
    max_size=40,
)


@settings(max_examples=150)
@given(operations=OPERATIONS)
def test_pit_123_random_sequences_agree_with_a_counter_that_steps(operations: list[Operation]) -> None:
    """Counting element, OUT and null count after each step are those of a model that goes clock by clock."""
    model = Counter(gate=False)
    with Pit() as pit:
        pit.clocks(1)
        for kind, value in operations:
            if kind == "control":
                pit.control(0x80 | value)
                model.program(value)
            elif kind == "write":
                pit.write(0x42, value)
                model.write(value)
            elif kind == "gate":
                pit.gate2(bool(value))
                model.set_gate(bool(value))
            else:
                pit.clocks(value)
                for _ in range(value):
                    model.clock()
            pit.control(0xC0 | selects(2))
            status, first, *rest = (int(answer, 0) for answer in pit.script(["in 0x42"] * (3 if model.control >> 4 == 3 else 2)))
            shown = {1: model.shown() & 0xFF, 2: model.shown() >> 8, 3: model.shown()}[model.control >> 4]
            assert (status, first | (rest[0] << 8 if rest else 0)) == (model.status(), shown), (kind, value)


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from(["control", "write", "read", "latch", "status"]), st.integers(0, 255), st.integers(0, 3000)
        ),
        max_size=60,
    )
)
def test_pit_007_channels_are_independent(accesses: list[tuple[int, str, int, int]]) -> None:
    """What a channel answers does not depend on what is done to the others."""

    def answers(channels: set[int]) -> dict[int, list[str]]:
        script = []
        for channel, kind, value, clocks in accesses:
            command = {
                "control": f"out 0x43 {channel << 6 | value % 48 + 0x10}",
                "write": f"out {0x40 + channel} {value}",
                "read": f"in {0x40 + channel}",
                "latch": f"out 0x43 {channel << 6}",
                "status": f"out 0x43 {0xE0 | selects(channel)}",
            }[kind]
            script += [command if channel in channels else "now", f"advance {clocks * 838}"]
        with Pit() as pit:
            replies = pit.script(script)[::2]
        return {c: [reply for reply, access in zip(replies, accesses, strict=True) if access[0] == c] for c in channels}

    together = answers({0, 1, 2})
    for channel in (0, 1, 2):
        assert answers({channel})[channel] == together[channel]


ACCESSES = st.tuples(
    st.booleans(), st.sampled_from([0x40, 0x41, 0x42, 0x43, PORT_B]), st.integers(0, 2**32 - 1), st.sampled_from([1, 1, 1, 2, 4])
)


@settings(max_examples=30)
@given(st.lists(ACCESSES, max_size=300))
def test_pit_123_the_device_works_after_random_access(accesses: list[tuple[bool, int, int, int]]) -> None:
    with Pit() as pit:
        for write, port, value, width in accesses:
            if write:
                pit.write(port, value, width=width)
            else:
                pit.read(port, width)
            pit.advance(value % 1_000_003)
        pit.program(0, 2, 4773)
        pit.advance(MS)
        pit.rises()
        pit.advance(10 * NS)
        assert pit.count_rises()[0] == pytest.approx(10 * INPUT_CLOCK / 4773, abs=1)


def test_pit_083_values_are_equally_frequent(pit: Pit) -> None:
    """As a guest sees it, that reads at times of its own: N..1, each as often as the others."""
    pit.gate2(True)
    pit.program(2, 2, 8)
    pit.clocks(1)
    seen: Histogram[int] = Histogram()
    for _ in range(4000):
        pit.advance(7919)
        seen[pit.latched(2)] += 1
    assert set(seen) == set(range(1, 9))
    assert all(abs(number - 500) < 50 for number in seen.values())


def test_defect_rate_1pct_makes_the_timer_one_percent_fast() -> None:
    rates = []
    for defects in ((), ("pit.rate_1pct",)):
        with Pit(*defects) as pit:
            pit.program(0, 2, 4773)
            pit.advance(100 * NS)
            count, first, last = pit.count_rises()
            rates.append((count - 1) / (last - first))
    assert rates[1] / rates[0] == pytest.approx(1.01, rel=1e-6)


@pytest.mark.parametrize(("defect", "wrong"), [("pit.inject_lost", -1), ("pit.inject_double", 1)])
def test_defect_of_one_interrupt_in_a_thousand(defect: str, wrong: int) -> None:
    counts = []
    for defects in ((), (defect,)):
        with Pit(*defects) as pit:
            pit.program(0, 2, 4773)
            pit.advance(20 * NS)
            counts.append(pit.count_rises()[0])
    assert counts[1] - counts[0] == wrong * (counts[0] // 1000)


def test_defect_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(RigEnded) as ended:
        Pit("pit.rate_1pc")
    assert ended.value.status == 65
    assert "pit.rate_1pct" in ended.value.text


def test_the_control_word_port_exists_once() -> None:
    """PIT-005: no aliases at 0x50..0x53."""
    with Pit() as pit:
        assert [pit.read(port + 0x10) for port in (0x40, 0x41, 0x42, CONTROL)] == [0xFF] * 4
