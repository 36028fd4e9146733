"""Which host this is, asked before anything is written to it: two boards of one type stand beside each other, and cables get swapped.

The invariant: nothing here changes the host; a host that is not the one the files mean ends in `WrongHost`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from harness.boardfile import Board
from harness.command import Result
from harness.errors import BenchError

WORDS = {"system": "-s", "release": "-r", "machine": "-m"}
"""Keys of `[identity]`, and the option of `uname` that answers each."""

LINES = 20
"""Of what `identity.command` printed, at most, that are shown."""


class WrongHost(BenchError):
    """The host that answers is not the one the board files mean. Nothing was written to it."""


class Identity(NamedTuple):
    """What a host says of itself."""

    uname: str
    """`uname -a`."""
    version: str
    """`uname -v`; a virtual board says so there."""


def check(ask: Callable[[Sequence[str]], Result], board: Board, way: str) -> Identity:
    """What the host says of itself, asked by running commands that only read. `way` is how it was reached. Raises `WrongHost`."""
    options = [*WORDS.values(), "-a", "-v"]
    said = ask(["sh", "-c", "for option do uname $option; done", "sh", *options]).text.splitlines()
    if len(said) != len(options):
        raise WrongHost(f"{board.name}: the host reached by {way} does not say what it is", "see its answers", evidence="\n".join(said))
    for (key, option), found in zip(WORDS.items(), said, strict=False):
        wanted = getattr(board.identity, key)
        if wanted and not fnmatchcase(found, wanted):
            raise _wrong(board, way, f"`uname {option}` says {found}, identity.{key} is {wanted}")
    if command := board.identity.command:
        answer = ask(command)
        printed = (
            "\n".join([*answer.text.splitlines(), *answer.stderr.decode("utf-8", "replace").splitlines()][-LINES:]) or "it printed nothing"
        )
        if answer.status:
            raise _wrong(board, way, f"`{' '.join(command)}` ends with status {answer.status}", printed)
        if board.identity.answer not in answer.text:
            raise _wrong(board, way, f"`{' '.join(command)}` does not say {board.identity.answer}", printed)
    return Identity(*(line.strip() for line in said[-2:]))


def _wrong(board: Board, way: str, difference: str, printed: str = "") -> WrongHost:
    return WrongHost(
        f"{board.name}: the host reached by {way} is another one: {difference}; nothing was written to it",
        f"look where the cables lead, or correct [identity] in {board.files[-1]}",
        evidence=printed,
    )
