"""What is done on the hypervisor host.

The invariant: arguments become shell text in `harness.command.quote` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from harness.boardfile import Board
from harness.command import CommandFailed, Result, exports, quote
from harness.errors import BenchError
from harness.events import Events
from harness.host.process import START, START_ON_FIFOS, HostProcess
from harness.host.transport import Transport

P = ParamSpec("P")
T = TypeVar("T")


def _watched(call: Callable[Concatenate[Host, P], T]) -> Callable[Concatenate[Host, P], T]:
    """Asks before a call, and again when it failed, whether the host is still the one that was met: what became of it is the reason."""

    @wraps(call)
    def watched(self: Host, /, *arguments: P.args, **named: P.kwargs) -> T:
        self.still_there(None)
        try:
            return call(self, *arguments, **named)
        except BenchError as error:
            self.still_there(error)
            raise

    return watched


class Host:
    """The host of one board, over one transport."""

    def __init__(self, transport: Transport, board: Board, events: Events) -> None:
        self.transport = transport
        self._name = board.name
        self._digest = board.host.digest
        self._command_seconds = board.seconds("command")
        self._transfer_seconds = board.seconds("transfer")
        self._events = events
        self.environment = {"PATH": ":".join(board.host.path), "LD_LIBRARY_PATH": ":".join(board.host.library_path)}
        """What every command gets."""
        self.still_there: Callable[[BenchError | None], None] = lambda _: None
        """Raises when the host is gone, by whatever its bench sees of it; called with what failed, or with nothing."""

    @_watched
    def run(
        self,
        argv: Sequence[str],
        check: bool = True,
        *,
        timeout: float | None = None,
        input: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        """Runs a program; `timeout` (seconds) is the board's for commands unless given, `environment` is added to the host's own.

        Raises `CommandFailed` for a status other than 0 unless `check` is False, `CommandTimeout`, or what the transport raises.
        """
        command = quote(argv)
        seconds = self._command_seconds if timeout is None else timeout
        result = self.transport.run_text(exports({**self.environment, **(environment or {})}) + command, seconds, input)
        if check and result.status:
            raise CommandFailed(f"{self._name}, host", command, result)
        return result

    @_watched
    def put(self, files: Mapping[Path, str]) -> str:
        """Copies local files to paths on the host, all in one session; returns the name of the way. Their directories must be there."""
        size = sum(path.stat().st_size for path in files if path.exists())
        with self._events.step("host.put", files=list(files.values()), bytes=size) as results:
            way = results["way"] = self.transport.put(files, self._transfer_seconds)
        return way

    @_watched
    def get(self, files: Mapping[str, Path]) -> None:
        """Copies files from the host to local paths, all in one session."""
        with self._events.step("host.get", files=list(files)) as results:
            results["way"] = self.transport.get(files, self._transfer_seconds)

    @property
    def pipes(self) -> bool:
        """Whether the input of a command is as quick a way for a file as `put`."""
        return self.transport.pipes

    def exists(self, path: str) -> bool:
        """Whether there is anything at a path."""
        return self.run(["test", "-e", path], check=False).status == 0

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises `CommandFailed` when there is none."""
        return self.run(["cat", path]).stdout

    def listing(self, directories: Sequence[str]) -> tuple[str, ...]:
        """Every path below some directories with the checksum of each file, sorted; a directory that is not there has none."""
        script = 'for d do if test -d "$d"; then find "$d" -type f -exec cksum {} +; find "$d" ! -type f; fi; done'
        return tuple(sorted(self.run(["sh", "-c", script, "sh", *directories]).text.splitlines()))

    def digest(self, paths: Sequence[str]) -> dict[str, str]:
        """The digest of each file by the host's own tool (`host.digest` of the board file), all in one command."""
        if not paths:
            return {}
        lines = self.run([self._digest, *paths], timeout=self._transfer_seconds).text.splitlines()
        found = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
        if set(found) != set(paths):
            raise BenchError(
                f"{self._name}, host: {self._digest} printed no digest for {', '.join(sorted(set(paths) - set(found)))}",
                "check host.digest in the board file",
                evidence="\n".join(lines),
            )
        return found

    def start(
        self, argv: Sequence[str], directory: str, name: str, environment: Mapping[str, str] | None = None, *, fifos: bool = False
    ) -> HostProcess:
        """Starts a program that goes on when the connection ends. It runs in `directory`, and leaves NAME.out, .err and .status there.

        With `fifos` it reads NAME.in and writes NAME.fifo there as long as it lives, and NAME.out stays empty.
        """
        script = START_ON_FIFOS if fifos else START
        result = self.run(["sh", "-c", script, "sh", directory, name, *argv], environment=environment)
        pid = result.text.strip()
        if not pid.isdigit():
            raise CommandFailed(f"{self._name}, host", quote(argv), result)
        process = HostProcess(self.run, f"{directory.rstrip('/')}/{name}", int(pid), self._events)
        self._events.emit("host.start", argv=list(argv), directory=directory, name=name, pid=process.pid)
        return process
