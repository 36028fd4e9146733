"""Packs a directory into the archive a Linux kernel unpacks as its root file system.

The same tree always gives the same bytes: names sorted, owner root, one fixed time, modes that no umask has a say in. So an image can be
known by its hash.
"""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Collection
from pathlib import Path

from harness.errors import UseError

EPOCH = 1_600_000_000
"""Modification time of everything in an archive, seconds since 1970."""


class PackingFailed(UseError):
    """The `cpio` program refused to write an archive, or is not there."""


def settle_modes(tree: Path, private: Collection[str] = ()) -> None:
    """Modes inside `tree` as umask 022 would have made them; the files in `private`, by their path in it, are root's alone."""
    for path in [tree, *tree.rglob("*")]:
        if path.is_symlink():
            continue
        if str(path.relative_to(tree)) in private:
            path.chmod(0o600)
        else:
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def pack(tree: Path, output: Path, *, compress: bool = True, private: Collection[str] = ()) -> Path:
    """Writes `tree` to `output` as a newc archive; gzip-compressed unless told otherwise. Replaces `output` in one step.

    Settles the modes (`settle_modes`) and times of what is in `tree`.
    """
    settle_modes(tree, private)
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    for name in [".", *names]:
        os.utime(tree / name, (EPOCH, EPOCH), follow_symlinks=False)
    command = ["cpio", "--create", "--null", "--quiet", "--format=newc", "--reproducible", "--owner=+0:+0"]
    try:
        archive = subprocess.run(
            command, cwd=tree, input=b"".join(os.fsencode(name) + b"\0" for name in [".", *names]), capture_output=True, check=False
        )
    except FileNotFoundError:
        raise PackingFailed("the program `cpio` is not there", "run `make setup`, which installs it") from None
    if archive.returncode:
        raise PackingFailed(f"cpio cannot pack {tree}", "see its own words", evidence=archive.stderr.decode(errors="replace"))
    content = gzip.compress(archive.stdout, compresslevel=6, mtime=0) if compress else archive.stdout
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(output)
    return output
