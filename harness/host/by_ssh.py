"""The host by SSH: commands through the control master, files by the first way the host offers.

The ways, best first: `sftp`; `scp -O`, the old protocol, for a server without the sftp subsystem (QNX's stock sshd_config names none);
`cat` through a command, which every host has. Without SSH the console is left (`serial.py`). The first copy is the probe, and the way
stays for as long as the connection. The invariant: a way is left only when the host does not offer it; a full disk is told, not tried
again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness.command import CommandFailed, Result, exports, quote
from harness.errors import UseError, writing
from harness.events import Events
from harness.ssh import NotOffered, SshConnection


class SshTransport:
    """A connection as a transport. Raises what `SshConnection` raises."""

    pipes = True

    def __init__(self, connection: SshConnection, path: Sequence[str], events: Events) -> None:
        """`path` is the host's (`host.path` of the board file): its SSH server may give commands none."""
        self._connection = connection
        self._events = events
        self._ways: list[_Way] = [_Sftp(connection), _Scp(connection), _Cat(connection, path)]

    def run_text(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        """Runs shell text as it is. Raises as `SshConnection.run_text`."""
        return self._connection.run_text(script, timeout, input)

    def put(self, files: Mapping[Path, str], timeout: float, /) -> str:
        """Copies files to the host; returns the name of the way. Raises `UseError` for a file that is not here."""
        for local in files:
            if not local.is_file():
                raise UseError(f"{local} is not there", "build it, or correct the path")
        return self._by_first(lambda way: way.put(files, timeout))

    def get(self, files: Mapping[str, Path], timeout: float, /) -> str:
        """Copies files from the host; returns the name of the way."""
        return self._by_first(lambda way: way.get(files, timeout))

    def _by_first(self, copy: Callable[[_Way], None]) -> str:
        while True:
            way = self._ways[0]
            try:
                copy(way)
            except NotOffered as reason:
                self._events.emit("host.way_refused", way=way.name, reason=str(reason))
                del self._ways[0]
            else:
                return way.name


class _Way(Protocol):
    """One way of copying files. `put` and `get` raise `NotOffered` when the host does not have it."""

    name: str

    def put(self, files: Mapping[Path, str], timeout: float) -> None: ...

    def get(self, files: Mapping[str, Path], timeout: float) -> None: ...


class _Sftp:
    """One session, however many files."""

    name = "sftp"

    def __init__(self, connection: SshConnection) -> None:
        self.put = connection.put
        self.get = connection.get


class _Scp:
    """One session for each file: the old protocol has no other way to give each a name of its own. The host's own `scp` is started by its
    SSH server, on that one's PATH, whatever the board file says."""

    name = "scp -O"

    def __init__(self, connection: SshConnection) -> None:
        self._connection = connection

    def put(self, files: Mapping[Path, str], timeout: float) -> None:
        self._offered(timeout)
        for local, remote in files.items():
            self._connection.scp(f"{local.absolute()}", self._connection.remote(remote), timeout)

    def get(self, files: Mapping[str, Path], timeout: float) -> None:
        self._offered(timeout)
        for remote, local in files.items():
            self._connection.scp(self._connection.remote(remote), f"{local.absolute()}", timeout)

    def _offered(self, timeout: float) -> None:
        if self._connection.run_text("command -v scp", timeout).status:
            raise NotOffered("the host has no scp where its SSH server looks for programs", "put it on the server's path")


class _Cat:
    """One command for each file; every host has it."""

    name = "cat over ssh"

    def __init__(self, connection: SshConnection, path: Sequence[str]) -> None:
        self._connection = connection
        self._path = exports({"PATH": ":".join(path)})

    def put(self, files: Mapping[Path, str], timeout: float) -> None:
        for local, remote in files.items():
            self._run(f"cat >{quote([remote])}", timeout, local.read_bytes())

    def get(self, files: Mapping[str, Path], timeout: float) -> None:
        for remote, local in files.items():
            content = self._run(f"cat {quote([remote])}", timeout).stdout
            with writing(local.parent):
                local.write_bytes(content)

    def _run(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        result = self._connection.run_text(self._path + script, timeout, input)
        if result.status:
            raise CommandFailed("host", script, result)
        return result
