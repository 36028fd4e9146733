"""Kernel modules of a Debian kernel package: the files, and the order in which they must be loaded.

Prerequisites come from the modules themselves, so no depmod is needed and nothing can be out of date. Debian compresses the modules of
newer kernels (`.ko.xz`); `content` is what can be loaded.
"""

from __future__ import annotations

import io
import lzma
from collections.abc import Iterable
from pathlib import Path

from elftools.elf.elffile import ELFFile

from harness.errors import UseError

SUFFIX, COMPRESSED = ".ko", ".ko.xz"


class ModuleMissing(UseError):
    """The kernel package lacks a module: it is another flavour, or a newer kernel has it built in or under another name."""


def load_order(names: Iterable[str], directory: Path) -> list[Path]:
    """The files to load for modules `names`, prerequisites first. `directory` is `lib/modules/VERSION` of a kernel package."""
    files = {name_of(file): file for suffix in (SUFFIX, COMPRESSED) for file in directory.rglob(f"*{suffix}")}
    order: list[Path] = []

    def visit(module: str) -> None:
        if _plain(module) not in files:
            raise ModuleMissing(
                f"the kernel in {directory.name} has no module {module}", "choose a Debian kernel of the generic or cloud flavour"
            )
        file = files[_plain(module)]
        if file not in order:
            for prerequisite in prerequisites(file):
                visit(prerequisite)
            order.append(file)

    for name in names:
        visit(name)
    return order


def name_of(file: Path) -> str:
    """What a module's file is called by others: `virtio_pci` for `virtio-pci.ko.xz`."""
    return _plain(file.name.removesuffix(COMPRESSED).removesuffix(SUFFIX))


def content(file: Path) -> bytes:
    """A module as the kernel takes it, without compression."""
    packed = file.read_bytes()
    return lzma.decompress(packed) if file.name.endswith(COMPRESSED) else packed


def prerequisites(file: Path) -> list[str]:
    """The modules that a module names as its own (the `depends=` entry of .modinfo)."""
    section = ELFFile(io.BytesIO(content(file))).get_section_by_name(".modinfo")
    entries = section.data().split(b"\0") if section else []
    for entry in entries:
        key, _, value = entry.decode(errors="replace").partition("=")
        if key == "depends":
            return [name for name in value.split(",") if name]
    return []


def _plain(module: str) -> str:
    """The kernel takes `-` and `_` in module names for the same."""
    return module.replace("-", "_")
