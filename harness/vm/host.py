"""What a qvm process asks of the hypervisor host; `harness.host.Host` and `HostProcess` are such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness.clock import Deadline
from harness.command import Result


class Process(Protocol):
    """A detached process on the host."""

    @property
    def base(self) -> str:
        """Its files on the host are named so, each with an ending of its own (`.out`, `.err`, `.status`)."""
        ...

    @property
    def pid(self) -> int:
        """Its number on the host."""
        ...

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        ...

    def wait(self, deadline: Deadline) -> int | None:
        """The exit status once it has ended; None when it did not by the deadline."""
        ...

    def signal(self, name: str) -> None:
        """Sends a signal by its name (`TERM`), never KILL; nothing when it has ended."""
        ...

    def stdout(self) -> bytes:
        """What it printed so far; of a long text the begin and the end."""
        ...

    def stderr(self) -> bytes:
        """As `stdout`."""
        ...


class QvmHost(Protocol):
    """What a qvm process asks of the hypervisor host."""

    def run(self, argv: Sequence[str], check: bool = True, *, timeout: float | None = None) -> Result:
        """Runs a program for `timeout` seconds at most. With `check`, raises `CommandFailed` for a status other than 0."""
        ...

    def put(self, files: Mapping[Path, str]) -> object:
        """Copies local files to paths on the host, whose directories are there."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is anything at a path."""
        ...

    def start(self, argv: Sequence[str], directory: str, name: str, environment: Mapping[str, str], *, fifos: bool) -> Process:
        """Starts a program in `directory` that goes on by itself; `fifos`: its input and output are FIFOs (`harness.host.Host.start`)."""
        ...
