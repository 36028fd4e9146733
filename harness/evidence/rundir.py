"""Where a run leaves what it found: `build/runs/YYYYmmdd-HHMMSS-BOARD/`, and `latest` beside it.

The invariant: `latest` is always either the run before or this one, never missing in between, and a run never writes into another's.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from harness.clock import SYSTEM, Clock
from harness.errors import UseError, writing


@dataclass(frozen=True)
class RunDirectory:
    """One run's directory. The subdirectories exist from the start."""

    path: Path

    @classmethod
    def create(cls, runs: Path, board: str, clock: Clock = SYSTEM) -> RunDirectory:
        """Makes a new directory in `runs` and points `latest` at it. Raises `UseError` where that is not allowed."""
        stem = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(clock.wall()))}-{board}"
        try:
            runs.mkdir(parents=True, exist_ok=True)
            run = cls(_new_directory(runs, stem))
            for directory in (run.allure, run.consoles, run.vm):
                directory.mkdir()
            _point(runs / "latest", run.path.name)
        except OSError as error:
            where = error.filename or runs
            raise UseError(f"{where}: no directory for this run: {error.strerror}", "mend that, or give another --run-directory") from None
        return run

    @property
    def journal(self) -> Path:
        """The journal (`harness.evidence.journal`), the source of everything else."""
        return self.path / "journal.jsonl"

    @property
    def allure(self) -> Path:
        """Allure's results."""
        return self.path / "allure"

    @property
    def consoles(self) -> Path:
        """Raw byte logs of every serial port."""
        return self.path / "consoles"

    @property
    def vm(self) -> Path:
        """VM configurations as deployed, and what `qvm` said."""
        return self.path / "vm"

    @property
    def vdevs(self) -> Path:
        """Which vdevs were under test, with their hashes; then those of the host that were used beside them (`"from": "host"`)."""
        return self.path / "vdevs.json"

    def save(self, path: Path, value: Any) -> Path:
        """Writes JSON for people and programs; whoever looks sees the old file or the new one. Raises `CannotWrite`."""
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        with writing(path.parent):
            fresh.write_text(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")
            fresh.replace(path)
        return path


def _new_directory(runs: Path, stem: str) -> Path:
    """A directory nobody had before; a second run in one second gets a number."""
    for number in count(1):
        path = runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            continue
    raise AssertionError("unreachable")


def _point(link: Path, target: str) -> None:
    fresh = link.with_name(f".latest.{target}")
    fresh.symlink_to(target)
    fresh.replace(link)
