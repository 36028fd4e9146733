"""Which shared objects a set of programs needs, read from the ELF files themselves.

The answer is complete or an error: a host whose sshd does not start because of one library would be found out much later.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from harness.errors import UseError


class LibraryMissing(UseError):
    """A program of the image needs a shared object that no package of the recipe has."""


def needed(file: Path) -> list[str]:
    """The DT_NEEDED names of `file`; empty when it is linked statically."""
    with file.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".dynamic")
        if not isinstance(section, DynamicSection):
            return []
        return [str(tag.needed) for tag in section.iter_tags("DT_NEEDED")]  # type: ignore[attr-defined]  # set by pyelftools at run time


def closure(files: Iterable[Path], directories: Iterable[Path], extra: Iterable[str] = ()) -> dict[str, Path]:
    """Every shared object `files` need, directly or not, by the name they ask for; `extra` names more of them."""
    available = {path.name: path for directory in directories if directory.is_dir() for path in sorted(directory.iterdir())}
    found: dict[str, Path] = {}
    todo = [(name, file.name) for file in files for name in needed(file)] + [(name, "the recipe") for name in extra]
    while todo:
        name, by = todo.pop()
        if name in found:
            continue
        if name not in available:
            raise LibraryMissing(f"{by} needs {name}, which no package has", "add one to LIBRARIES in boards/virtual/image/recipe.py")
        found[name] = available[name].resolve()
        todo += [(further, name) for further in needed(found[name])]
    return found
