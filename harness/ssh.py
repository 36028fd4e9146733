"""OpenSSH to a host: one connection, kept by a control master, used by every command.

The master is a child that dies with this process, however this process ends. No call that goes through it may open a connection of
its own (`ProxyCommand=false`): with the master gone it fails at once instead of falling back in silence. The user's own ssh
configuration is honoured unless the board file says otherwise (`ssh.config`); what the board file says comes before it, and so does what
a connection without a person at it is (`UNATTENDED`).
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import IO

from harness.boardfile import Board, Ssh
from harness.boardfile.places import user_benches
from harness.clock import Deadline
from harness.command import CommandTimeout, Result, shown
from harness.errors import BenchError, UseError
from harness.events import Events

READY = b"harness-ssh-ready"
LOST = 255
"""What ssh itself ends with when the connection, not the command, failed."""
ALIVE_SECONDS = 3
ALIVE_COUNT = 3
"""A dead link is noticed within their product."""
UNATTENDED = ("BatchMode=yes", "RequestTTY=no", "RemoteCommand=none", "ForwardX11=no", "ForwardAgent=no")
"""Options whatever the user's configuration has for his own sessions."""
PAUSE = 0.2
"""Seconds between two tries; a board that boots refuses at once, and each try is a process."""
PRIVATE = "harness-ssh-"
"""Directories of control sockets are named so, then the number of the process they belong to."""
SOCKET_LIMIT = 107 - 17
"""Longest path of a control socket: what `sun_path` holds, less the suffix ssh gives it while it makes it."""


class SshLost(BenchError):
    """The connection to the host broke. Usual causes: the host went down or rebooted by itself, the cable, the network."""


class SshUnreachable(BenchError):
    """No SSH server answered. Usual causes: it is not started yet, the address is wrong, a firewall."""


class KeyRefused(BenchError):
    """The host does not let this key in."""


class HostKeyChanged(BenchError):
    """The host's key is another one than the board file pins: another host at this address, or new keys after a reinstallation."""


class NotOffered(BenchError):
    """The host does not offer this way of copying files."""


class NoSshClient(UseError):
    """OpenSSH's client is not installed on the lab controller."""


