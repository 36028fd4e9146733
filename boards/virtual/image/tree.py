"""Lays out the directories that become root file systems: the host's, and the smallest one that has a shell."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from boards.virtual.image import elf, modules, recipe

LIBRARY_DIRECTORIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64")


@dataclass(frozen=True)
class Parts:
    """What the host is made of."""

    kernel: str
    """The kernel's package."""
    packages: Path
    """One unpacked package per directory."""
    init: Path
    overlay: Path
    """Files that go in as they are."""
    ours: dict[str, Path]
    """Our own binaries by their path on the host."""


def host(root: Path, parts: Parts) -> None:
    """Lays out the virtual host."""
    for directory in recipe.DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    programs = {target: parts.packages / package / path for target, (package, path) in recipe.PROGRAMS.items()}
    for target, source in ({"init": parts.init} | programs | parts.ours).items():
        _install(source, root / target, 0o755)
    for target, link in recipe.LINKS.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (root / target).symlink_to(link)
    for source in sorted(file for file in parts.overlay.rglob("*") if file.is_file()):
        _install(source, root / source.relative_to(parts.overlay), 0o755 if source.stat().st_mode & 0o100 else 0o644)
    _libraries(root, [*programs.values(), *parts.ours.values()], parts.packages, recipe.LOADED_AT_RUN_TIME)
    _modules(root, parts.packages / parts.kernel / "lib" / "modules" / parts.kernel.removeprefix("linux-image-"))


def bare(root: Path, packages: Path) -> None:
    """The reference for boot times: the same kernel, and nothing but the same shell."""
    package, path = recipe.PROGRAMS["bin/ksh"]
    _install(packages / package / path, root / "bin" / "ksh", 0o755)
    (root / "init").write_text("#!/bin/ksh\nexec ksh -i\n")
    (root / "init").chmod(0o755)
    _libraries(root, [packages / package / path], packages)


def _libraries(root: Path, programs: list[Path], packages: Path, extra: Iterable[str] = ()) -> None:
    """Shared objects go to /lib, where both the loader and QNX's LD_LIBRARY_PATH look; the loader itself has a fixed place."""
    directories = [package / directory for package in sorted(packages.iterdir()) for directory in LIBRARY_DIRECTORIES]
    libraries = elf.closure(programs, directories, extra)
    loaders = {path for program in programs if (path := elf.interpreter(program))}
    for loader in sorted(loaders):
        _install(libraries.pop(Path(loader).name), root / loader.lstrip("/"), 0o755)
    for name, file in libraries.items():
        _install(file, root / "lib" / name, 0o755)


def _modules(root: Path, directory: Path) -> None:
    """The modules, and the file init.c reads: one line per group, `GROUP: FILE FILE ...`, in the order of loading."""
    lines = []
    for group, names in recipe.MODULES.items():
        files = modules.load_order(names, directory)
        lines.append(f"{group}: {' '.join(file.name for file in files)}\n")
        for file in files:
            _install(file, root / "lib" / "modules" / file.name, 0o644)
    (root / "lib" / "modules" / "order").write_text("".join(lines))


def _install(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)
