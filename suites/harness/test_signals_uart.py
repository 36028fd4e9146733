"""The UART decoder on edges: every format, jitter, noise, windows that begin anywhere; sigrok's decoder as a second opinion."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import Inconclusive
from harness.signals import vcd
from harness.signals.edges import Edges, from_levels
from harness.signals.uart import PARITIES, Format, bit_time, decode, estimate_bit
from suites.harness.serial_line import edges_of, levels, sent

BAUD = 115200
PLAIN = Format(BAUD)
EVERY_BYTE = bytes(range(256))
MESSAGE = b"the quick brown fox \x00\xff\x55\xaa"

formats = st.builds(
    Format,
    st.sampled_from([110.0, 9600.0, 115200.0, 921600.0]),
    st.integers(5, 9),
    st.sampled_from(PARITIES),
    st.sampled_from([1.0, 1.5, 2.0]),
)


@given(formats, st.lists(st.integers(0, 511), max_size=40), st.integers(0, 5), st.lists(st.floats(-0.2, 0.2), max_size=7))
def test_what_was_sent_is_decoded(form: Format, values: list[int], gap: int, jitter: list[float]) -> None:
    """Any format, with pauses or none, and edges up to a fifth of a bit off their place."""
    values = [value & (1 << form.data_bits) - 1 for value in values]
    frames = decode(sent(values, form, gap=gap, jitter=[share * form.bit for share in jitter]), form)
    assert frames.value.tolist() == values
    assert frames.clean


@given(st.lists(st.integers(1, 10**7), max_size=200), st.integers(0, 1), formats, st.booleans())
def test_noise_is_read_as_something(distances: list[int], initial: int, form: Format, from_idle: bool) -> None:
    """Whatever the edges are, there are frames, at most as many as falling edges, one after the other."""
    times = np.cumsum(np.array(distances, np.int64)) if distances else np.zeros(0, np.int64)
    edges = Edges(times, initial, 0, int(times[-1]) + 1 if distances else 1)
    frames = decode(edges, form, from_idle=from_idle)
    assert len(frames) <= len(edges.falling)
    assert (np.diff(frames.start) >= (form.bits - 1) * form.bit).all()


@pytest.mark.parametrize(("sent_as", "read_as", "wrong"), [("E", "O", 4), ("O", "E", 4), ("M", "S", 4), ("E", "M", 2)])
def test_wrong_parity_is_told(sent_as: str, read_as: str, wrong: int) -> None:
    frames = decode(sent(b"\x01\x03\x07\x0f", Format(BAUD, parity=sent_as)), Format(BAUD, parity=read_as))
    assert frames.value.tolist() == [1, 3, 7, 15]
    assert frames.parity_error.sum() == wrong
    assert not frames.framing_error.any()


def test_a_missing_stop_bit_is_a_framing_error_and_the_next_frame_is_right() -> None:
    line = [*levels(b"a", PLAIN)[:-2], 0, 0, 1, 1, 1, 1, *levels(b"b", PLAIN)]
    frames = decode(edges_of(line, PLAIN.bit / 2), PLAIN)
    assert frames.data() == b"ab"
    assert frames.framing_error.tolist() == [True, False]


@pytest.mark.parametrize("bits", [11, 30, 1000])
def test_a_break_is_one_break_with_its_length(bits: int) -> None:
    line = levels(b"a", PLAIN) + [0] * 2 * bits + [1, 1] + levels(b"b", PLAIN)
    frames = decode(edges_of(line, PLAIN.bit / 2), PLAIN)
    assert frames.data() == b"ab"
    assert frames.line_break.tolist() == [False, True, False]
    assert frames.low[1] == pytest.approx(bits * PLAIN.bit, abs=1)


def test_a_short_pulse_is_no_start_bit() -> None:
    line = sent(b"ab", PLAIN)
    with_pulse = Edges(np.concatenate(([100, 100 + int(PLAIN.bit * 0.4)], line.times)), 1, 0, line.end)
    assert decode(with_pulse, PLAIN).data() == b"ab"


def test_a_window_that_begins_in_a_character_begins_to_count_at_the_first_pause() -> None:
    line = levels(b"first", PLAIN) + [1] * 40 + levels(b"second", PLAIN)
    whole = edges_of(line, PLAIN.bit / 2)
    for cut in range(int(whole.times[0]), int(whole.times[0] + 4.5 * PLAIN.character), 20_000):
        assert decode(whole.between(cut, whole.end), PLAIN, from_idle=True).data() == b"second"


def test_a_gap_free_stream_without_a_pause_has_no_beginning() -> None:
    whole = sent(MESSAGE, PLAIN)
    assert len(decode(whole.between(int(whole.times[3]), int(whole.times[-3])), PLAIN, from_idle=True)) == 0


def test_an_inverted_line() -> None:
    assert decode(sent(MESSAGE, PLAIN).inverted().inverted(), PLAIN).data() == MESSAGE
    assert decode(sent(MESSAGE, PLAIN).inverted(), PLAIN).data() != MESSAGE


@pytest.mark.parametrize("wrong_ppm", [0, 200, -10_000, 30_000])
def test_the_bit_time_is_the_senders(wrong_ppm: float) -> None:
    """A decoder told 115200 bit/s reads it all the same; the rate is measured from the same edges, in nanoseconds."""
    actual = Format(BAUD * (1 + wrong_ppm * 1e-6))
    edges = sent(EVERY_BYTE, actual)
    frames = decode(edges, PLAIN)
    assert frames.data() == EVERY_BYTE
    found = bit_time(edges, frames, PLAIN, time_base_ppm=1.0)
    assert abs(found.value - actual.bit) < found.uncertainty < PLAIN.bit * 20e-6


def test_a_decode_that_matches_says_nothing_of_the_rate() -> None:
    """4.5 % slow is read without an error and measured as 4.5 % slow; at 7 % the last bits are read in the wrong place."""
    slow = sent(EVERY_BYTE, Format(BAUD / 1.045))
    frames = decode(slow, PLAIN)
    assert frames.data() == EVERY_BYTE
    assert frames.clean
    assert bit_time(slow, frames, PLAIN, time_base_ppm=1.0).value == pytest.approx(1.045 * PLAIN.bit, rel=1e-5)
    assert estimate_bit(slow) == pytest.approx(1.045 * PLAIN.bit, rel=1e-3)
    too_slow = sent(EVERY_BYTE, Format(BAUD / 1.07), gap=4)
    assert not decode(too_slow, PLAIN).clean
    with pytest.raises(Inconclusive, match="off its place"):
        bit_time(too_slow, decode(too_slow, PLAIN), PLAIN, time_base_ppm=1.0)


def test_what_has_no_edges_has_no_rate() -> None:
    with pytest.raises(Inconclusive, match="too few"):
        estimate_bit(sent(b"\xff", PLAIN))
    quiet = Edges(np.zeros(0, np.int64), 1, 0, 1)
    with pytest.raises(Inconclusive, match="no frame has an edge"):
        bit_time(quiet, decode(quiet, PLAIN), PLAIN, time_base_ppm=1.0)


@pytest.mark.parametrize("form", [(0, 8, "N", 1.0), (BAUD, 4, "N", 1.0), (BAUD, 8, "X", 1.0), (BAUD, 8, "N", 3.0)])
def test_a_format_there_is_none_of(form: tuple[float, int, str, float]) -> None:
    with pytest.raises(ValueError, match="no format"):
        Format(*form)


def test_edges_are_in_order() -> None:
    with pytest.raises(ValueError, match="one after the other"):
        Edges(np.array([2, 1]), 1, 0, 3)
    assert from_levels(np.array([0, 5, 9, 12]), np.array([1, 1, 0, 1]), 0, 20).times.tolist() == [9, 12]


def test_vcd_there_and_back() -> None:
    lines = {"ser2.tx": sent(MESSAGE, PLAIN), "ser2.rts": Edges(np.array([5000]), 0, 0, 10_000)}
    again = vcd.read(vcd.write(lines))
    assert {name: edges.times.tolist() for name, edges in again.items()} == {name: edges.times.tolist() for name, edges in lines.items()}
    assert {name: edges.initial for name, edges in again.items()} == {name: edges.initial for name, edges in lines.items()}
    with pytest.raises(ValueError, match="no VCD file"):
        vcd.read("$end")


@pytest.mark.parametrize("form", [PLAIN, Format(9600, 7, "E"), Format(57600, 8, "O", 2.0), Format(19200, 5)])
def test_sigrok_reads_the_same(tmp_path: Path, form: Format) -> None:
    """Its decoder is another's work, and reads a VCD file of ours."""
    data = bytes(value & (1 << form.data_bits) - 1 for value in EVERY_BYTE)
    edges = sent(data, form, gap=1)
    (tmp_path / "line.vcd").write_text(vcd.write({"TX": edges}, 1000))
    parity = {"N": "none", "E": "even", "O": "odd"}[form.parity]
    decoder = f"uart:rx=TX:baudrate={form.baud:g}:data_bits={form.data_bits}:parity={parity}:stop_bits={form.stop_bits:g}"
    command = ["sigrok-cli", "-I", "vcd", "-i", str(tmp_path / "line.vcd"), "-P", decoder]
    assert subprocess.run([*command, "-B", "uart=rx"], check=True, capture_output=True).stdout == data == decode(edges, form).data()
    warnings = subprocess.run([*command, "-A", "uart=rx-warnings:rx-parity-err:rx-break"], check=True, capture_output=True)
    assert warnings.stdout == b""