class SshConnection:
    """A connection to one host. `connect`, then `run`, `put`, `get`; `close` at the end."""

    def __init__(self, board: Board, events: Events) -> None:
        """Touches nothing. Raises `NoSshClient`."""
        if shutil.which("ssh") is None:
            raise NoSshClient("ssh is not installed on this machine", "install openssh-client (`make setup` does)")
        self.settings: Ssh = board.ssh
        self._board = board.name
        self._events = events
        self._directory = _private_directory()
        self._socket = self._directory / "master"
        self._master: subprocess.Popen[bytes] | None = None

    def connect(self, deadline: Deadline) -> None:
        """Tries until the server lets us in.

        Raises `SshUnreachable` with the last refusal; at once `KeyRefused`, `HostKeyChanged`, or `UseError` for an option ssh refuses.
        The thread that connects must stay: Linux ends the master with the thread that started it.
        """
        refusal = ""
        while not deadline.expired:
            reason = self._start_master(deadline)
            if not reason:
                return
            self._raise_final(reason)
            self._events.emit("ssh.refused", reason=reason)
            if not (refusal and deadline.expired):  # the deadline may have cut the last try short, in the middle of what it said
                refusal = reason
            threading.Event().wait(min(PAUSE, deadline.remaining))
        raise SshUnreachable(
            f"{self._board}: no SSH server let us in at {self._place} within {deadline.seconds:g} s ({_one_line(refusal) or 'no answer'})",
            "check the network, ssh.host and ssh.port, and that sshd runs on the host",
        )

    def run_text(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        """Runs shell text on the host. Raises `SshLost` when the connection broke, `CommandTimeout` when the time was over."""
        command = ["ssh", *self._through_master(), self._destination, "--", script]
        try:
            ended = subprocess.run(command, input=input or b"", capture_output=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise CommandTimeout(
                f"{self._board}: `{shown(script)}` did not end within {timeout:g} s", "raise its timeout or look what it waits for"
            ) from None
        if ended.returncode == LOST and not self._alive():
            raise self._lost(ended.stderr)
        return Result(ended.returncode, ended.stdout, ended.stderr)

    def start(self, script: str, terminal: int) -> subprocess.Popen[bytes]:
        """Starts shell text on the host whose input and output are a terminal of this machine (a descriptor). The caller ends it."""
        command = ["ssh", "-T", *self._through_master(), self._destination, "--", script]
        return subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL, start_new_session=True)

    def put(self, files: Mapping[Path, str], timeout: float) -> None:
        """Copies files to the host, all in one sftp session.

        Raises `UseError` for a file that is not here, `NotOffered`, `SshLost`, `CommandTimeout`, or `BenchError` with sftp's own words.
        """
        for local in files:
            if not local.is_file():
                raise UseError(f"{local} is not there", "build it, or correct the path")
        self._sftp([f"put {_quoted(str(local))} {_quoted(remote)}" for local, remote in files.items()], timeout)

    def get(self, files: Mapping[str, Path], timeout: float) -> None:
        """Copies files from the host, all in one sftp session; raises as `put`."""
        self._sftp([f"get {_quoted(remote)} {_quoted(str(local))}" for remote, local in files.items()], timeout)

    def scp(self, source: str, target: str, timeout: float) -> None:
        """Copies one file by the old protocol, which needs no subsystem, but `scp` on the host. One of the two is made by `remote`.

        `-T`: the client would compare the name that comes with the quoted one it asked for.

        Raises `SshLost`, `CommandTimeout`, or `BenchError` with scp's own words.
        """
        options = [word if word != "-p" else "-P" for word in self._through_master()]
        ended = self._copy(["scp", "-O", "-T", "-q", *options, source, target], b"", timeout)
        if ended.returncode:
            raise self._not_copied("scp", ended.stderr, "check that the directory is there on the host, and its free space (df)")

    def remote(self, path: str) -> str:
        """A path on the host as `scp` takes it: the host's shell reads it."""
        return f"{self._destination}:{shlex.quote(path)}"

    def close(self) -> None:
        """Ends the connection. Harmless when repeated."""
        master, self._master = self._master, None
        if master is not None:
            master.terminate()
            master.communicate()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def _destination(self) -> str:
        return f"{self.settings.user}@{self.settings.host}"

    @property
    def _place(self) -> str:
        return f"{self.settings.host} port {self.settings.port}"

    @property
    def _known_hosts(self) -> Path:
        """The pinned key alone, or what this bench's server showed first, kept between runs if it keeps its keys itself."""
        private = bool(self.settings.host_key) or self.settings.keys == "per boot"
        return self._directory / "known_hosts" if private else user_benches() / f"{self._board}.known_hosts"

    def _start_master(self, deadline: Deadline) -> str:
        """One try; the reason of the refusal, or "" when the master is up."""
        self._directory.mkdir(exist_ok=True)
        tell = ["-o", "PermitLocalCommand=yes", "-o", f"LocalCommand=echo {READY.decode()}"]
        limit = ["-o", f"ConnectTimeout={max(1, min(10, round(deadline.remaining)))}"]
        # setpriv: the master gets SIGTERM when this process is gone, SIGKILL included
        command = ["setpriv", "--pdeathsig", "TERM", "ssh", "-M", "-N", *tell, *limit, *self._options(), self._destination]
        master = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        assert master.stdout is not None
        answered, _, _ = select.select([master.stdout], [], [], deadline.remaining)
        if answered and READY in _first_line(master.stdout):
            self._master = master
            self._events.emit("ssh.connected", host=self.settings.host, port=self.settings.port, user=self.settings.user)
            return ""
        master.terminate()  # it may hang between the banner and the login, where none of its own limits holds
        _, said = master.communicate()
        return said.decode(errors="replace").strip() or ("no answer" if not answered else f"ssh ended with status {master.returncode}")

    def _options(self) -> list[str]:
        settings = self.settings
        pinned = bool(settings.host_key)
        if pinned:
            self._known_hosts.write_text(f"{_known_host(settings)} {settings.host_key}\n")
        else:
            self._known_hosts.parent.mkdir(parents=True, exist_ok=True)
        options = [
            *UNATTENDED,
            f"ControlPath={_option_path(self._socket)}",
            "ControlPersist=no",
            f"ServerAliveInterval={ALIVE_SECONDS}",
            f"ServerAliveCountMax={ALIVE_COUNT}",
            f"UserKnownHostsFile={_option_path(self._known_hosts)}",
            "GlobalKnownHostsFile=/dev/null",
            f"StrictHostKeyChecking={'yes' if pinned else 'accept-new'}",
            "LogLevel=ERROR",
            *([f"IdentityFile={_option_path(Path(settings.identity))}", "IdentitiesOnly=yes"] if settings.identity else []),
            *settings.options,
        ]
        configuration = ["-F", "none"] if settings.config == "none" else []
        return [*configuration, "-p", str(settings.port), *(word for option in options for word in ("-o", option))]

    def _through_master(self) -> list[str]:
        return ["-o", "ProxyCommand=false", "-o", "ControlMaster=no", *self._options()]

    def _sftp(self, batch: Sequence[str], timeout: float) -> None:
        options = [word if word != "-p" else "-P" for word in self._through_master()]
        ended = self._copy(["sftp", "-q", *options, "-b", "-", self._destination], "\n".join(batch).encode() + b"\n", timeout)
        if ended.returncode:
            error = self._not_copied("sftp", ended.stderr, "check that the directory is there on the host, and its free space (df)")
            if ended.returncode == LOST and not isinstance(error, SshLost):
                raise NotOffered(error.sentence, "the host's sshd has no sftp subsystem, or its server is not there")
            raise error

    def _copy(self, command: Sequence[str], input: bytes, timeout: float) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(command, input=input, capture_output=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise CommandTimeout(
                f"{self._board}: copying did not end within {timeout:g} s", "check the link, or raise timing.transfer"
            ) from None

    def _not_copied(self, program: str, said: bytes, next_step: str) -> BenchError:
        if not self._alive():
            return self._lost(said)
        return BenchError(f"{self._board}: {program} could not copy: {_last_line(said)}", next_step)

    def _alive(self) -> bool:
        if self._master is None or self._master.poll() is not None:
            return False
        command = ["ssh", "-O", "check", *self._through_master(), self._destination]
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0

    def _lost(self, said: bytes) -> SshLost:
        reason = ""
        if self._master is not None and self._master.poll() is not None and self._master.stderr is not None:
            with contextlib.suppress(ValueError):
                reason = _last_line(self._master.stderr.read())
        return SshLost(
            f"{self._board}: the SSH connection to {self._place} is gone ({reason or _last_line(said)})", "see the host's console"
        )

    def _raise_final(self, refusal: str) -> None:
        """Refusals that trying again does not change."""
        if "command-line" in refusal or "Bad configuration option" in refusal:
            raise UseError(
                f"{self._board}: ssh says: {_last_line(refusal.encode())}", "correct ssh.options or ssh.identity in the bench file"
            )
        if "REMOTE HOST IDENTIFICATION HAS CHANGED" in refusal or "Host key verification failed" in refusal:
            kept = f'or remove {self._known_hosts}, or write ssh.keys = "per boot" in the bench file if they lie in RAM'
            pin = "ssh.host_key in the bench file" if self.settings.host_key else kept
            raise HostKeyChanged(
                f"{self._board}: the host key at {self._place} is another than the pinned one",
                f"make sure that it is the right host, then correct {pin}",
                evidence=refusal,
            )
        if "Permission denied" in refusal:
            key = f"the key {self.settings.identity}" if self.settings.identity else "any of your keys"
            raise KeyRefused(
                f"{self._board}: {self._place} refused {key} for user {self.settings.user}",
                "put its public half into the host's authorized_keys, or correct ssh.identity in the bench file",
                evidence=refusal,
            )


def _private_directory() -> Path:
    """A new directory for the control socket, where its path is short enough. Those of processes that were killed are removed."""
    for parent in (Path(gettempdir()), Path("/tmp")):
        for old in parent.glob(f"{PRIVATE}*"):
            process = re.match(r"\d+", old.name.removeprefix(PRIVATE))
            with contextlib.suppress(OSError):
                if process and not Path(f"/proc/{process[0]}").exists() and old.stat().st_uid == os.getuid():
                    shutil.rmtree(old)
        directory = Path(mkdtemp(prefix=f"{PRIVATE}{os.getpid()}-", dir=parent))
        if len(bytes(directory / "master")) <= SOCKET_LIMIT:
            return directory
        directory.rmdir()
    raise UseError("the paths of this machine's temporary directories are too long for a socket", "set TMPDIR to a shorter one")


def _known_host(settings: Ssh) -> str:
    return settings.host if settings.port == 22 else f"[{settings.host}]:{settings.port}"


def _first_line(stream: IO[bytes]) -> bytes:
    """Up to the first line end, or up to the end; the master says one line when it is up and closes its output when it fails."""
    return stream.readline()


def _last_line(said: bytes) -> str:
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def _one_line(said: str) -> str:
    """All lines of what was said as one; the first may be the reason, or the last."""
    return ", ".join(line.strip() for line in said.splitlines() if line.strip())


def _option_path(path: Path) -> str:
    """A path as the value of a configuration option, which takes blanks for separators and `%` for a token."""
    return '"' + str(path).replace("%", "%%") + '"'


def _quoted(path: str) -> str:
    """A path as a word of sftp's batch language."""
    return '"' + re.sub(r'(["\\])', r"\\\1", path) + '"'
