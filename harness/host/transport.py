"""The two ways to a host, with one face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.command import Result
from harness.console import Shell
from harness.errors import BenchError
from harness.ssh import SshConnection


class BySsh:
    """Everything over one SSH connection."""

    def __init__(self, connection: SshConnection) -> None:
        self._connection = connection

    def run(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        return self._connection.run(script, timeout, input)

    def put(self, files: Mapping[Path, str], timeout: float) -> None:
        self._connection.put(files, timeout)

    def get(self, files: Mapping[str, Path], timeout: float) -> None:
        self._connection.get(files, timeout)


class OverConsole:
    """Commands over the console's shell; files do not go this way yet."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def run(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        return self._shell.run_text(script, timeout, input)

    def put(self, files: Mapping[Path, str], timeout: float) -> None:
        raise self._no_files()

    def get(self, files: Mapping[str, Path], timeout: float) -> None:
        raise self._no_files()

    @staticmethod
    def _no_files() -> BenchError:
        return BenchError("files cannot be copied over the console alone", "give the bench file an [ssh] table with the host's address")
