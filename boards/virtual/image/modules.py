"""Kernel modules of the image: the files, and the order in which they must be loaded.

Prerequisites come from the modules themselves, so no depmod is needed and nothing can be out of date.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from boards.virtual.image.elf import module_depends
from harness.errors import UseError


class ModuleMissing(UseError):
    """The kernel package lacks a module the board needs; a newer kernel may have it built in or under another name."""


def load_order(names: Iterable[str], directory: Path) -> list[Path]:
    """The files to load for modules `names`, prerequisites first. `directory` is `lib/modules/VERSION` of a kernel package."""
    files = {_plain(file.stem): file for file in directory.rglob("*.ko")}
    order: list[Path] = []

    def visit(module: str) -> None:
        if _plain(module) not in files:
            raise ModuleMissing(f"{directory.name} has no module {module}", "change it in boards/virtual/image/recipe.py")
        file = files[_plain(module)]
        if file not in order:
            for prerequisite in module_depends(file):
                visit(prerequisite)
            order.append(file)

    for name in names:
        visit(name)
    return order


def _plain(module: str) -> str:
    """The kernel takes `-` and `_` in module names for the same."""
    return module.replace("-", "_")
