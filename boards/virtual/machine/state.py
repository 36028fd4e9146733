"""What a virtual bench keeps between runs: the disk behind /data, its host key, and the key the lab controller logs in with.

One machine uses a state directory at a time.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from boards.virtual.image.disk import make_empty
from boards.virtual.tools import run
from harness.errors import UseError, writing
from harness.guest import initrd

DISK_SIZE = 4 << 30
"""Bytes; the file is sparse."""
INODES = 8192
RELEASE_LIMIT = 2.0
"""Seconds a machine that is just ending may still hold its directory."""


class StateInUse(UseError):
    """Another machine runs on this state directory."""


@dataclass
class State:
    """The files of one bench."""

    directory: Path
    new_keys_at_boot: bool = False
    """The board makes its own host key, another one each time: there is none to tell before."""

    @property
    def disk(self) -> Path:
        return self.directory / "data.ext4"

    @property
    def host_key(self) -> Path:
        return self.directory / "host_key"

    @property
    def identity(self) -> Path:
        return self.directory / "identity"

    def prepare(self) -> None:
        """Makes what is not there yet."""
        for key in (self.host_key, self.identity):
            if not key.is_file():
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key.name, "-f", key)
        if not self.disk.is_file():
            make_empty(self.disk.with_suffix(".new"), DISK_SIZE, INODES).replace(self.disk)

    def public_host_key(self) -> str:
        """`ssh-ed25519 AAAA...`, as known_hosts wants it; empty when nobody can know it."""
        if self.new_keys_at_boot:
            return ""
        return " ".join(self.host_key.with_suffix(".pub").read_text().split()[:2])

    def initrd(self, image: Path) -> Path:
        """The image with this bench's keys behind it: the kernel unpacks archives that follow each other into one tree."""
        output = self.directory / "initrd"
        with tempfile.TemporaryDirectory(prefix=".keys-", dir=self.directory) as scratch:
            tree = Path(scratch) / "tree"
            if not self.new_keys_at_boot:
                _place(self.host_key, tree / "etc" / "ssh" / "ssh_host_ed25519_key")
            _place(self.identity.with_suffix(".pub"), tree / "root" / ".ssh" / "authorized_keys")
            private = [str(file.relative_to(tree)) for file in tree.rglob("*") if file.is_file()]
            keys = initrd.pack(tree, Path(scratch) / "keys", compress=False, private=private)
            joined = Path(scratch) / "initrd"
            with joined.open("wb") as file:
                for part in (image, keys):
                    file.write(part.read_bytes())
            joined.replace(output)
        return output


@contextmanager
def opened(directory: Path) -> Iterator[State]:
    """The state in `directory`, for one machine alone."""
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("a")
    with lock:
        deadline = time.monotonic() + RELEASE_LIMIT
        while not _locked(lock.fileno()):
            if time.monotonic() > deadline:
                raise StateInUse(f"another machine runs on {directory}", "end it, or choose another --name")
            time.sleep(0.02)
        state = State(directory)
        with writing(directory):
            state.prepare()
        yield state


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
