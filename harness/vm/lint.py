"""What is wrong with a VM configuration that can be said without a host.

Invariant: a finding is something qvm would refuse, or a VM whose devices stand in each other's way; a matter of taste is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from harness.errors import UseError
from harness.vm import grammar
from harness.vm.model import Configuration, Ram, Vdev

IMPLICIT_PICS = frozenset({"apic", "gic"})
SYSTEM = re.compile(r"[A-Za-z0-9_.-]+")
"""It becomes a directory, /dev/qvm/SYSTEM."""
MANDATORY = {"ioapic": ("loc", "intr", "name"), "timer8254": ("intr",), "ser8250": ("intr",), "8259": ("loc",), "pl011": ("loc", "intr")}
SPANS = {
    "ser8250": ("io:0x3f8", 8),
    "timer8254": ("io:0x40", 4),
    "8259": ("io:", 2),
    "ioapic": ("mem:", 0x1000),
    "pl011": ("mem:", 0x1000),
    "hpet": ("mem:", 0x400),
}
"""Per type: the place without `loc` (only the space when there is no default), and how many addresses it takes."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong, at an entry of the configuration (`group`, `index`)."""

    group: str
    index: int
    what: str


class ConfigurationFault(UseError):
    """A VM configuration that cannot work; nothing was given to qvm."""


class Region(msgspec.Struct, frozen=True):
    """Addresses `start` to `end` (not included) of a space, taken by an entry."""

    space: str
    start: int
    end: int
    group: str
    index: int
    owner: str


def lint(configuration: Configuration) -> list[Finding]:
    """Everything that is wrong, in the order of the configuration's groups."""
    return [
        *_system(configuration),
        *_loads(configuration),
        *_names(configuration),
        *_mandatory(configuration),
        *_interrupts(configuration),
        *_overlaps(configuration),
    ]


def check(configuration: Configuration, file: str = "", lines: Mapping[tuple[str, int], int] | None = None) -> None:
    """Raises `ConfigurationFault` with every finding, each with `FILE:LINE` where it is known."""
    findings = lint(configuration)
    if findings:
        texts = []
        for finding in findings:
            line = (lines or {}).get((finding.group, finding.index))
            texts.append(f"{file}:{line}: {finding.what}" if line else finding.what)
        name = file or f"of {configuration.system or 'a VM without a name'}"
        raise ConfigurationFault(f"the VM configuration {name} cannot work: {'; '.join(texts)}", "correct it; nothing was started")


def _system(configuration: Configuration) -> Iterator[Finding]:
    if not SYSTEM.fullmatch(configuration.system):
        yield Finding("system", 0, f"the system name '{configuration.system}' cannot be a directory below /dev/qvm")
    if not any(isinstance(entry, Ram) for entry in configuration.memory):
        yield Finding("memory", 0, "the VM has no `ram`")
    cmdline = configuration.cmdline or ""
    if '"' in cmdline or "\n" in cmdline:
        yield Finding("cmdline", 0, "the kernel command line holds a quote or a line break, which no `cmdline` can")


def _loads(configuration: Configuration) -> Iterator[Finding]:
    images = [load for load in configuration.loads if load.blob in ("", "guest")]
    if not images:
        yield Finding("loads", 0, "nothing is loaded that could run: `load FILE` is missing")
    for index, load in enumerate(configuration.loads):
        if load.blob and load.blob not in grammar.BLOBS:
            yield Finding("loads", index, f"'{load.blob}' is no kind of blob")


def _names(configuration: Configuration) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, vdev in enumerate(configuration.vdevs):
        name = vdev.name
        if name is None:
            continue
        if name in seen:
            yield Finding("vdevs", index, f"the name {name} is given to two vdevs")
        if ":" in name:
            yield Finding("vdevs", index, f"the name {name} holds a colon, which `intr PIC:LINE` needs")
        seen.add(name)


def _mandatory(configuration: Configuration) -> Iterator[Finding]:
    for index, vdev in enumerate(configuration.vdevs):
        for option in MANDATORY.get(vdev.type, ()):
            if vdev.value(option) is None:
                yield Finding("vdevs", index, f"vdev {vdev.type} needs `{option}`")


def _interrupts(configuration: Configuration) -> Iterator[Finding]:
    pics = IMPLICIT_PICS | {vdev.name for vdev in configuration.vdevs if vdev.name}
    for index, vdev in enumerate(configuration.vdevs):
        for line in (vdev.value("intr") or "").split(","):
            pic = line.partition(":")[0]
            if pic and pic not in pics:
                yield Finding("vdevs", index, f"`intr {line}` of vdev {vdev.type} names no PIC: no vdev has the name {pic}")


def _overlaps(configuration: Configuration) -> Iterator[Finding]:
    regions = [*_memory_regions(configuration), *_vdev_regions(configuration)]
    regions.sort(key=lambda region: (region.space, region.start, region.end))
    farthest: dict[str, Region] = {}
    for region in regions:
        before = farthest.get(region.space)
        if before is not None and region.start < before.end:
            yield Finding(region.group, region.index, f"{region.owner} and {before.owner} overlap at {region.space}:{region.start:#x}")
        if before is None or region.end > before.end:
            farthest[region.space] = region


def _memory_regions(configuration: Configuration) -> Iterator[Region]:
    highest = 0
    for index, entry in enumerate(configuration.memory):
        start = highest if entry.start is None else entry.start
        kind = type(entry).__name__.lower()
        yield Region("mem", start, start + entry.length, "memory", index, f"{kind} {start:#x},{entry.length:#x}")
        if kind != "reserve":
            highest = max(highest, start + entry.length)


def _vdev_regions(configuration: Configuration) -> Iterator[Region]:
    for index, vdev in enumerate(configuration.vdevs):
        place = _place(vdev)
        if place is not None:
            space, start, length = place
            yield Region(space, start, start + length, "vdevs", index, f"vdev {vdev.name or vdev.type}")


def _place(vdev: Vdev) -> tuple[str, int, int] | None:
    """Space, first address and length of a vdev whose size is known; None for others and on PCI."""
    if vdev.type not in SPANS:
        return None
    default, length = SPANS[vdev.type]
    space = default.partition(":")[0]
    head, colon, address = (vdev.value("loc") or default).rpartition(":")
    if colon:
        space = head
    try:
        return (space, grammar.number(address), length) if space in ("mem", "io") else None
    except ValueError:
        return None
