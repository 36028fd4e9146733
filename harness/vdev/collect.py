"""The vdev files under test: every one in a directory, each fit for the board, no two of one type."""

from __future__ import annotations

from pathlib import Path

from harness.boardfile import Board
from harness.vdev.api import check_fit
from harness.vdev.file import NotAVdev, VdevFile, shown

SAFETY = "-safety"
"""A safety host loads `vdev-NAME-safety.so` for `vdev NAME` (User's Guide, "Virtual device reference")."""


def collect(directory: Path, board: Board | None = None) -> tuple[VdevFile, ...]:
    """Every vdev file in a directory, by name; with `board` each must fit it.

    Raises `NotAVdev` for the first that cannot be used, when two are of one type, and when there is none.
    """
    if not directory.is_dir():
        raise NotAVdev(directory, "is not a directory", "give --vdevs the directory that holds the vdev-NAME.so files")
    paths = sorted(path for path in directory.iterdir() if path.name.startswith("vdev-") and path.name.endswith(".so"))
    for path in paths:
        if path.exists() and not path.is_file():
            raise NotAVdev(path, "is no file", "take it out of the directory, or give --vdevs another one")
    if not paths:
        raise NotAVdev(directory, "holds no vdev-NAME.so", "build the vdevs first, or give --vdevs another directory")
    files = tuple(VdevFile.read(path, board.board.arch if board else None) for path in paths)
    types: dict[str, VdevFile] = {}
    for file in files:
        other = types.setdefault(file.name.removesuffix(SAFETY), file)
        if other is not file:
            raise NotAVdev(
                file.path,
                f"and {shown(other.path)} are of one type",
                "leave one of them in the directory: a configuration names the type, and the host decides which file that is",
            )
        if board is not None:
            check_fit(file, board)
    return files
