"""What the schema cannot say of a board file: names that mean nothing, keys that go together, places that would do harm."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from harness.boardfile.schema import Board
from harness.boardfile.validate import BadBoardFile, suggestion
from harness.command import quote

FEATURES = ("cpu.fast_exits", "cpu.steady", "line.break", "line.modem_in", "line.rx_errors", "line.settings")
"""What `features` may name; boards/README.md says what each means."""
CLAIMS = ("ser8250.16550a", "ser8250.divisor", "ser8250.rx_errors", "timer8254.port61")
"""What `[claims]` may decide."""
QUESTION = 150
"""Bytes of `identity.command`: it is typed at a console in one line, and a tty may cut one at 256."""


def check_sense(board: Board) -> None:
    """Raises `BadBoardFile`, naming the last of the board's files."""
    label = board.files[-1]
    _names(label, "features", board.features, FEATURES)
    _names(label, "claims", board.claims, CLAIMS)
    _identity(label, board)
    for key in ("scratch", "store"):
        place = PurePosixPath(getattr(board.host, key))
        if not place.is_absolute() or len(place.parts) == 1 or ".." in place.parts:
            raise BadBoardFile(f"{label}: host.{key} {str(place)!r} is no place of its own", f"name a directory from the root: /data/{key}")
    if board.power.reset_channel == board.power.channel:
        raise BadBoardFile(
            f"{label}: power.reset_channel {board.power.channel} is the channel that switches the board",
            "give the relay's",
        )


def _names(label: str, key: str, names: Iterable[str], known: tuple[str, ...]) -> None:
    """Names of other suites are theirs to check: only one of a family that is known here can be a slip."""
    families = {name.partition(".")[0] for name in known}
    for name in names:
        if name not in known and name.partition(".")[0] in families:
            raise BadBoardFile(f"{label}: {key} has no {name!r}", suggestion(name, known))


def _identity(label: str, board: Board) -> None:
    command, answer = board.identity.command, board.identity.answer
    if bool(command) != bool(answer.strip()):  # a blank is in whatever a command prints
        there, missing = ("command", "answer") if command else ("answer", "command")
        raise BadBoardFile(f"{label}: identity.{there} decides nothing without identity.{missing}", f"add {missing}, or take {there} out")
    if command and ("\n" in quote(command) or len(quote(command).encode()) > QUESTION):
        raise BadBoardFile(f"{label}: identity.command is more than a console takes in a line", f"use {QUESTION} bytes at most")
