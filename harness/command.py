"""A command for another machine's shell: how it is written down, and what came of it.

The invariant: `quote` is the only place where arguments become shell text; whoever has a list of arguments uses it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import BenchError

LONGEST = 80
"""Characters of a command that a sentence shows."""

_QUOTED = re.compile(r"""'[^']*'(?:"'"'[^']*')*""")
"""A word as `quote` writes it."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class CommandTimeout(BenchError):
    """A command did not end in time. Usual causes: it waits for something, the board is overloaded, the deadline is for a faster board."""


class CommandFailed(BenchError):
    """A command that had to succeed ended with another status than 0. `result` has what it printed."""

    def __init__(self, where: str, command: str, result: Result) -> None:
        said = (result.stderr.strip() or result.stdout.strip()).decode("utf-8", "replace")
        super().__init__(
            f"{where}: `{shown(command)}` ended with status {result.status}",
            "see what it said" if said else "it said nothing; run it by hand",
            evidence="\n".join(said.splitlines()[-20:]),
        )
        self.command = command
        self.result = result


@dataclass(frozen=True)
class Result:
    """What a command ended with. A command ended by signal N has status 128 + N, as shells say it."""

    status: int
    stdout: bytes
    stderr: bytes = b""

    @property
    def text(self) -> str:
        """Standard output for people: bytes that are no UTF-8 are replaced."""
        return self.stdout.decode("utf-8", "replace")


def shown(script: str) -> str:
    """The end of a script on one line, for a sentence: the words that matter come last. An argument of several lines is a script itself,
    and what matters are the arguments behind it."""
    line = " ".join(_QUOTED.sub(lambda word: "…" if "\n" in word[0] else word[0], script).split())
    return line if len(line) <= LONGEST else f"…{line[-LONGEST:]}"


def quote(argv: Sequence[str]) -> str:
    """Arguments as one simple command of a POSIX shell, each unchanged. Raises `ValueError` for what no argument can be."""
    if not argv:
        raise ValueError("a command needs at least a program")
    if any("\0" in argument for argument in argv):
        raise ValueError("an argument cannot hold a NUL byte")
    return shlex.join(argv)


def exports(environment: Mapping[str, str]) -> str:
    """A shell line that sets and exports variables; empty without any."""
    for name in environment:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a shell variable")
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    return f"export {words}\n" if words else ""
