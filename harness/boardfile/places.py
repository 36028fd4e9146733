"""Where board types and bench files are looked for. The invariant: nothing here is written, and nothing has to exist."""

from __future__ import annotations

import os
from pathlib import Path

import harness


def checkout() -> Path:
    """The directory the `harness` package lies in."""
    return Path(harness.__file__).resolve().parent.parent


def board_directory() -> Path:
    """The board types: `$HARNESS_BOARDS`, else the checkout's `boards/`."""
    return Path(os.environ.get("HARNESS_BOARDS") or checkout() / "boards")


def bench_directories() -> list[Path]:
    """The bench files: `$HARNESS_BENCHES` (one directory, or several as in $PATH), the user's, the system's. The first with a name wins."""
    own = [Path(entry).expanduser() for entry in os.environ.get("HARNESS_BENCHES", "").split(os.pathsep) if entry]
    return [*own, user_benches(), Path("/etc/harness/benches")]


def user_benches() -> Path:
    """The user's own bench files."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "harness" / "benches"


def label_of(path: Path) -> str:
    """A file as a person would name it: relative to the checkout where it lies in it."""
    resolved = path.resolve()
    return str(resolved.relative_to(checkout())) if resolved.is_relative_to(checkout()) else str(path)
