"""Starts a board that is a program, and ends it.

The program prints one JSON line of end points and lives until its standard input closes. The invariant: only this process
holds the other end of that pipe, so however this process ends, SIGKILL included, the board ends with it.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO

from harness.boardfile.load import with_endpoints
from harness.boardfile.schema import Board, Launch
from harness.boardfile.validate import BadBoardFile
from harness.clock import Deadline
from harness.errors import BenchError, UseError
from harness.events import Events

STOP_SECONDS = 5.0
"""What a board may take to end itself, before it is told by SIGTERM, and as long again before SIGKILL."""
STATUS_CANNOT = 3
"""Exit status of a launched program that lacks something on this machine; its last line says what, and what to do."""
_LONGEST_LINE = 65536


class LaunchFailed(BenchError):
    """The program behind a board did not come up: it died, stayed silent, or said something that is no line of end points."""


class LaunchRefused(UseError):
    """The program behind a board is missing, or says itself that something it needs is missing on this machine."""


def launch(board: Board, *, events: Events | None = None, log: Path | None = None) -> Launched:
    """Starts the board's program, if it has one. `log` keeps what it writes to its standard error."""
    return Launched(board, events or Events(), log)


class Launched:
    """A board with its program running behind it; a real board just as it is. A context manager: leaving it ends the program."""

    def __init__(self, board: Board, events: Events, log: Path | None) -> None:
        self.board = board
        self._events = events
        self._log_path = log
        self._held = ExitStack()
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The program's process; None for a board that has none."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Launched:
        if self.board.launch:
            try:
                self._start(self.board.launch)
            except BaseException:
                self.stop()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def check(self) -> None:
        """Raises `LaunchFailed` when the program is there no more."""
        if self._process and self._process.poll() is not None:
            raise LaunchFailed(
                f"{self._who} {_ending(self._process.returncode)}",
                "see what it said last, and who ends programs on this machine (the system does for want of memory)",
                evidence=self._last_words(),
            )

    def stop(self) -> None:
        """Closes the program's standard input and waits for it to end; a program that does not is ended. Harmless when repeated."""
        process, self._process = self._process, None
        if process:
            self._end_of(process)
        self._held.close()

    def _end_of(self, process: subprocess.Popen[bytes]) -> None:
        with self._events.step("launch.stop", pid=process.pid) as results:
            if process.stdin:
                process.stdin.close()
            results["ended_by"] = _end(process)
            results["status"] = process.returncode
        if process.stdout:
            process.stdout.close()

    def _start(self, spec: Launch) -> None:
        command = [word.replace("{python}", sys.executable).replace("{name}", self.board.name) for word in spec.command]
        deadline = Deadline.after(spec.ready * self.board.timing.factor, "its line of end points")
        log = self._log_path.open("w+b") if self._log_path else TemporaryFile()  # noqa: SIM115 (closed by `stop`)
        self._log = self._held.enter_context(log)
        with self._events.step("launch", command=command) as results:
            try:
                # A session of its own: Ctrl-C on the terminal must reach the run, which then powers the board off in order.
                self._process = subprocess.Popen(
                    command, cwd=self.board.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, start_new_session=True
                )
            except OSError as error:
                raise LaunchRefused(
                    f"{self.board.files[0]}: launch.command cannot be started: {command[0]}: {error.strerror}",
                    "run `make setup`, or mend the key",
                ) from None
            results["pid"] = self._process.pid
            line = self._first_line(self._process, deadline)
            results["endpoints"] = line
            self.board = self._with_line(line)

    def _first_line(self, process: subprocess.Popen[bytes], deadline: Deadline) -> str:
        """The first line on the program's standard output. Bytes behind it are no part of the protocol and stay unread."""
        assert process.stdout
        output, received = process.stdout.fileno(), b""
        end = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(output, select.POLLIN)
            poll.register(end, select.POLLIN)
            while b"\n" not in received:
                ready = {descriptor for descriptor, _ in poll.poll(deadline.remaining * 1000)}
                chunk = os.read(output, _LONGEST_LINE) if output in ready else b""
                received += chunk
                if not ready:
                    raise LaunchFailed(
                        f"{self._who} printed no line of end points within {deadline.seconds:g} s",
                        "raise launch.ready or timing.factor, or see what it says",
                        evidence=self._last_words(),
                    )
                if not chunk:
                    raise self._died(_status_of(process))
                if len(received) > _LONGEST_LINE:
                    break
        finally:
            os.close(end)
        return received.split(b"\n", 1)[0].decode(errors="replace")

    def _with_line(self, line: str) -> Board:
        try:
            endpoints = json.loads(line)
        except ValueError:
            endpoints = None
        if not isinstance(endpoints, dict):
            raise LaunchFailed(
                f"{self._who} printed a line that is not a JSON object: {line[:200]!r}",
                "mend the program; its log goes to standard error",
                evidence=self._last_words(),
            )
        try:
            return with_endpoints(self.board, endpoints, f"the line printed by {self._who}")
        except BadBoardFile as error:
            raise LaunchFailed(error.sentence, error.next_step, evidence=line) from None

    def _died(self, status: int | None) -> BenchError | UseError:
        words = self._last_words()
        if status == STATUS_CANNOT and words:
            return LaunchRefused(words.splitlines()[-1])
        return LaunchFailed(f"{self._who} {_ending(status)}", "see what it says", evidence=words)

    @property
    def _who(self) -> str:
        assert self.board.launch
        return f"the program behind {self.board.name} (`{shlex.join(self.board.launch.command)}`)"

    def _last_words(self, lines: int = 20) -> str:
        if not self._log or self._log.closed:
            return ""
        self._log.seek(0)
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-lines:])


def _status_of(process: subprocess.Popen[bytes]) -> int | None:
    """The status of a process that just closed its output or ended; None when it lives on without one."""
    try:
        return process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return None


def _end(process: subprocess.Popen[bytes]) -> str:
    """Waits for a process whose input has closed; tells it and in the end makes it. Says what it took."""
    for taken, tell in (("end of input", None), ("SIGTERM", process.terminate)):
        if tell:
            tell()
        try:
            process.wait(timeout=STOP_SECONDS)
            return taken
        except subprocess.TimeoutExpired:
            continue
    os.killpg(process.pid, signal.SIGKILL)  # its own session, made by start_new_session
    process.wait()
    return "SIGKILL"


def _ending(status: int | None) -> str:
    if status is None:
        return "closed its standard output"
    return f"was ended by {signal.strsignal(-status) or -status}" if status < 0 else f"ended with status {status}"
