"""The verdict of every planned test. A test enters when it is planned and leaves with exactly one verdict.

A broken bench is one cause: the first test that meets an error is *infra* (or *failed*), every later test that meets the very
same exception again (pytest caches it with the fixture that raised it, and a bench remembers why it is gone) is *blocked* by it. A
measurement of several tests that allows no decision broke nothing: each of them is *inconclusive*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness.errors import BenchError, HarnessError, Inconclusive, unwritable
from harness.verdict import SEVERITY, Verdict, is_disk, of_exception, worst

LINE_WORDS = {verdict: verdict.value for verdict in (Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.SKIPPED)}
"""How a specification line can have ended, for those who count; what broke or was never begun was not tried."""
NOT_TRIED = "not tried"


@dataclass
class Outcome:
    """One planned test: its specification lines, its judge, and what became of it."""

    test: str
    lines: tuple[str, ...]
    judge: str
    phases: dict[str, Verdict] = field(default_factory=dict)
    """What became of `setup`, `call` and `teardown`; one that was interrupted is not there."""
    sentence: str = ""
    evidence: tuple[str, ...] = ()
    """The last lines of what was seen when the bench misbehaved."""
    seconds: float = 0.0
    begun: bool = False
    told: bool = False
    """Whether the journal has its verdict."""

    @property
    def suite(self) -> str:
        """The directory of its file: `timer8254`."""
        return PurePosixPath(self.test.partition("::")[0]).parent.name

    @property
    def verdict(self) -> Verdict:
        """The worst of its phases. *passed* only when its call has passed: a test that was interrupted did not run."""
        found = worst(self.phases.values())
        return Verdict.NOT_RUN if found is Verdict.PASSED and "call" not in self.phases else found


class Outcomes:
    """All planned tests of a run, in the order of the plan."""

    def __init__(self) -> None:
        self._tests: dict[str, Outcome] = {}
        self._causes: list[BaseException] = []

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self._tests.values())

    def __getitem__(self, test: str) -> Outcome:
        return self._tests[test]

    def __contains__(self, test: object) -> bool:
        return test in self._tests

    def plan(self, tests: Iterable[Outcome]) -> None:
        """Adds planned tests; every one of them ends with a verdict."""
        self._tests.update((test.test, test) for test in tests)

    def classify(self, phase: str, error: BaseException | None, skipped: str = "") -> tuple[Verdict, str]:
        """The verdict of one phase (`setup`, `call`, `teardown`) and its sentence."""
        if skipped:
            return Verdict.SKIPPED, skipped
        if error is None:
            return Verdict.PASSED, ""
        if isinstance(error, BaseExceptionGroup):  # several fixtures failed in one tear-down
            return max((self.classify(phase, one) for one in error.exceptions), key=lambda found: SEVERITY[found[0]])
        sentence = _sentence(error)
        if self.is_cause(error) and not isinstance(error, Inconclusive):  # what one measurement left open is open for all it was for
            return Verdict.BLOCKED, sentence
        if phase == "setup" or isinstance(error, BenchError):
            self._causes.append(error)
        if phase != "call" and not (isinstance(error, HarnessError | AssertionError) or is_disk(error)):
            return Verdict.INFRA, f"{type(error).__name__}: {sentence}"
        return of_exception(error), sentence

    def is_cause(self, error: BaseException) -> bool:
        """Whether an earlier test met this very exception."""
        return any(error is cause for cause in self._causes)

    def counts(self) -> dict[tuple[str, str], dict[str, int]]:
        """Suite (the directory of a test's file, named after the device) and judge → how many of its lines ended how."""
        found: dict[tuple[str, str], dict[str, list[Verdict]]] = {}
        for outcome in self:
            for line in outcome.lines:
                found.setdefault((outcome.suite, outcome.judge), {}).setdefault(line, []).append(outcome.verdict)
        counts = {}
        for key, lines in sorted(found.items()):
            words = [word for verdicts in lines.values() for word in [LINE_WORDS.get(worst(verdicts), NOT_TRIED)]]
            counts[key] = {word: words.count(word) for word in (*LINE_WORDS.values(), NOT_TRIED) if word in words}
        return counts

    def by_line(self) -> dict[str, dict[str, Verdict]]:
        """Specification line → judge → worst verdict over the tests that carry it."""
        found: dict[str, dict[str, list[Verdict]]] = {}
        for outcome in self:
            for line in outcome.lines:
                found.setdefault(line, {}).setdefault(outcome.judge, []).append(outcome.verdict)
        return {line: {judge: worst(verdicts) for judge, verdicts in judges.items()} for line, judges in sorted(found.items())}


def _sentence(error: BaseException) -> str:
    """An exception's first line. What a disk says carries neither the file's name, when it comes from a write, nor a next step."""
    if is_disk(error):
        said = (
            unwritable(error, Path(error.filename))
            if error.filename
            else (str(error.strerror), "make room on the disks of the lab controller")
        )
        return "; ".join(said)
    return str(error).splitlines()[0] if str(error) else type(error).__name__
