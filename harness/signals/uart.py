"""Asynchronous serial frames from the edges of a line, and the bit rate they were sent at.

A frame begins with a falling edge on an idle line and is read as a receiver reads it: in the middle of each bit, by the rate it was told.
So what it yields says nothing about the sender's rate; `bit_time` does, from the same edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import Inconclusive
from harness.measure import Quantity
from harness.signals.edges import Edges

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PARITIES = "NEOMS"
"""None, even, odd, mark, space."""
FAR = 0.25
"""Bit times by which an edge is off its place when it belongs to another rate, or is none of a frame's."""


@dataclass(frozen=True)
class Format:
    """How a line was set up, in the receiver's eyes."""

    baud: float
    """Bits per second."""
    data_bits: int = 8
    parity: str = "N"
    stop_bits: float = 1.0

    def __post_init__(self) -> None:
        if self.baud <= 0 or not 5 <= self.data_bits <= 9 or self.parity not in PARITIES or self.stop_bits not in (1.0, 1.5, 2.0):
            raise ValueError(f"{self} is no format of a serial line")

    @property
    def bit(self) -> float:
        """Nanoseconds."""
        return 1e9 / self.baud

    @property
    def bits(self) -> int:
        """Bits of a frame up to its first stop bit, that one included."""
        return 1 + self.data_bits + (self.parity != "N") + 1

    @property
    def character(self) -> float:
        """Nanoseconds from one start bit to the next one at the earliest."""
        return (self.bits - 1 + self.stop_bits) * self.bit


@dataclass(frozen=True)
class Frames:
    """What was received, one entry for each frame; all of shape (n,)."""

    start: NDArray[np.int64]
    """When the start bit began, nanoseconds."""
    value: NDArray[np.uint16]
    parity_error: NDArray[np.bool_]
    framing_error: NDArray[np.bool_]
    """A 0 where the first stop bit should be; a break is none."""
    line_break: NDArray[np.bool_]
    """Nothing but 0, stop bit included."""
    low: NDArray[np.int64]
    """Nanoseconds from the start bit to the first rising edge: of a break, its length. A line that is still 0 at the end: up to there."""

    def __len__(self) -> int:
        return len(self.start)

    @property
    def clean(self) -> bool:
        """Whether no frame has an error or is a break."""
        return not (self.parity_error.any() or self.framing_error.any() or self.line_break.any())

    def data(self) -> bytes:
        """The low eight bits of every frame that is no break, wrong ones included."""
        import numpy as np

        return self.value[~self.line_break].astype(np.uint8).tobytes()


def decode(edges: Edges, form: Format, *, from_idle: bool = False) -> Frames:
    """The frames that begin within the window.

    `from_idle`: nothing counts before the line was 1 for a whole character, for a window that may begin in the middle of one.
    """
    import numpy as np

    at = _starts(edges, form, from_idle)
    starts = edges.times[at]
    # Each edge turns over all bits that are sampled after it; a frame begins with the edge that makes its start bit 0.
    everything = (1 << form.bits) - 1
    turned = np.array([everything << place & everything for place in range(form.bits + 1)], np.uint16)
    place = np.ceil(np.minimum(_distances(edges, at, form), form.bits) - 0.5).astype(np.int8)
    turns = np.bitwise_xor.reduceat(turned[place], at - at[0]) if len(at) else np.zeros(0)
    word = (everything ^ turns.astype(np.uint16)).astype(np.uint16)
    value = (word >> 1 & (1 << form.data_bits) - 1).astype(np.uint16)
    stopped = (word >> (form.bits - 1)) & 1 == 1
    line_break = word == 0
    wrong_parity = _parity_errors(word, value, form) & ~line_break
    return Frames(starts, value, wrong_parity, ~stopped & ~line_break, line_break, _pulses(edges, at))


