"""The words of the configuration language (`qvm @FILE`): the tables the writer, the parser and the lint share.

A file is a stream of options and arguments. A context option opens a context that lasts until the next one; inside it the
context's own options apply. What the documentation leaves open (how many arguments a vdev's own option takes) is `FLAGS`.
"""

from __future__ import annotations

import re

CONTEXTS = frozenset({"cpu", "vdev", "pass", "reserve"})
VM_OPTIONS = frozenset({"system", "ram", "rom", "load", "cmdline", "set", "dryrun", "dump", "logger", "unsupported", "tolerance", "safety"})
BLOBS = frozenset({"initrd", "guest", "data", "acpi", "fdt"})
RESERVED = CONTEXTS | VM_OPTIONS | BLOBS
"""Words that cannot be an option of a vdev: qvm would read them as its own."""

FLAGS = frozenset({"legacy", "legacy-free", "emit-logger"})
"""Documented vdev options that take no argument; every other one takes exactly one, but for `log`, which takes two."""
ARGUMENTS = {"log": 2}

CPU_OPTIONS = frozenset({"partition", "runmask", "sched"})
PASS_OPTIONS = frozenset({"loc", "intr"})

SEVERITIES = frozenset({"fatal", "internal", "error", "warn", "info", "debug", "verbose"})
DESTINATIONS = frozenset({"stdout", "stderr", "slog", "none"})
UNSUPPORTED = frozenset({"instruction", "reference", "register"})
ACTIONS = frozenset({"abort", "fail", "ignore"})

SUFFIXES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
NUMBER = re.compile(r"(?:0[xX](?P<hex>[0-9a-fA-F]+)|(?P<decimal>[0-9]+))(?P<suffix>[kKmMgG]?)")


def number(text: str) -> int:
    """The value of `0x…`, a decimal, or one of them with a suffix K, M or G. Raises ValueError."""
    match = NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a number")
    value = int(match["hex"], 16) if match["hex"] else int(match["decimal"])
    return value * SUFFIXES[match["suffix"].lower()]
