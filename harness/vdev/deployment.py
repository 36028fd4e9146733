"""Puts vdev files into a private directory of the host, proves that they arrived, and takes them away again.

Invariant: nothing outside `SCRATCH/run-ID` is written, so the host's own vdevs stay what they are; `restore` compares what
it leaves with what was there before.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.boardfile import Board
from harness.boardfile.schema import HostProfile
from harness.command import CommandFailed, Result
from harness.errors import BenchError
from harness.events import Events
from harness.vdev.file import VdevFile

MADE = ".made"
"""In the private directory: the topmost directory that was made for it."""

INVENTORY = """\
for directory in "$scratch" "$own"; do
    if test -d "$directory"; then echo "in $directory"; ls -A "$directory"; fi
done
"""

PREPARE = f"""\
scratch=$1 own=$2 private=$3 keep=$4 digest=$5
shift 5
for stale in "$scratch"/run-*; do
    case $stale in "$keep"|"$keep".*) continue;; esac
    if test -d "$stale"; then echo "stale $stale"; rm -rf "$stale" || exit 1; fi
done
{INVENTORY}
made=$private
while parent=${{made%/*}}; test -n "$parent" && ! test -d "$parent"; do made=$parent; done
mkdir -p "$private" || exit 1
echo "$made" >"$private/{MADE}" || exit 1
"""
"""A bench has one run at a time: a `run-*` directory of another one belongs to a run that was cut off. What was made is written down
there, for a restoration that knows nothing else: this script's answer may never arrive."""

ARRIVED = """\
test $# != 0 || exit 0
sync
cd "$private"
"$digest" "$@" | while read -r found file; do echo "digest $found $file"; done
"""
"""`sync`, so that cutting the power does not empty what arrived."""

ARCHIVE = "tar over ssh"
"""The name of the way in `vdev.deploy.end`; each of the others has the one that the host's `put` returns."""

NO_TAR = "refused tar"

DEPLOY = f"""\
{PREPARE}
command -v tar >/dev/null || {{ echo "{NO_TAR}"; exit 0; }}
test $# = 0 || tar -xf - -C "$private"
{ARRIVED}
"""
"""The files come as an archive on standard input: one round trip for all of them. A host without `tar` says so, and is prepared."""

CHECK = f"private=$1 digest=$2\nshift 2\n{ARRIVED}"
"""Behind `PREPARE` and a copy of each file, where no archive on standard input is a way for them."""

RESTORE = f"""\
scratch=$1 own=$2 private=$3
made=$private
if test -f "$private/{MADE}"; then read -r made <"$private/{MADE}"; fi
rm -rf "$private" || exit 1
while test "$private" != "$made"; do
    private=${{private%/*}}
    rmdir "$private" || exit 1
done
sync
{INVENTORY}
"""
"""`sync` here too: what was removed would be back after a power cut."""


class DeploymentHost(Protocol):
    """What a deployment asks of the hypervisor host."""

    @property
    def pipes(self) -> bool:
        """Whether a command's input is as quick a way for a file as `put`."""
        ...

    def run(self, argv: Sequence[str], *, timeout: float | None = None, input: bytes | None = None) -> Result:
        """Runs a program for `timeout` seconds at most. Raises `CommandFailed` for a status other than 0."""
        ...

    def put(self, files: Mapping[Path, str]) -> str:
        """Copies local files to paths on the host; returns the name of the way they went."""
        ...


class DeploymentFailed(BenchError):
    """A copy on the host is not what was sent, or could not be made: a full disk, a broken link, no directory, or somebody else's hand."""


class Leftovers(BenchError):
    """After the vdevs were taken away the host was not as it had been found."""


@dataclass
class Deployment:
    """Vdev files in a private directory of a host. Made by `install`, ended by `restore`."""

    host: DeploymentHost
    profile: HostProfile
    files: tuple[VdevFile, ...]
    run: str
    directory: str
    """The private directory, also the place for what a run's qvm processes leave."""
    events: Events
    _before: list[str] | None = None
    """What the host had when the files came; None: its answer did not arrive."""
    _touched: bool = False

    @classmethod
    def install(
        cls, host: DeploymentHost, board: Board, files: Sequence[VdevFile], *, run: str, events: Events | None = None
    ) -> Deployment:
        """Copies the files to `run-RUN` in the board's scratch directory and checks each copy with the host's own tool.

        `run` names this run; further deployments of the same run add `.SOMETHING`. What other runs left there is removed.
        One round trip, however many files, where a command's input is a quick way (`pipes`) and the host has `tar`; else they go
        the first way it offers (`Host.put`). Which it was stands in `vdev.deploy.end`. Raises `DeploymentFailed`, or what a copy raises.
        However it ends early, the host has been restored, unless it cannot be reached any more; then the next run does it.
        """
        directory = f"{_scratch(board.host)}/run-{run}"
        self = cls(host, board.host, tuple(files), run, directory, events or Events())
        with self.events.step("vdev.deploy", directory=directory, vdevs=[file.name for file in files]) as results:
            try:
                results["way"] = self._copy(board.seconds("transfer"))
            except BaseException:
                with suppress(BenchError):
                    self.restore()
                raise
        return self

    def path(self, name: str) -> str:
        """Where the copy of a vdev lies on the host."""
        return f"{self.directory}/vdev-{name}.so"

    @property
    def library_path(self) -> str:
        """`LD_LIBRARY_PATH` for qvm: the private directory, then what the host's profile says."""
        return ":".join((self.directory, *self.profile.library_path))

    def restore(self) -> None:
        """Removes the private directory and checks that the host is as it was found. May be called again. Raises `Leftovers`."""
        if not self._touched:
            return
        arguments = (_scratch(self.profile), self.profile.vdev_directory, self.directory)
        with self.events.step("vdev.restore", directory=self.directory):
            after = self._script(RESTORE, *arguments)
        self._touched = False
        if self._before is not None and after != self._before:
            difference = sorted(set(after) ^ set(self._before))
            raise Leftovers(
                f"the host is not as it was found: {', '.join(difference)} in {self.profile.scratch} or {self.profile.vdev_directory}",
                "look who else uses the bench; the harness removes its own run-* directories at the next run",
            )

    def _copy(self, seconds: float) -> str:
        """Returns the name of the way the files went."""
        profile, names = self.profile, [file.path.name for file in self.files]
        keep = f"{_scratch(profile)}/run-{self.run.partition('.')[0]}"
        arguments = (_scratch(profile), profile.vdev_directory, self.directory, keep, profile.digest, *names)
        digests: dict[str, str] = {}
        before: list[str] = []
        self._touched = True
        way, said = self._carry(arguments, names, seconds)
        for line in said:
            kind, _, rest = line.partition(" ")
            if kind == "stale":
                self.events.emit("vdev.stale_removed", directory=rest)
            elif kind == "digest":
                found, _, name = rest.partition(" ")
                digests[name] = found
            else:
                before.append(line)
        self._before = before
        for file in self.files:
            arrived, sent = digests.get(file.path.name, "missing"), file.digest(profile.digest)
            if arrived != sent:
                raise DeploymentFailed(
                    f"the {profile.digest} of {file.path.name} is {arrived} on the host, sent was {sent}",
                    f"check the free space of {profile.scratch} on the host (df) and run again",
                )
        return way

    def _carry(self, arguments: Sequence[str], names: Sequence[str], seconds: float) -> tuple[str, list[str]]:
        """The way the files went, and what the host said meanwhile, line by line."""
        if self.host.pipes:
            said = self._script(DEPLOY, *arguments, timeout=seconds, input=_archive(self.files))
            if NO_TAR not in said:
                return ARCHIVE, said
            said.remove(NO_TAR)
            self.events.emit("host.way_refused", way=ARCHIVE, reason="the host has no tar")
        else:
            said = self._script(PREPARE, *arguments, timeout=seconds)
        way = self.host.put({file.path: f"{self.directory}/{file.path.name}" for file in self.files})
        return way, [*said, *self._script(CHECK, self.directory, self.profile.digest, *names, timeout=seconds)]

    def _script(self, script: str, *arguments: str, timeout: float | None = None, input: bytes | None = None) -> list[str]:
        """Lines that a script printed. Raises `DeploymentFailed` for a status other than 0, with what the host said."""
        try:
            result = self.host.run(["sh", "-c", script, "sh", *arguments], timeout=timeout, input=input)
        except CommandFailed as error:
            said = error.evidence.splitlines()[-1] if error.evidence else f"status {error.result.status}"
            raise DeploymentFailed(
                f"{self.directory} on the host cannot be written: {said}",
                f"let host.scratch name a directory on a disk, and check its free space (df {self.profile.scratch})",
                evidence=error.evidence,
            ) from None
        return result.stdout.decode("utf-8", "replace").splitlines()


def _archive(files: Sequence[VdevFile]) -> bytes:
    """The files as a tar archive, readable by everyone on the host and nothing else told of them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in files:
            content = file.path.read_bytes()
            entry = tarfile.TarInfo(file.path.name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _scratch(profile: HostProfile) -> str:
    return profile.scratch.rstrip("/")
