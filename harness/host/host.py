"""The host: commands with an environment that is always given, files, and processes that outlive the command that started them.

A command by SSH is no login shell and has no profile; one on the console may have any. So PATH and LD_LIBRARY_PATH of the board file
go with every command, and a command does the same on both ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness.boardfile import Board
from harness.command import CommandFailed, Result, exports, quote
from harness.errors import BenchError
from harness.events import Events
from harness.host.process import START, HostProcess

LISTING = """\
for directory do
    if test -d "$directory"; then find "$directory" -type d; find "$directory" -type f -exec cksum {} +; fi
done | sort
"""


class MissingOnHost(BenchError):
    """A file the host should have is not there."""


class Transport(Protocol):
    """A way to the host."""

    def run(self, script: str, timeout: float, input: bytes | None = None) -> Result: ...

    def put(self, files: Mapping[Path, str], timeout: float) -> None: ...

    def get(self, files: Mapping[str, Path], timeout: float) -> None: ...


class Host:
    """The QNX side that runs `qvm`."""

    def __init__(self, board: Board, transport: Transport, events: Events) -> None:
        self._board = board
        self._transport = transport
        self._events = events
        profile = board.host
        self.environment = {"PATH": ":".join(profile.path), "LD_LIBRARY_PATH": ":".join(profile.library_path)}
        """What every command gets."""

    def run(
        self,
        argv: Sequence[str],
        check: bool = True,
        *,
        timeout: float | None = None,
        input: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        """Runs a program with its arguments, each unchanged. `timeout` in seconds, by default the board's for a command.

        Raises `CommandFailed` when `check` and its status is not 0, `CommandTimeout`, or what the way to the host raises.
        """
        script = exports({**self.environment, **(environment or {})}) + quote(argv)
        result = self._transport.run(script, timeout or self._board.seconds("command"), input)
        self._events.emit("host.run", argv=list(argv), status=result.status)
        if check and result.status:
            raise CommandFailed(self._board.name, quote(argv), result)
        return result

    def put(self, files: Mapping[Path, str]) -> None:
        """Copies local files to paths on the host, in one go."""
        with self._events.step("host.put", files={str(local): remote for local, remote in files.items()}):
            self._transport.put(files, self._board.seconds("transfer"))

    def get(self, files: Mapping[str, Path]) -> None:
        """Copies files of the host to local paths, in one go."""
        with self._events.step("host.get", files={remote: str(local) for remote, local in files.items()}):
            self._transport.get(files, self._board.seconds("transfer"))

    def exists(self, path: str) -> bool:
        return self.run(["test", "-e", path], check=False).status == 0

    def digest(self, paths: Sequence[str]) -> dict[str, str]:
        """The digest of each file by the tool that `host.digest` names, in hex. Raises `MissingOnHost`."""
        result = self.run([self._board.host.digest, *paths], check=False, timeout=self._board.seconds("transfer"))
        found = {path: digest for digest, _, path in (line.partition("  ") for line in result.text.splitlines())}
        missing = [path for path in paths if path not in found]
        if missing:
            said = result.stderr.decode(errors="replace").strip()
            raise MissingOnHost(f"{self._board.name}: {self._board.host.digest} has no answer for {', '.join(missing)}", "see what it said", evidence=said)
        return found

    def listing(self, directories: Sequence[str]) -> list[str]:
        """Every directory below some directories, and every file with its checksum; sorted, for comparison."""
        return self.run(["sh", "-c", LISTING, "sh", *directories]).text.splitlines()

    def start(self, argv: Sequence[str], directory: str, name: str, environment: Mapping[str, str] | None = None) -> HostProcess:
        """Starts a program that goes on when the command that started it is over, in `directory`.

        Its output, errors and exit status are kept there in `NAME.out`, `NAME.err` and `NAME.status`.
        """
        result = self.run(["sh", "-c", START, "sh", directory, name, *argv], environment=environment)
        pid = result.text.strip()
        if not pid.isdigit():
            raise BenchError(f"{self._board.name}: `{quote(argv)}` could not be started: {result.text!r}", f"check that {directory} is writable")
        self._events.emit("host.start", argv=list(argv), pid=int(pid), directory=directory)
        return HostProcess(self.run, int(pid), f"{directory}/{name}")
