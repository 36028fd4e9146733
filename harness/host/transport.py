"""A way to the host.

The invariant: `run_text` returns what the command did, or raises; which way it went makes no difference to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from harness.command import Result


class Transport(Protocol):
    """`SshTransport` and `ConsoleTransport`."""

    @property
    def pipes(self) -> bool:
        """Whether a command's input is as quick a way for a file as copying it."""
        ...

    def run_text(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        """Runs shell text for `timeout` seconds at most, with `input` or nothing as its standard input.

        Raises `CommandTimeout`, or what the way raises when it is lost: `SshLost`, `NoShell`.
        """
        ...

    def put(self, files: Mapping[Path, str], timeout: float, /) -> str:
        """Copies files to the host; returns the name of the way they went."""
        ...

    def get(self, files: Mapping[str, Path], timeout: float, /) -> str:
        """Copies files from the host to local paths; returns the name of the way they came."""
        ...
