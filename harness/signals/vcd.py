"""Edges as a VCD file (IEEE 1364-2005, 18.2): text, which every waveform viewer reads, sigrok among them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter

from harness.signals.edges import Edges

TIME_SCALES = {1: "1 ns", 10: "10 ns", 100: "100 ns", 1000: "1 us"}
_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_FIRST_CODE = 33
_SCALE = re.compile(r"\$timescale\s+(\d+)\s*(s|ms|us|ns)\s+\$end")
_VARIABLE = re.compile(r"\$var\s+\w+\s+1\s+(\S+)\s+(\S+)(?:\s+\[\d+\])?\s+\$end")


def write(lines: Mapping[str, Edges], scale: int = 1) -> str:
    """Lines by name, in steps of `scale` nanoseconds since the earliest of their beginnings. Raises `ValueError` without a line."""
    if not lines:
        raise ValueError("a VCD file has at least one line")
    begin = min(edges.begin for edges in lines.values())
    codes = {name: chr(_FIRST_CODE + number) for number, name in enumerate(lines)}
    text = [f"$timescale {TIME_SCALES[scale]} $end", "$scope module board $end"]
    text += [f"$var wire 1 {code} {name} $end" for name, code in codes.items()]
    text += ["$upscope $end", "$enddefinitions $end", "#0", "$dumpvars"]
    text += [f"{edges.initial}{codes[name]}" for name, edges in lines.items()]
    text.append("$end")
    changes = sorted(change for name, edges in lines.items() for change in _changes(edges, codes[name], begin, scale))
    for moment, group in groupby(changes, key=itemgetter(0)):
        text += [f"#{moment}", *(value for _, value in group)]
    text.append(f"#{-(-(max(edges.end for edges in lines.values()) - begin) // scale)}")
    return "\n".join(text) + "\n"


def read(text: str) -> dict[str, Edges]:
    """Lines by name, times in nanoseconds since the file's 0. An unknown level counts as 0. Raises `ValueError` for what is no VCD file."""
    import numpy as np

    found = _SCALE.search(text)
    head, separator, body = text.partition("$enddefinitions $end")
    if not found or not separator:
        raise ValueError("this is no VCD file: it has no $timescale or no $enddefinitions")
    unit = int(found[1]) * _UNITS[found[2]]
    names = dict(_VARIABLE.findall(head))
    levels: dict[str, list[tuple[int, int]]] = {code: [] for code in names}
    moment = 0
    for word in body.split():
        if word.startswith("#"):
            moment = int(word[1:]) * unit
        elif word[0] in "01xzXZ" and word[1:] in levels:
            _change(levels[word[1:]], moment, int(word[0] == "1"))
    return {
        names[code]: Edges(np.array([at for at, _ in changes[1:]], np.int64), changes[0][1] if changes else 0, 0, moment)
        for code, changes in levels.items()
    }


def _changes(edges: Edges, code: str, begin: int, scale: int) -> Iterator[tuple[int, str]]:
    """Transitions in steps of the scale; two that fall into one step are none."""
    level, pending = edges.initial, list(((edges.times - begin) // scale).tolist())
    for moment, group in groupby(pending):
        if len(list(group)) % 2:
            level = 1 - level
            yield moment, f"{level}{code}"


def _change(changes: list[tuple[int, int]], moment: int, level: int) -> None:
    if not changes or changes[-1][1] != level:
        changes.append((moment, level))
