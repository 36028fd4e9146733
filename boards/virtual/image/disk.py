"""An ext4 file system in a file, made without root by mke2fs."""

from __future__ import annotations

from pathlib import Path

from boards.virtual.tools import run
from harness.guest.initrd import settle_modes

BLOCK = 4096
EAGER = "lazy_itable_init=0,lazy_journal_init=0"
"""The board's kernel would finish a lazy file system later, in the middle of somebody's measurement."""


def make(tree: Path, output: Path) -> Path:
    """A file system without a journal that holds `tree`, is just large enough, and is only read."""
    settle_modes(tree)
    files = list(tree.rglob("*"))
    blocks = sum(path.lstat().st_size // BLOCK + 2 for path in files)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-b", BLOCK, "-N", len(files) + 64, "-m", 0, "-E", EAGER,
        "-d", tree, output, blocks * 11 // 10 + 512)  # fmt: skip
    return output


def make_empty(output: Path, size: int, inodes: int) -> Path:
    """An empty file system of `size` bytes in a sparse file."""
    with output.open("wb") as file:
        file.truncate(size)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "data", "-N", inodes, "-m", 0, "-E", EAGER, output)
    return output