def bit_time(edges: Edges, frames: Frames, form: Format, *, time_base_ppm: float) -> Quantity:
    """The sender's own bit time in nanoseconds: least squares over all edges within frames, each against the edge that began it.

    Its uncertainty: scatter of the edges about the line, k = 2, and that of the instrument's time base. Raises `Inconclusive` when an edge
    is not where a bit of about this rate has one, or when there are none to measure.
    """
    import numpy as np

    good = ~(frames.framing_error | frames.line_break)
    at = np.searchsorted(edges.times, frames.start)
    distance = _distances(edges, at, form)
    within = np.repeat(good, np.diff(np.append(at, len(edges)))) & (distance > 0.5) & (distance < form.bits - 0.5)
    place = np.round(distance[within])
    if not len(place):
        raise Inconclusive(
            "no frame has an edge between its start and its stop bit, so there is no bit time", "send bytes with edges in them"
        )
    slope = float((place * distance[within]).sum() / (place * place).sum())
    residual = distance[within] - slope * place
    if float(np.abs(residual).max()) > FAR:
        raise Inconclusive(
            f"an edge is {float(np.abs(residual).max()):.2f} bit times off its place at {form.baud:g} bit/s",
            "see whether the line runs at that rate, and whether the probe picks up noise",
        )
    scatter = float(np.sqrt((residual * residual).sum() / max(1, len(place) - 1) / (place * place).sum()))
    return Quantity(slope * form.bit, form.bit * (2 * scatter + slope * time_base_ppm * 1e-6))


def estimate_bit(edges: Edges) -> float:
    """About the bit time of a line in nanoseconds, from its shortest pulses: what a decoder could be told. Raises `Inconclusive`."""
    import numpy as np

    pulses = np.sort(np.diff(edges.times))
    if len(pulses) < 8:
        raise Inconclusive(f"{len(edges)} edges are too few to guess a bit rate from", "capture for longer, or send something")
    shortest = pulses[len(pulses) // 100]
    return float(np.median(pulses[pulses < 1.5 * shortest]))


def _starts(edges: Edges, form: Format, from_idle: bool) -> NDArray[np.int64]:
    """The places of the edges that begin a frame: the first falling one after the middle of the stop bit of the frame before.

    What is shorter than half a bit is no start bit.
    """
    import numpy as np

    falls = edges.falling
    low = _pulses(edges, np.arange(1 - edges.initial, len(edges), 2)) >= form.bit / 2
    next_frame = np.searchsorted(falls, falls + np.int64(round((form.bits - 0.5) * form.bit)))
    following = np.where(low, next_frame, np.arange(1, len(falls) + 1)).tolist()
    at = _first_after_idle(edges, form) if from_idle else 0
    chain = []
    while at < len(falls):
        chain.append(at)
        at = following[at]
    kept = np.array(chain, np.int64)
    return 2 * kept[low[kept]] + 1 - edges.initial


def _first_after_idle(edges: Edges, form: Format) -> int:
    """The number of the first falling edge after a character's time of 1."""
    import numpy as np

    places = np.arange(1 - edges.initial, len(edges), 2)
    high = edges.times[places] - np.append(edges.begin, edges.times)[places]
    idle = np.flatnonzero(high >= form.character)
    return int(idle[0]) if len(idle) else len(high)


def _pulses(edges: Edges, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """How long the level lasts that some edges bring."""
    import numpy as np

    return np.append(edges.times[1:], edges.end)[at] - edges.times[at]


def _distances(edges: Edges, at: NDArray[np.int64], form: Format) -> NDArray[np.float64]:
    """How many bit times each edge from the first start on is after the start of its frame."""
    import numpy as np

    if not len(at):
        return np.zeros(0)
    return (edges.times[at[0] :] - np.repeat(edges.times[at], np.diff(np.append(at, len(edges))))) / form.bit


def _parity_errors(word: NDArray[np.uint16], value: NDArray[np.uint16], form: Format) -> NDArray[np.bool_]:
    import numpy as np

    if form.parity == "N":
        return np.zeros(len(word), np.bool_)
    bit = (word >> (1 + form.data_bits)) & 1
    folded = value.copy()
    for shift in (8, 4, 2, 1):
        folded ^= folded >> shift
    expected = {"E": folded & 1, "O": (folded & 1) ^ 1, "M": np.ones_like(bit), "S": np.zeros_like(bit)}[form.parity]
    return np.asarray(bit != expected)
