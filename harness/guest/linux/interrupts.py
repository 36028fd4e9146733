"""`/proc/interrupts` of a Linux guest as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interrupt:
    """One line: how often it was taken on each vCPU, and what the kernel says of it."""

    label: str
    counts: tuple[int, ...]
    kind: str
    """Controller, pin and trigger of a device's line (`IO-APIC 0-edge`); what the others are (`Local timer interrupts`)."""
    device: str
    """Who asked for it (`timer`, `ttyS0`); empty for those without a device."""

    @property
    def total(self) -> int:
        """How often it was taken, on all vCPUs together."""
        return sum(self.counts)


def parse_interrupts(text: str) -> dict[str, Interrupt]:
    """By label: `0`, `4`, `LOC`. A line with one sum instead of a count per vCPU (`ERR`) has one count."""
    lines = text.splitlines()
    cpus = len(lines[0].split()) if lines else 0
    found: dict[str, Interrupt] = {}
    for line in lines[1:]:
        label, _, rest = (part.strip() for part in line.partition(":"))
        words = rest.split()
        counts = tuple(int(word) for word in words[:cpus] if word.isdigit())
        if counts:
            says = words[len(counts) :]
            kind, device = (says[:2], says[2:]) if label.isdigit() else (says, [])
            found[label] = Interrupt(label, counts, " ".join(kind), " ".join(device))
    return found
