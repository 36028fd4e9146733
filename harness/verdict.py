"""The verdicts a test can end with, and what they make of a run (design: every planned test ends with exactly one)."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from enum import StrEnum
from typing import TypeGuard

from harness.errors import BenchError, Inconclusive, UseError


class Verdict(StrEnum):
    """In the order of severity: a specification line's verdict is the worst over the tests that carry it."""

    PASSED = "passed"
    SKIPPED = "skipped"
    """Does not apply here, with the reason."""
    NOT_RUN = "not-run"
    INCONCLUSIVE = "inconclusive"
    """Tried, but uncertainty, an unfit instrument or a too slow board allow no decision."""
    BLOCKED = "blocked"
    """Not run because the board broke earlier, with that one cause."""
    INFRA = "infra"
    """The bench is wrong."""
    FAILED = "failed"
    """The device is wrong."""


SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""What a disk of the lab controller does, and no device."""

EXIT_INFRA = 10
EXIT_INCONCLUSIVE = 11


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The most severe of some verdicts; of none, *not-run*."""
    return max(verdicts, key=SEVERITY.__getitem__, default=Verdict.NOT_RUN)


def is_disk(error: BaseException) -> TypeGuard[OSError]:
    """Whether an exception is a disk's of the lab controller."""
    return isinstance(error, OSError) and error.errno in DISK


def of_exception(error: BaseException) -> Verdict:
    """What an exception that ended a test says. What is neither one of the harness's own families nor a disk speaks about the device."""
    if isinstance(error, Inconclusive):
        return Verdict.INCONCLUSIVE
    if isinstance(error, BenchError | UseError) or is_disk(error):
        return Verdict.INFRA
    return Verdict.FAILED


def exit_status(verdicts: Iterable[Verdict]) -> int:
    """0 all passed or skipped; 1 a device failed; 10 no failure but infra or blocked; 11 no failure but inconclusive."""
    seen = set(verdicts)
    if Verdict.FAILED in seen:
        return 1
    if seen & {Verdict.INFRA, Verdict.BLOCKED}:
        return EXIT_INFRA
    if seen & {Verdict.INCONCLUSIVE, Verdict.NOT_RUN}:
        return EXIT_INCONCLUSIVE
    return 0
