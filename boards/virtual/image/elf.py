"""Which shared objects a set of programs needs, read from the ELF files themselves.

The answer is complete or an error: a host whose sshd does not start because of one library would be found out much later.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from elftools.elf.elffile import ELFFile

from harness.errors import UseError
from harness.vdev.file import needed


class LibraryMissing(UseError):
    """A program of the image needs a shared object that no package of the recipe has."""


def _needed(file: Path) -> tuple[str, ...]:
    with file.open("rb") as stream:
        return needed(ELFFile(stream))


def closure(files: Iterable[Path], directories: Iterable[Path], extra: Iterable[str] = ()) -> dict[str, Path]:
    """Every shared object `files` need, directly or not, by the name they ask for; `extra` names more of them."""
    available = {path.name: path for directory in directories if directory.is_dir() for path in sorted(directory.iterdir())}
    found: dict[str, Path] = {}
    todo = [(name, file.name) for file in files for name in _needed(file)] + [(name, "the recipe") for name in extra]
    while todo:
        name, by = todo.pop()
        if name in found:
            continue
        if name not in available:
            raise LibraryMissing(f"{by} needs {name}, which no package has", "add one to LIBRARIES in boards/virtual/image/recipe.py")
        found[name] = available[name].resolve()
        todo += [(further, name) for further in _needed(found[name])]
    return found
