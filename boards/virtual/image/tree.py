"""Lays out the directories that become root file systems: the host's, and the smallest one that has a shell."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from boards.virtual.image import elf, recipe
from harness.guest import modules

LIBRARY_DIRECTORIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64")


@dataclass(frozen=True)
class Parts:
    """What the host is made of."""

    kernel: str
    """The kernel's package."""
    packages: Path
    """One unpacked package per directory."""
    overlay: Path
    """Files that go in as they are."""
    ours: dict[str, Path]
    """Our own binaries by their path on the host."""


class Host:
    """The virtual host in two parts: what the kernel unpacks into memory at boot, and the disk behind /usr.

    Whatever is in the first part costs time at every boot, so it holds what the console's prompt needs and what changes often.
    """

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.usr = directory / "usr"

    def lay_out(self, parts: Parts) -> None:
        for directory in recipe.DIRECTORIES:
            self._place(directory).mkdir(parents=True, exist_ok=True)
        (self.root / "usr").mkdir()
        programs = {target: parts.packages / package / path for target, (package, path) in recipe.PROGRAMS.items()} | parts.ours
        for target, source in programs.items():
            _install(source, self._place(target), 0o755)
        for target, link in recipe.LINKS.items():
            self._place(target).parent.mkdir(parents=True, exist_ok=True)
            self._place(target).symlink_to(link)
        for source in sorted(file for file in parts.overlay.rglob("*") if file.is_file()):
            mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
            _install(source, self._place(str(source.relative_to(parts.overlay))), mode)
        early = [source for target, source in programs.items() if not target.startswith("usr/")]
        at_once = _libraries(early, parts.packages, recipe.LOADED_AT_RUN_TIME)
        later = _libraries(programs.values(), parts.packages)
        _install_libraries(at_once, self.root, "lib")
        _install_libraries({name: file for name, file in later.items() if name not in at_once}, self.usr, "lib")
        self._modules(parts.packages / parts.kernel / "lib" / "modules" / parts.kernel.removeprefix("linux-image-"))

    def _place(self, target: str) -> Path:
        return self.usr / target.removeprefix("usr/") if target.startswith("usr/") else self.root / target

    def _modules(self, directory: Path) -> None:
        """The modules, and the file init.c reads: one line per group, `GROUP: PATH PATH ...`, in the order of loading."""
        lines: list[str] = []
        loaded: set[Path] = set()
        for group, (place, names) in recipe.MODULES.items():
            files = [file for file in modules.load_order(names, directory) if file not in loaded]
            loaded.update(files)
            lines.append(f"{group}: {' '.join(f'/{place}/{file.name}' for file in files)}\n")
            for file in files:
                _install(file, self._place(f"{place}/{file.name}"), 0o644)
        (self.root / "lib" / "modules" / "order").write_text("".join(lines))


def bare(root: Path, packages: Path) -> None:
    """The reference for boot times: the same kernel, and nothing but the same shell."""
    package, path = recipe.PROGRAMS["bin/ksh"]
    _install(packages / package / path, root / "bin" / "ksh", 0o755)
    (root / "init").write_text("#!/bin/ksh\nexec ksh -i\n")
    (root / "init").chmod(0o755)
    _install_libraries(_libraries([packages / package / path], packages), root, "lib")


def _libraries(programs: Iterable[Path], packages: Path, extra: Iterable[str] = ()) -> dict[str, Path]:
    directories = [package / directory for package in sorted(packages.iterdir()) for directory in LIBRARY_DIRECTORIES]
    return elf.closure(programs, directories, extra)


def _install_libraries(libraries: dict[str, Path], root: Path, place: str) -> None:
    """Into `place`, but the loader to where every program asks for it."""
    for name, file in libraries.items():
        _install(file, root / (recipe.LOADER if name == Path(recipe.LOADER).name else f"{place}/{name}"), 0o755)


def _install(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)
