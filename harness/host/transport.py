"""A way to the host.

The invariant: `run_text` returns what the command did, or raises; which way it went makes no difference to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from harness.command import Result
from harness.console import Shell
from harness.errors import BenchError


class NoTransfer(BenchError):
    """Files can only be copied over SSH."""


class Transport(Protocol):
    """What `SshConnection` offers as it is, and a console's `Shell` through `ConsoleTransport`."""

    def run_text(self, script: str, timeout: float, input: bytes | None = None) -> Result: ...

    def put(self, files: Mapping[Path, str], timeout: float, /) -> None: ...

    def get(self, files: Mapping[str, Path], timeout: float, /) -> None: ...


class ConsoleTransport:
    """The host's console shell as a transport. It runs commands; copying files is for SSH."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def run_text(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        return self._shell.run_text(script, timeout, input)

    def put(self, files: Mapping[Path, str], _timeout: float, /) -> None:
        raise self._refusal(f"{len(files)} files cannot be copied to the host: {', '.join(path.name for path in files)}")

    def get(self, files: Mapping[str, Path], _timeout: float, /) -> None:
        raise self._refusal(f"{len(files)} files cannot be copied from the host: {', '.join(files)}")

    def _refusal(self, what: str) -> NoTransfer:
        return NoTransfer(f"{what}; it is reached by its console alone", "give the board a network and ssh.host in its bench file")
