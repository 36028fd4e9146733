"""A hypervisor host that is this machine: the harness's host operations with real processes, for tests that need no board."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.boardfile import Board
from harness.boardfile.schema import About, HostProfile
from harness.clock import Deadline
from harness.command import CommandFailed, Result


class LocalProcess:
    """A child whose output goes to files, and who is gone for everybody the moment it ends, as below a shell that waits for it."""

    def __init__(self, argv: Sequence[str], directory: Path, name: str, environment: Mapping[str, str]) -> None:
        self.out, self.err = directory / f"{name}.out", directory / f"{name}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, **environment})
        threading.Thread(target=self.child.wait, daemon=True).start()
        self.signals: list[str] = []

    @property
    def pid(self) -> int:
        return self.child.pid

    def poll(self) -> int | None:
        return _as_shell(self.child.poll())

    def wait(self, deadline: Deadline) -> int | None:
        try:
            return _as_shell(self.child.wait(deadline.remaining))
        except subprocess.TimeoutExpired:
            return None

    def signal(self, name: str) -> None:
        self.signals.append(name)
        self.child.send_signal(getattr(signal, f"SIG{name}"))

    def stdout(self) -> bytes:
        return self.out.read_bytes()

    def stderr(self) -> bytes:
        return self.err.read_bytes()


class LocalHost:
    """Counts its round trips; `spoil` makes every copy whose name holds it arrive with a byte changed."""

    def __init__(self) -> None:
        self.trips = 0
        self.spoil = ""
        self.processes: list[LocalProcess] = []

    def run(self, argv: Sequence[str], check: bool = True) -> Result:
        self.trips += 1
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        result = Result(done.returncode, done.stdout, done.stderr)
        if check and result.status:
            raise CommandFailed("this machine", shlex.join(argv), result)
        return result

    def put(self, files: Mapping[Path, str]) -> None:
        self.trips += 1
        for local, remote in files.items():
            shutil.copyfile(local, remote)
            if self.spoil and self.spoil in remote:
                with Path(remote).open("r+b") as copy:
                    first = copy.read(1)
                    copy.seek(0)
                    copy.write(bytes([first[0] ^ 1]))

    def digest(self, paths: Sequence[str]) -> dict[str, str]:
        self.trips += 1
        return {path: hashlib.sha1(Path(path).read_bytes(), usedforsecurity=False).hexdigest() for path in paths}

    def exists(self, path: str) -> bool:
        self.trips += 1
        return Path(path).exists()

    def start(self, argv: Sequence[str], directory: str, name: str, environment: Mapping[str, str]) -> LocalProcess:
        self.trips += 1
        process = LocalProcess(argv, Path(directory), name, environment)
        self.processes.append(process)
        return process


def _as_shell(status: int | None) -> int | None:
    """A death by signal as a shell reports it."""
    return 128 - status if status is not None and status < 0 else status


def board(directory: Path) -> Board:
    """A board file for this machine whose host keeps everything below a directory."""
    profile = HostProfile(
        scratch=str(directory / "data" / "harness"), vdev_directory=str(directory / "dll"), library_path=("/lib", "/lib/dll")
    )
    about = About(description="this machine", arch="x86_64", os="qnx-8.0")
    return Board(name="local", files=(), board=about, host=profile)
