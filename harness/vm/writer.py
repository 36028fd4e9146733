"""Writes a VM configuration as the text qvm reads.

Invariant: the same configuration gives the same text, one option with its arguments per line, and reading it again gives
the configuration back.
"""

from __future__ import annotations

import re

from harness.errors import UseError
from harness.vm.grammar import NUMBER, RESERVED, SUFFIXES
from harness.vm.model import Configuration, Load, Memory, Option, Ram, Reserve

UNWRITABLE = re.compile(r'["\x00-\x08\x0a-\x1f\x7f]|\\\Z')
"""The documentation gives no way to put a quote or a control character into a string; a backslash at its end would join lines."""
NEEDS_QUOTES = re.compile(r"[\s#]|\A\Z")

OPTION = re.compile(r"[A-Za-z0-9_.-]+")
ADDRESSED = re.compile(NUMBER.pattern + ",")
"""A file name that would be read as ADDRESS,FILE."""


class Unwritable(UseError):
    """A value that no configuration file can hold."""

    def __init__(self, value: str) -> None:
        super().__init__(
            f"{value!r} cannot be written into a VM configuration",
            'use no quote ("), no control character, no backslash at the end, and no word of the configuration language as an option',
        )
        self.value = value


def write(configuration: Configuration) -> str:
    """The text of a configuration. Raises `Unwritable`."""
    return "\n".join(_lines(configuration)) + "\n"


def quote(value: str) -> str:
    """One argument: in double quotes when it is empty or holds blanks or a `#`."""
    return _string(value) if NEEDS_QUOTES.search(value) else _writable(value)


def write_option(option: Option) -> str:
    """An option of a vdev, cpu or pass with its arguments. Raises `Unwritable`."""
    return " ".join((_option(option.name), *map(quote, option.arguments)))


def size(length: int) -> str:
    """A length as people write it: `256M`, `640K`, and hexadecimal when it is no multiple."""
    for suffix in ("g", "m", "k"):
        if length and length % SUFFIXES[suffix] == 0:
            return f"{length // SUFFIXES[suffix]}{suffix.upper()}"
    return hex(length)


def _string(value: str) -> str:
    return f'"{_writable(value)}"'


def _writable(value: str) -> str:
    if UNWRITABLE.search(value):
        raise Unwritable(value)
    return value


def _lines(configuration: Configuration) -> list[str]:
    lines = [f"system {quote(configuration.system)}"]
    lines += [_memory(entry) for entry in configuration.memory]
    lines += [f"set {quote(entry.variable)} {quote(entry.value)}" for entry in configuration.variables]
    lines += [f"logger {quote(','.join(entry.filters))} {quote(entry.destination)}" for entry in configuration.loggers]
    lines += [f"unsupported {quote(entry.what)} {quote(entry.action)}" for entry in configuration.unsupported]
    if configuration.tolerance is not None:
        lines.append(f"tolerance {configuration.tolerance}")
    if configuration.dump is not None:
        lines.append(f"dump {quote(configuration.dump)}")
    if configuration.safety:
        lines.append("safety")
    for cpu in configuration.cpus:
        lines += _context("cpu", cpu.options)
    lines += [_load(entry) for entry in configuration.loads]
    if configuration.cmdline is not None:
        lines.append(f"cmdline {_string(configuration.cmdline)}")
    for vdev in configuration.vdevs:
        lines += _context(f"vdev {quote(vdev.type)}", vdev.options)
    for entry in configuration.passes:
        lines += _context("pass", entry.options)
    if configuration.dryrun:
        lines.append("dryrun")
    return lines


def _memory(entry: Memory) -> str:
    if isinstance(entry, Reserve):
        return f"reserve loc {entry.start:#x},{size(entry.length)}"
    if isinstance(entry, Ram):
        return f"ram {size(entry.length)}" if entry.start is None else f"ram {entry.start:#x},{size(entry.length)}"
    return f"rom {entry.start:#x},{size(entry.length)}"


def _load(entry: Load) -> str:
    if entry.address is None and ADDRESSED.match(entry.file):
        raise Unwritable(entry.file)
    place = entry.file if entry.address is None else f"{entry.address:#x},{entry.file}"
    return f"{entry.blob} load {quote(place)}".lstrip()


def _context(head: str, options: tuple[Option, ...]) -> list[str]:
    return [head, *(f"    {write_option(option)}" for option in options)]


def _option(name: str) -> str:
    if name in RESERVED or not OPTION.fullmatch(name):
        raise Unwritable(name)
    return name
