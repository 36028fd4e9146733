"""The checkout itself, and what `make` says of it: the rules are tried on the Makefile as it is, in places of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from suites.harness.session import CHECKOUT


def copied(directory: Path) -> Path:
    """A checkout with what vdev-8259 is made of."""
    directory.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(CHECKOUT / name, directory)
    for name in ("include", "qvm", "vdevs"):
        shutil.copytree(CHECKOUT / "boards" / "virtual" / name, directory / "boards" / "virtual" / name)
    return directory


def make(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=directory, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_a_vdev_is_the_same_file_from_any_checkout(tmp_path: Path) -> None:
    name, made = "build/virtual/vdevs/vdev-8259.so", list[bytes]()
    for place in ("one", "another/and a longer one"):
        directory = copied(tmp_path / place)
        ended = make(directory, name)
        assert ended.returncode == 0, ended.stderr
        made.append((directory / name).read_bytes())
    assert made[0] == made[1]
