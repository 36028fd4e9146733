"""Characters as the edges of a line, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.signals.edges import Edges
from harness.signals.uart import Format

LEAD = 10_000_000
"""Nanoseconds of idle line before the first character, and after the last."""


def parity_bit(value: int, parity: str) -> int:
    """What a right sender adds; for N nothing is."""
    return {"E": value.bit_count() % 2, "O": 1 - value.bit_count() % 2, "M": 1, "S": 0}[parity]


def levels(values: Sequence[int], form: Format, gap: int = 0) -> list[int]:
    """Half bits of characters, each followed by so many half bits of idle line."""
    line: list[int] = []
    for value in values:
        bits = [0, *((value >> place) & 1 for place in range(form.data_bits))]
        bits += [] if form.parity == "N" else [parity_bit(value, form.parity)]
        line += [bit for bit in bits for _ in range(2)] + [1] * (round(2 * form.stop_bits) + gap)
    return line


def edges_of(line: Sequence[int], half_bit: float, jitter: Sequence[float] = ()) -> Edges:
    """The edges of half bits on an idle line; `jitter` in nanoseconds, over and over."""
    flat = np.concatenate(([1], np.asarray(line, np.int8), [1]))
    at = np.flatnonzero(np.diff(flat))
    times = at * half_bit + (np.resize(np.asarray(jitter), len(at)) if len(jitter) else 0)
    return Edges(LEAD + np.round(times).astype(np.int64), 1, 0, LEAD * 2 + round(len(line) * half_bit))


def sent(values: Sequence[int], form: Format, *, gap: int = 0, jitter: Sequence[float] = ()) -> Edges:
    """The edges of characters."""
    return edges_of(levels(values, form, gap), form.bit / 2, jitter)
