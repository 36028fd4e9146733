"""The host by SSH: commands through the control master, files by the first way the host offers.

The ways, best first: `sftp`; `scp -O`, the old protocol, for a server without the sftp subsystem (QNX's stock sshd_config names none);
`cat` through a command, which every host has; the console, when there is one. The first copy is the probe, and the way stays for as long
as the connection. The invariant: a way is left only when the host does not offer it; a full disk is told, not tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.command import CommandFailed, Result, quote
from harness.errors import UseError
from harness.events import Events
from harness.ssh import NotOffered, SshConnection


class SshTransport:
    """A connection as a transport. Raises what `SshConnection` raises."""

    pipes = True

    def __init__(self, connection: SshConnection, events: Events) -> None:
        self.connection = connection
        self._events = events
        self._ways = ["sftp", "scp", "cat"]

    def run_text(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        return self.connection.run_text(script, timeout, input)

    def put(self, files: Mapping[Path, str], timeout: float, /) -> str:
        """Copies files to the host; returns the name of the way. Raises `UseError` for a file that is not here."""
        for local in files:
            if not local.is_file():
                raise UseError(f"{local} is not there", "build it, or correct the path")
        return self._by({"sftp": self.connection.put, "scp": self.connection.scp_put, "cat": self._cat_put}, files, timeout)

    def get(self, files: Mapping[str, Path], timeout: float, /) -> str:
        return self._by({"sftp": self.connection.get, "scp": self.connection.scp_get, "cat": self._cat_get}, files, timeout)
