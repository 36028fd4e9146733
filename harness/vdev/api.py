"""What a vdev may ask of qvm: the functions that the headers of the vdev API declare, and how an object keeps to them.

The invariant: headers are read, never compiled; a board whose file names none refuses no symbol.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from harness.boardfile import Board
from harness.vdev.file import NotAVdev, VdevFile

ABSENT = "absent.toml"
"""Beside the headers, where it is: the reason for each of a list of names (wildcards allowed) that are documented and not declared."""

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_BLOCK = re.compile(r"\{[^{}]*\}")
_ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")
_DECLARED = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
_CLOSE = 0.6
"""Least likeness of a name that is offered instead of another (difflib's ratio)."""


def declared(headers: Path) -> frozenset[str]:
    """The functions declared in the `.h` files of a directory and of those below it."""
    return frozenset(name for path in sorted(headers.rglob("*.h")) for name in _functions(path.read_text("utf-8", "replace")))


def absent(headers: Path) -> dict[str, str]:
    """Why a documented function is not declared there, by its name or a pattern of names; empty where nobody wrote that down."""
    path = headers / ABSENT
    tables = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    return {name: reason for reason, names in tables.items() for name in names}


def check_fit(file: VdevFile, board: Board) -> None:
    """Raises `NotAVdev` for an object that the board's host cannot load, or that asks qvm for what its documentation does not have."""
    wanted = board.host.objects
    if file.system and file.system != wanted:
        raise NotAVdev(
            file.path,
            f"is an object for {_SYSTEMS[file.system]}, the host of {board.name} loads those for {_SYSTEMS[wanted]}",
            f"build its sources for this board: `harness vdev build DIR --board {board.name}`",
        )
    if not board.build.headers or file.asked is None:
        return
    headers = board.root / board.build.headers
    known, reasons = declared(headers), absent(headers)
    missing: dict[str, list[str]] = {}
    for name in file.asked:
        if name not in known:
            reason = next((reason for pattern, reason in reasons.items() if fnmatchcase(name, pattern)), "")
            missing.setdefault(reason, []).append(name)
    for reason, names in sorted(missing.items()):
        calls = " and ".join(f"{name}()" for name in names)
        if not reason:
            raise NotAVdev(file.path, f"needs {calls}, which the documented vdev API does not have", _instead(names, known))
        raise NotAVdev(
            file.path,
            f"needs {calls}, and {board.name} has not: {'it' if len(names) == 1 else 'each'} {reason}",
            "leave the call out where the vdev is built for this board, or test it on a real one",
        )


_SYSTEMS = {"linux": "Linux", "qnx": "QNX"}


def _functions(text: str) -> Iterable[str]:
    text = _DIRECTIVE.sub("", _COMMENT.sub(" ", text))
    while _BLOCK.search(text):
        text = _BLOCK.sub(";", text)  # bodies of functions, structures and enumerations
    for declaration in _ATTRIBUTE.sub(" ", text).split(";"):
        words = declaration.split()
        found = _DECLARED.search(declaration)
        if found and not {"static", "typedef"} & set(words):
            yield found[1]


def _instead(unknown: Iterable[str], known: Iterable[str]) -> str:
    near = [found for name in unknown if (found := nearest(name, known))]
    return f"did you mean {', '.join(near)}, or is a library not linked?" if near else "correct the call, or link the library that has it"


def nearest(name: str, known: Iterable[str]) -> str:
    """The name most like another, words in another order included; empty when none is like it."""
    score, found = max(((_likeness(name, candidate), candidate) for candidate in known), default=(0.0, ""))
    return found if score >= _CLOSE else ""


def _likeness(one: str, other: str) -> float:
    in_order = difflib.SequenceMatcher(None, one, other).ratio()
    sorted_words = difflib.SequenceMatcher(None, sorted(one.split("_")), sorted(other.split("_"))).ratio()
    return max(in_order, sorted_words)
