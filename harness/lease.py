"""Who may use a bench: one lock file per bench, held by flock.

The invariant: the lock is the only truth. The kernel frees it when the last process that holds it ends, however it ends; the owner's
record in the file says whom to ask, and means nothing once the lock is free.
"""

from __future__ import annotations

import errno
import fcntl
import getpass
import os
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec

from harness.clock import SYSTEM, Clock
from harness.errors import UseError, cure

_LOOKS = 1000
"""How many who only look one may meet in a row before the bench is taken for taken."""


class BenchInUse(UseError):
    """Another run holds the bench. `owner` says whose, when its record could be read."""

    def __init__(self, name: str, owner: Owner | None) -> None:
        if owner is None:
            super().__init__(f"bench {name} is in use by a run that has not said whose it is", "wait, or end that run")
        elif owner.ended:
            super().__init__(
                f"bench {name} is in use by {owner}: that run has ended, and what it left behind still switches the bench off",
                "wait a moment and try again",
            )
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
    descriptor = _open(lock_file(name, directory))
    try:
        _lock(descriptor)
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


def holder(name: str, directory: Path | None = None) -> Owner | Literal["somebody", "nobody"]:
    """Who holds the bench at this moment; somebody whose record cannot be read. Takes nothing, and stands in nobody's way."""
    try:
        descriptor = os.open(lock_file(name, directory), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return "nobody"  # a lock that was never taken; `take` says what is wrong with a file that cannot be opened
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return "nobody"
    except BlockingIOError:
        return _record(descriptor) or "somebody"
    finally:
        os.close(descriptor)


def lock_file(name: str, directory: Path | None = None) -> Path:
    """A bench's lock. Without a directory it lies where every user of this machine may make files, and finds those of others."""
    if directory:
        return directory / f"{name}.lock"
    shared = Path("/run/lock")
    return (shared if os.access(shared, os.W_OK) else Path("/tmp")) / f"harness-{name}.lock"


def _lock(descriptor: int) -> None:
    """Raises BlockingIOError when somebody has it. One who only looks (`holder`) shares it for an instant, and does not count."""
    for _ in range(_LOOKS):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.sched_yield()
    raise BlockingIOError


def _open(path: Path) -> int:
    """Opens the lock file for reading and writing, made if need be and usable by every user."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            # Linux refuses O_CREAT on another user's file in a shared directory (fs.protected_regular), so create only what is missing.
            with suppress(FileNotFoundError):
                return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            with suppress(FileExistsError):
                return _create(path)
    except OSError as error:
        next_step = cure(error, path.parent) if error.errno == errno.EROFS else "mend its permissions or remove it"
        raise UseError(f"the lock file {path} cannot be opened: {error.strerror}", next_step) from None


def _create(path: Path) -> int:
    """Makes the file under its name only when everybody may already open it. Raises FileExistsError when another was faster."""
    descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.fchmod(descriptor, 0o666)
        os.link(fresh, path)
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        Path(fresh).unlink()
    return descriptor


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
