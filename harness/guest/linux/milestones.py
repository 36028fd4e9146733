"""The text a Linux guest prints while it boots, as a table; its test is a recorded log.

Invariant: the milestones come in the order of the table, so the first one that is missing says how far the guest got.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Milestone:
    """One step of the boot: what it is called in an error, and the text that proves it."""

    name: str
    pattern: re.Pattern[bytes]


@dataclass(frozen=True)
class Sighting:
    """A milestone and the offset at which its text ends."""

    milestone: Milestone
    end: int


READY = Milestone("the shell's banner", re.compile(rb"^guest ready\r*$", re.MULTILINE))
"""Printed by our own init just before the shell."""

MILESTONES = (
    Milestone("the kernel's first line", re.compile(rb"\] Linux version \S+")),
    Milestone("the console on the UART", re.compile(rb"printk: (?:legacy )?console \[tty\w+\] enabled")),
    Milestone("the timer behind the I/O APIC", re.compile(rb"\.\.TIMER: vector=0x[0-9A-Fa-f]+ apic1=\S+ pin1=\S+")),
    Milestone("the first ticks", re.compile(rb"Calibrating delay loop[^\n]*BogoMIPS")),
    Milestone("the UART's driver", re.compile(rb"tty\w+ at \S+ 0x[0-9a-f]+ \(irq = \d+, base_baud = \d+\) is a \S+")),
    Milestone("the first process", re.compile(rb"Run /init as init process")),
    READY,
)

FATAL = {
    "the guest's kernel panicked": re.compile(rb"Kernel panic - not syncing: ([^\r\n]*)[\r\n]"),
    "the guest's kernel has no timer": re.compile(rb"(IO-APIC \+ timer doesn't work[^\r\n]*)[\r\n]"),
    "the guest's init cannot run": re.compile(rb"(Failed to execute /init[^\r\n]*)[\r\n]"),
}
"""After these no boot goes on: what to say, and the text, whole with the end of its line."""


def sightings(log: bytes) -> list[Sighting]:
    """The milestones in some boot text, in order. One that a quiet command line leaves out does not hide the later ones."""
    seen: list[Sighting] = []
    position = 0
    for milestone in MILESTONES:
        match = milestone.pattern.search(log, position)
        if match:
            position = match.end()
            seen.append(Sighting(milestone, position))
    return seen


def progress(log: bytes) -> str:
    """How far a boot got, in words."""
    seen = sightings(log)
    last = MILESTONES.index(seen[-1].milestone) if seen else -1
    nothing = f"{len(log)} bytes came, none of them a known step of a boot" if log else "it printed nothing of a boot"
    reached = f"it got to {MILESTONES[last].name}" if seen else nothing
    return reached if last + 1 == len(MILESTONES) else f"{reached}, next would be {MILESTONES[last + 1].name}"


def fatal(log: bytes) -> str:
    """What ended a boot for good, with the kernel's own words; empty when nothing did."""
    for sentence, pattern in FATAL.items():
        match = pattern.search(log)
        if match:
            return f"{sentence}: {match[1].decode('utf-8', 'replace')}"
    return ""
