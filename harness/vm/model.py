"""A VM configuration as data: what a `.qvmconf` file says, entry by entry, in QNX's words.

Invariant: values are frozen; two configurations are equal exactly when qvm would build the same VM from both, as far as the
documented grammar tells. Addresses and lengths are in bytes and guest-physical.
"""

from __future__ import annotations

import msgspec


class Option(msgspec.Struct, frozen=True):
    """An option inside the context of a `vdev`, `cpu` or `pass`, with its arguments: none for a flag, two for `log`."""

    name: str
    arguments: tuple[str, ...] = ()


class Ram(msgspec.Struct, frozen=True, tag="ram"):
    """Guest memory. Without `start` it follows the highest RAM or ROM so far."""

    length: int
    start: int | None = None


class Rom(msgspec.Struct, frozen=True, tag="rom"):
    """Read-only memory, kept out of the memory map given to the guest."""

    start: int
    length: int


class Reserve(msgspec.Struct, frozen=True, tag="reserve"):
    """A hole in which qvm places nothing."""

    start: int
    length: int


Memory = Ram | Rom | Reserve


class Cpu(msgspec.Struct, frozen=True):
    """One vCPU, a thread of qvm. Options: `partition`, `runmask`, `sched`."""

    options: tuple[Option, ...] = ()


class Load(msgspec.Struct, frozen=True):
    """A file that qvm places into guest memory. `blob` is empty for the guest image, else `initrd`, `guest`, `data`, `acpi` or `fdt`."""

    file: str
    blob: str = ""
    address: int | None = None


class Pass(msgspec.Struct, frozen=True):
    """Pass-through memory, ports, PCI functions and interrupts."""

    options: tuple[Option, ...] = ()


class Set(msgspec.Struct, frozen=True):
    """A variable of the VM."""

    variable: str
    value: str


class Logger(msgspec.Struct, frozen=True):
    """Which messages go where. `filters` is a set, not a level."""

    filters: tuple[str, ...]
    destination: str


class Unsupported(msgspec.Struct, frozen=True):
    """What qvm does about an `instruction`, `reference` or `register` nothing claims: `abort`, `fail` or `ignore`."""

    what: str
    action: str


class Vdev(msgspec.Struct, frozen=True):
    """A virtual device of a type, with its options in order; of an option given twice the last one counts."""

    type: str
    options: tuple[Option, ...] = ()

    def value(self, option: str) -> str | None:
        """The last argument given with `option`, or None without it."""
        found = [given.arguments for given in self.options if given.name == option and given.arguments]
        return found[-1][-1] if found else None

    @property
    def name(self) -> str | None:
        """What `intr` and `/dev/qvm/SYSTEM/` call this instance."""
        return self.value("name")


OWN_INPUT = ("-", "<-")
"""What `hostdev` calls qvm's standard input; the first is its standard output too."""


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """A whole VM. The order within each group is kept; the groups are written in the order of these fields."""

    system: str
    memory: tuple[Memory, ...] = ()
    cpus: tuple[Cpu, ...] = ()
    variables: tuple[Set, ...] = ()
    loggers: tuple[Logger, ...] = ()
    unsupported: tuple[Unsupported, ...] = ()
    tolerance: int | None = None
    """Microseconds by which the host may be late with a timer of the guest; None leaves qvm's default."""
    dump: str | None = None
    safety: bool = False
    loads: tuple[Load, ...] = ()
    cmdline: str | None = None
    vdevs: tuple[Vdev, ...] = ()
    passes: tuple[Pass, ...] = ()
    dryrun: bool = False

    @property
    def reads_own_input(self) -> bool:
        """Whether a vdev's host device is qvm's own standard input."""
        options = (option for vdev in self.vdevs for option in vdev.options)
        return any(option.name == "hostdev" and option.arguments[-1:] == (name,) for option in options for name in OWN_INPUT)


def add_option(configuration: Configuration, vdev: str, option: str, value: str | None = None) -> Configuration:
    """The configuration with an option added to every vdev of the type `vdev`; the same one when it has none."""
    added = Option(option, () if value is None else (value,))
    vdevs = tuple(
        msgspec.structs.replace(entry, options=(*entry.options, added)) if entry.type == vdev else entry for entry in configuration.vdevs
    )
    return msgspec.structs.replace(configuration, vdevs=vdevs)


def vdev(type_name: str, **options: str | bool) -> Vdev:
    """A vdev with options in the order written: `vdev("ser8250", intr="myioapic:4", hostdev="/dev/ser3")`; True makes a flag.

    An underscore in an option's name stands for a hyphen.
    """
    return Vdev(type_name, tuple(Option(name.replace("_", "-"), () if value is True else (str(value),)) for name, value in options.items()))
