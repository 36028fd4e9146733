"""The error families: whose fault it is decides the verdict.

Every error is a class with a paragraph on what it means, carries its facts as attributes, and prints as one sentence with
the next step. `UseError` ends a run before anything is touched (pytest's exit status 4); `BenchError` makes a test *infra*;
`DeviceError` makes it *failed*; `Inconclusive` makes it *inconclusive*.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class HarnessError(Exception):
    """Base of every error the harness raises on purpose. `sentence` says what is wrong, `next_step` what to do about it."""

    def __init__(self, sentence: str, next_step: str = "", *, evidence: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.next_step = next_step
        self.evidence = evidence
        """What was seen: the last console lines, a program's own output. May be long; never needed to understand the sentence."""

    def __str__(self) -> str:
        text = f"{self.sentence.rstrip('.')}; {self.next_step}" if self.next_step else self.sentence
        return f"{text}\n{self.evidence.rstrip()}" if self.evidence else text


class UseError(HarnessError):
    """You used it wrong: an unknown board, a typo in a board file, a vdev that is not there. Nothing was changed."""


class BenchError(HarnessError):
    """The bench misbehaved: board off, console silent, SSH refused. Says nothing about the device under test."""


class DeviceError(HarnessError, AssertionError):
    """The device under test misbehaved outside of an assertion: it crashed `qvm`, ended it, or was refused by it."""


class Inconclusive(HarnessError):
    """It was tried, but uncertainty, an unfit instrument or a too slow board allow no decision."""


class CannotWrite(UseError):
    """The system lets nobody, or not you, write where something is to be kept: a read-only or full file system, permissions."""


_CURES = {
    errno.EROFS: "that file system is read-only: use a checkout on another one",
    errno.ENOSPC: "make room in {directory} and try again",
    errno.EDQUOT: "make room in {directory} and try again",
    errno.EACCES: "mend its permissions, or use a checkout of your own",
    errno.EPERM: "mend its permissions, or use a checkout of your own",
    errno.EIO: "that disk is failing: use a checkout on another one",
    errno.EEXIST: "remove it",
    errno.ENOTDIR: "remove what is in the place of the directory",
}


def cure(error: OSError, directory: Path) -> str:
    """The next step when a file below `directory` cannot be written; empty for an error that is none of the user's."""
    return _CURES.get(error.errno or 0, "").format(directory=directory)


def unwritable(error: OSError, path: Path) -> tuple[str, str]:
    """Sentence and next step for a file that the system does not take. `path` is that file, or the directory it is somewhere below."""
    return f"{error.filename or path} cannot be written: {error.strerror}", cure(error, path if path.is_dir() else path.parent)


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Raises `CannotWrite` for an OSError that a user can do something about."""
    try:
        yield
    except OSError as error:
        if not cure(error, directory):
            raise
        raise CannotWrite(*unwritable(error, directory)) from None
