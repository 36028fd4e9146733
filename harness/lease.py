"""Who may use a bench: one lock file per bench, held by flock.

The invariant: the lock is the only truth. The kernel frees it when the last process that holds it ends, however it ends; the owner's
record in the file says whom to ask, and means nothing once the lock is free.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import socket
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import msgspec

from harness.clock import SYSTEM, Clock
from harness.errors import UseError

_SHARED = 0o1777
"""As /tmp: everyone may make a file there, nobody may take away another's."""


class BenchInUse(UseError):
    """Another run holds the bench. `owner` says whose, when its record could be read."""

    def __init__(self, name: str, owner: Owner | None) -> None:
        if owner is None:
            super().__init__(f"bench {name} is in use by a run that has not said whose it is", "wait, or end that run")
        elif owner.ended:
            super().__init__(f"bench {name} is in use by {owner}: that run has ended, and what it left behind still switches the bench off",
                             "wait a moment and try again")
        else:
            super().__init__(f"bench {name} is in use by {owner}", "wait, or end that run")
        self.name = name
        self.owner = owner


class Owner(msgspec.Struct, frozen=True):
    """Who took a lease, for people to read."""

    who: str
    host: str
    pid: int
    since: float
    """Wall clock, seconds."""
    purpose: str
    """The command: `pytest --board=rpi4`."""

    @property
    def ended(self) -> bool:
        """Whether the process that took it is gone (the lock then lives in one it handed it to)."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False

    def __str__(self) -> str:
        since, today = time.localtime(self.since), time.localtime()
        shown = time.strftime("%H:%M:%S" if since[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", since)
        return f"{self.who} (pid {self.pid}, `{self.purpose}`) since {shown}"


@dataclass
class Lease:
    """A bench that is ours until `release`, or until the last process that got `fileno()` ends. A context manager."""

    name: str
    owner: Owner
    _descriptor: int

    def fileno(self) -> int:
        """The lock itself. `pass_fds=(lease.fileno(),)` hands it to a child, which then keeps the bench after our end."""
        return self._descriptor

    def release(self) -> None:
        """Lets go of our hold. A child that was handed the lock keeps the bench. Harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)  # never LOCK_UN, which would take the lock from the child as well

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def take(name: str, purpose: str, *, directory: Path | None = None, clock: Clock = SYSTEM) -> Lease:
    """Takes the bench at once or raises `BenchInUse`. `directory` holds the lock; None is one place for everybody on this machine."""
    path = (directory or machine_directory()) / f"{name}.lock"
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        owner = Owner(_user(), socket.gethostname(), os.getpid(), clock.wall(), purpose)
        record = msgspec.json.encode(owner)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, record, 0)
    except BlockingIOError:
        owner_now = _record(descriptor)
        os.close(descriptor)
        raise BenchInUse(name, owner_now) from None
    except BaseException:
        os.close(descriptor)
        raise
    return Lease(name, owner, descriptor)


def machine_directory() -> Path:
    """One place that every user of this machine shares, made when it is not there."""
    lock = Path("/run/lock")
    parent = lock if os.access(lock, os.W_OK) or (lock / "harness").is_dir() else Path(tempfile.gettempdir())
    return parent / "harness"


def _open(path: Path) -> int:
    """Opens the lock file for reading and writing, made if need be and usable by every user."""
    try:
        _make_directory(path.parent)
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            # Linux refuses O_CREAT on another user's file in a shared directory (fs.protected_regular), so create only what is missing.
            with suppress(FileNotFoundError):
                return os.open(path, flags)
            with suppress(FileExistsError):
                descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
                os.fchmod(descriptor, 0o666)
                return descriptor
    except OSError as error:
        raise UseError(f"the lock file {path} cannot be opened: {error.strerror}", "mend its permissions or remove it") from None


def _make_directory(directory: Path) -> None:
    with suppress(FileExistsError):
        directory.mkdir(parents=True)
        if directory == machine_directory():
            directory.chmod(_SHARED)
    if not stat.S_ISDIR(directory.stat().st_mode):
        raise NotADirectoryError(0, "its directory is no directory")


def _record(descriptor: int) -> Owner | None:
    try:
        return msgspec.json.decode(os.pread(descriptor, 65536, 0), type=Owner)
    except (msgspec.DecodeError, OSError):
        return None  # read in the instant before its owner wrote it


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
