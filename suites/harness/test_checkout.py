"""The checkout itself, and what `make` says of it: the rules are tried on the Makefile as it is, in places of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

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
    """As from a shell: what an outer make hands down is left out."""
    command = ["make", "--no-print-directory", *arguments]
    outer = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL")}
    return subprocess.run(command, cwd=directory, env=outer | environment, capture_output=True, text=True, check=False)


def test_a_vdev_is_the_same_file_from_any_checkout(tmp_path: Path) -> None:
    name, made = "build/virtual/vdevs/vdev-8259.so", list[bytes]()
    for place in ("one", "another/and a longer one"):
        directory = copied(tmp_path / place)
        ended = make(directory, name)
        assert ended.returncode == 0, ended.stderr
        made.append((directory / name).read_bytes())
    assert made[0] == made[1]


def test_an_environment_of_another_place_is_made_anew(tmp_path: Path) -> None:
    """A copied checkout has the other one's programs in it. The environment here is a record of its place, and nothing is run."""
    place = copied(tmp_path / "here")
    (place / ".venv").mkdir()
    for record, anew in ((str(place), False), (str(tmp_path / "there"), True), ("", True)):
        (place / ".venv" / ".complete").write_text(f"{record}\n")
        ended = make(place, "--dry-run", ".venv/.complete")
        assert ended.returncode == 0, ended.stderr
        assert ("making the virtual environment" in ended.stdout) == anew


def test_without_root_and_sudo_the_missing_packages_are_named(tmp_path: Path) -> None:
    """`sudo` is out of reach; `id` says what it says to a user."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dpkg-query", "grep", "make"):
        (programs / name).symlink_to(shutil.which(name) or name)
    (programs / "id").write_text("#!/bin/bash\necho 1000\n")
    (programs / "id").chmod(0o755)
    ended = make(copied(tmp_path / "here"), "packages", "PACKAGES=no-such-a no-such-b", "SYSTEM_PYTHON=true", PATH=str(programs))
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0] == (
        "Debian packages are missing, and there is no sudo to install them with; as root: apt-get install no-such-a no-such-b"
    )


@pytest.mark.parametrize("name", ["price$HOME", "a:b", "it's"])
def test_a_path_that_make_or_python_cannot_take_is_refused(tmp_path: Path, name: str) -> None:
    ended = make(copied(tmp_path / name), "packages")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "/" + name in ended.stderr
    assert "move the checkout" in ended.stderr


@pytest.mark.skipif(not shutil.which("git") or not (CHECKOUT / ".git").exists(), reason="this is no clone, or there is no git")
def test_git_holds_no_link_and_nothing_it_ignores() -> None:
    """A link leads nowhere on another machine, and what is ignored is made anew there."""

    def listed(*arguments: str) -> list[str]:
        command = ["git", "-c", "safe.directory=*", "ls-files", *arguments]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.splitlines()

    assert len(listed()) > 100
    assert [line for line in listed("-s") if line.startswith("120000")] == []
    assert listed("-ci", "--exclude-standard") == []
