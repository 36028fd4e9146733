"""Guest images on the hypervisor host: copied once, kept by hash.

Invariant: a file under its name in the store has the content its hash says; a copy gets that name only after the host's own
tool has found the right digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from harness.command import Result
from harness.errors import BenchError
from harness.events import Events

SETTLE = """\
sync
while test $# != 0; do mv "$1" "$2" || exit 1; shift 2; done
sync
"""
"""Content first, then names, each on the disk before the next: cutting the power leaves no good name on an empty file."""


class StoreHost(Protocol):
    """What the store asks of the hypervisor host."""

    def run(self, argv: Sequence[str]) -> Result:
        """Runs a program. Raises `CommandFailed` for a status other than 0."""
        ...

    def put(self, files: Mapping[Path, str]) -> object:
        """Copies local files to paths on the host, whose directories are there."""
        ...

    def digest(self, paths: Sequence[str]) -> Mapping[str, str]:
        """The SHA-1 of each of some files on the host. Raises `CommandFailed` when one is not there."""
        ...


class CopyFailed(BenchError):
    """A guest image did not arrive on the host as it was sent: a full disk or a broken link."""


class GuestStore:
    """The board's `store` directory. Unlike the scratch directory it is left for the next run."""

    def __init__(self, host: StoreHost, directory: str, events: Events) -> None:
        self.host = host
        self.directory = directory.rstrip("/")
        self.events = events

    def keep(self, files: Mapping[Path, str]) -> dict[Path, str]:
        """The path on the host of each file (local path to SHA-1), copied when it is not there yet. Raises `CopyFailed`."""
        kept = {file: f"{self.directory}/{sha1}-{file.name}" for file, sha1 in files.items()}
        found = self._digests(list(kept.values()))
        missing = {file: path for file, path in kept.items() if found.get(path) != files[file]}
        if missing:
            with self.events.step("guest.store", files=[file.name for file in missing], directory=self.directory):
                self._copy(missing, files)
        return kept

    def _copy(self, missing: Mapping[Path, str], sha1s: Mapping[Path, str]) -> None:
        arriving = {file: f"{path}.arriving" for file, path in missing.items()}
        try:
            self.host.put(arriving)
            found = self.host.digest(list(arriving.values()))
            for file, path in arriving.items():
                if found.get(path) != sha1s[file]:
                    raise CopyFailed(
                        f"{file.name} on the host has SHA-1 {found.get(path, 'of nothing')}, sent was {sha1s[file]}",
                        f"check the free space of {self.directory} on the host (df) and run again",
                    )
            pairs = [path for file in missing for path in (arriving[file], missing[file])]
            self.host.run(["sh", "-c", SETTLE, "sh", *pairs])
        except BaseException:
            with suppress(BenchError):
                self.host.run(["rm", "-f", *arriving.values()])
            raise

    def _digests(self, paths: list[str]) -> dict[str, str]:
        """Digests of those that are there; makes the directory on the way."""
        script = 'mkdir -p "$0" || exit 1; for file do if test -f "$file"; then echo "$file"; fi; done'
        there = self.host.run(["sh", "-c", script, self.directory, *paths]).stdout.decode().splitlines()
        return dict(self.host.digest(there)) if there else {}
