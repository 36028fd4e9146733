"""Builds vdevs from their authors' sources for a board, by the compiler that the board's file names.

The invariant: the output directory gets an object only after all of them were compiled and audited; otherwise it stays as it was.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.boardfile import Board
from harness.errors import UseError
from harness.vdev.api import check_fit
from harness.vdev.file import FILE_NAME, NotAVdev, VdevFile, shown

PREFIX = "vdev-"


class NoSources(UseError):
    """The directory is not there, or holds nothing that a vdev can be made of."""


class NotBuilt(UseError):
    """The sources do not compile, what they compile to does not fit the board, or the compiler is not there."""


@dataclass(frozen=True)
class Built:
    """A vdev as it was built."""

    file: VdevFile
    warnings: str
    """What the compiler said."""
    own: tuple[str, ...]
    """Functions it calls that are this board's own (`build.own` of the board file): on another board it does not build."""


def build(directory: Path, output: Path, board: Board) -> list[Built]:
    """Builds every vdev below a directory into `output`, which is made.

    A directory with `.c` files is one vdev and gives it its name; a directory of such directories is several.
    Raises `NoSources`, or `NotBuilt` also for what compiles and does not fit the board.
    """
    if not board.build.compiler:
        raise NotBuilt(
            f"{board.files[0]} names no compiler for vdevs",
            "add the table [build] with compiler (a QNX board's is qcc of QNX SDP, as in boards/rpi4.toml), or choose another board",
        )
    vdevs = sources(directory)
    with TemporaryDirectory(prefix="vdev-build-") as place:
        made = {name: _compile(name, files, Path(place) / f"{PREFIX}{name}.so", board) for name, files in vdevs.items()}
        return [Built(_keep(file, output), warnings, _own(file, board)) for file, warnings in made.values()]


def sources(directory: Path) -> dict[str, tuple[Path, ...]]:
    """The `.c` files of every vdev in a directory, by the vdev's name."""
    if not directory.is_dir():
        raise NoSources(f"{shown(directory)} is not a directory", "name one that holds the .c files of a vdev")
    directory = directory.resolve()
    found: dict[str, tuple[Path, ...]] = {}
    for place in [directory] if _c_files(directory) else sorted(entry for entry in directory.iterdir() if entry.is_dir()):
        files, name = _c_files(place), place.name.removeprefix(PREFIX)
        if not files:
            continue
        if not FILE_NAME.fullmatch(f"{PREFIX}{name}.so"):
            raise NoSources(f"{shown(place)} gives a vdev no name", "name the directory after the vdev: letters, digits and _ . + -")
        if name in found:
            raise NoSources(f"{shown(place)} and {shown(found[name][0].parent)} both are vdev {name}", "rename one, or build one at a time")
        found[name] = files
    if not found:
        raise NoSources(f"{shown(directory)} holds no .c file", "name the directory of a vdev's sources, or one of such directories")
    return found


def _c_files(directory: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in directory.iterdir() if path.suffix == ".c" and path.is_file()))


def _compile(name: str, files: Sequence[Path], path: Path, board: Board) -> tuple[VdevFile, str]:
    include = [f"-I{board.root / board.build.headers}"] if board.build.headers else []
    # An object does not tell where it was built, so that it can be known by its hash.
    places = [f"-ffile-prefix-map={place}=." for place in (board.root, files[0].parent)]
    command = [*board.build.compiler, *include, *places, "-o", str(path), *map(str, files)]
    try:
        done = subprocess.run(command, cwd=board.root, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise NotBuilt(
            f"{command[0]}, the compiler of {board.files[0]}, cannot be started ({error.strerror})",
            "install it, or prepare the environment it needs (qcc comes with QNX SDP, which has a script for that)",
        ) from None
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise NotBuilt(f"vdev {name} does not compile for {board.name}", f"see what {command[0]} says", evidence=said)
    try:
        file = VdevFile.read(path, board.board.arch)
        check_fit(file, board)
    except NotAVdev as error:
        raise NotBuilt(f"vdev {name}, as built from {shown(files[0].parent)}, {error.what}", error.next_step, evidence=said) from None
    return file, said


def _own(file: VdevFile, board: Board) -> tuple[str, ...]:
    return tuple(name for name in file.undefined if name in board.build.own)


def _keep(file: VdevFile, output: Path) -> VdevFile:
    """Moves an object to its place in one step, so that whoever reads there never sees half of it."""
    path, beside = output / file.path.name, output / f".{file.path.name}.{os.getpid()}"
    try:
        output.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, beside)
        beside.replace(path)
    except OSError as error:
        raise NotBuilt(f"{shown(path)} cannot be written ({error.strerror})", "give --output another directory") from None
    return VdevFile.read(path)
