"""A hypervisor host that is this machine: `harness.host.Host` over a transport that needs no board and no network."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from harness.boardfile import Board
from harness.boardfile.schema import About, HostProfile
from harness.command import Result
from harness.events import Events
from harness.host import Host, Transport

SIGNAL = re.compile(r"kill -s .* ([A-Z]+)$", re.DOTALL)
"""How `HostProcess` sends one: the name is the script's last argument."""


class LocalTransport:
    """Counts its round trips; `spoil` makes every copy whose name holds it arrive with a byte changed, and so every archive with it.

    `interrupt` is raised once instead of the answer to the next round trip that carries input or copies a file: what was asked is
    done, but nobody hears of it.
    """

    def __init__(self, *, pipes: bool = True) -> None:
        self.pipes = pipes
        self.trips = 0
        self.spoil = ""
        self.interrupt: BaseException | None = None
        self.scripts: list[str] = []

    @property
    def signals(self) -> list[str]:
        """The signals that were sent, in order."""
        return [found[1] for script in self.scripts if (found := SIGNAL.search(script))]

    def run_text(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        self.trips += 1
        self.scripts.append(script)
        if input and self.spoil and self.spoil.encode() in input:
            at = input.index(self.spoil.encode()) + 512  # its content, behind the header
            input = input[:at] + bytes([input[at] ^ 1]) + input[at + 1 :]
        done = subprocess.run(["sh", "-c", script], input=input or b"", capture_output=True, timeout=timeout, check=False)
        if input:
            self._interrupted()
        return Result(done.returncode, done.stdout, done.stderr)

    def _interrupted(self) -> None:
        if (error := self.interrupt) is not None:
            self.interrupt = None
            raise error

    def put(self, files: Mapping[Path, str], timeout: float) -> str:
        assert timeout > 0
        self.trips += 1
        for local, remote in files.items():
            shutil.copyfile(local, remote)
            if self.spoil and self.spoil in remote:
                content = bytearray(Path(remote).read_bytes())
                content[0] ^= 1
                Path(remote).write_bytes(content)
        self._interrupted()
        return "local"

    def get(self, files: Mapping[str, Path], timeout: float) -> str:
        assert timeout > 0
        self.trips += 1
        for remote, local in files.items():
            shutil.copyfile(remote, local)
        return "local"


def board(directory: Path) -> Board:
    """A board file for this machine whose host keeps everything below a directory. With the `tools` of `link_tools` it has no others."""
    bare = (directory / "tools").is_dir()
    profile = HostProfile(
        path=(str(directory / "bin"), *([str(directory / "tools")] if bare else ("/usr/sbin", "/usr/bin", "/sbin", "/bin"))),
        library_path=("/lib", "/lib/dll"),
        scratch=str(directory / "data" / "harness"),
        vdev_directory=str(directory / "dll"),
    )
    about = About(description="this machine", arch="x86_64", os="qnx-8.0")
    return Board(name="local", files=(), board=about, host=profile)


def link_tools(directory: Path, *tools: str) -> Path:
    """Makes `directory / "tools"`, where these programs are and nothing else."""
    made = directory / "tools"
    made.mkdir()
    for tool in tools:
        (made / tool).symlink_to(shutil.which(tool) or tool)
    return made


def host(directory: Path, transport: Transport, events: Events) -> Host:
    """The host of `board(directory)`. Its `sh` is mksh, as close to QNX's ksh as Debian comes."""
    shell = directory / "bin" / "sh"
    shell.parent.mkdir()
    shell.symlink_to(shutil.which("mksh") or "mksh")
    return Host(transport, board(directory), events)
