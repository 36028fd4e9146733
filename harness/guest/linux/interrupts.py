"""`/proc/interrupts` of a Linux guest as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interrupt:
    """One line: how often it was taken on each vCPU, and what the kernel says of it (`IO-APIC   0-edge      timer`)."""

    label: str
    counts: tuple[int, ...]
    description: str

    @property
    def total(self) -> int:
        return sum(self.counts)


def parse_interrupts(text: str) -> dict[str, Interrupt]:
    """By label: `0`, `4`, `LOC`. A line with one sum instead of a count per vCPU (`ERR`) has one count."""
    lines = text.splitlines()
    cpus = len(lines[0].split()) if lines else 0
    found: dict[str, Interrupt] = {}
    for line in lines[1:]:
        label, colon, rest = line.partition(":")
        words = rest.split(maxsplit=cpus)
        counts = [int(word) for word in words[:cpus] if word.isdigit()]
        if colon and counts:
            description = rest.split(maxsplit=len(counts))[len(counts) :]
            found[label.strip()] = Interrupt(label.strip(), tuple(counts), " ".join(description).strip())
    return found
