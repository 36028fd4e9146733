"""One run: its plan, its event stream, its journal and directory, and the verdict of every planned test."""

from __future__ import annotations

import resource
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.bench import Plan
from harness.errors import BenchError, CannotWrite, DeviceError, HarnessError, writing
from harness.events import Events
from harness.evidence.journal import PLANNED, VERDICT, Journal
from harness.evidence.outcomes import Outcome, Outcomes
from harness.evidence.rundir import RunDirectory
from harness.evidence.standstill import Standstill
from harness.verdict import EXIT_INFRA, SEVERITY, Verdict, exit_status, worst

EVIDENCE_LINES = 8
"""How much of what was seen a person wants to see at once."""


class Console(Protocol):
    """What evidence wants of a console: where its log stands, and a slice of it."""

    @property
    def offset(self) -> int:
        """Bytes that came so far."""
        ...

    def slice(self, begin: int, end: int | None = None) -> bytes:
        """What came from one offset to another (None: up to now)."""
        ...


class Run:
    """Made when the first planned test is known to need a bench; closed when pytest is done."""

    def __init__(self, plan: Plan, directory: RunDirectory) -> None:
        self.plan = plan
        self.directory = directory
        self.events = Events()
        self.journal = Journal(directory.journal)
        self.outcomes = Outcomes()
        self.consoles: dict[str, Console] = {}
        """Filled by the bench when it opens; their slices are attached to each test."""
        self._lacking: set[str] = set()
        self._begins: dict[str, int] = {}
        self._standstill = Standstill()
        self._still = 0.0
        """Seconds it had stood still when the running test began."""
        self._refusal = ""
        """Why the run was asked for wrongly, where only the bench showed it."""
        self.environment: dict[str, str] = {}
        """What the host says of itself, for the reports."""
        self._vdevs: list[dict[str, Any]] = []
        self.journal.listen(self.events)

    @classmethod
    def begin(cls, plan: Plan, tests: Sequence[Outcome], runs: Path | None, command: Sequence[str]) -> Run:
        """Makes the run directory and writes the plan: every planned test ends with a verdict, whatever happens."""
        directory = RunDirectory.create(runs or plan.board.root / "build" / "runs", plan.board.name)
        with writing(directory.path):
            run = cls(plan, directory)
            vdevs = run._vdevs = [vdev.provenance() for vdev in plan.vdevs]
            directory.save(directory.vdevs, vdevs)
        run.outcomes.plan(tests)
        run.events.emit(
            PLANNED,
            tests=[test.test for test in tests],
            board=plan.board.name,
            files=plan.board.files,
            command=shlex.join(["pytest", *command]),
            vdev_options=[str(option) for option in plan.options],
        )
        for vdev in vdevs:
            run.events.emit("vdev.under_test", **vdev)
        if run.journal.failure:
            raise CannotWrite(run.journal.failure.sentence, run.journal.failure.next_step)
        return run

    def hosts_own(self, vdevs: Sequence[dict[str, Any]]) -> None:
        """What the host says of those of its own vdevs that are used (`harness.vdev.hosts_own`): into the journal and `vdevs.json`."""
        for vdev in vdevs:
            self.events.emit("vdev.hosts_own", **vdev)
        if not vdevs:
            return
        self._vdevs = [*self._vdevs, *vdevs]
        self.directory.save(self.directory.vdevs, self._vdevs)

    def begin_test(self, test: str) -> None:
        """What the consoles say from now on belongs to this planned test."""
        outcome = self.outcomes[test]
        outcome.begun = True
        self._still = self._standstill.seconds()
        self._begins = {name: console.offset for name, console in self.consoles.items()}
        self.events.emit("test.running", test=test, lines=outcome.lines, judge=outcome.judge)

    def said(self) -> dict[str, bytes]:
        """What each console said since the running test began."""
        slices = {name: console.slice(self._begins.get(name, 0)) for name, console in self.consoles.items()}
        return {name: data for name, data in slices.items() if data}

    def finish_phase(self, test: str, phase: str, error: BaseException | None, skipped: str, seconds: float) -> tuple[Verdict, str]:
        """Notes how set-up, call or tear-down of a test ended; the verdict of that phase and its sentence."""
        outcome = self.outcomes[test]
        still = self._standstill.seconds() - self._still
        if still and isinstance(error, BenchError | DeviceError) and not self.outcomes.is_cause(error):
            self.events.emit("run.stood_still", test=test, seconds=round(still, 1))
            error.sentence = f"{error.sentence.rstrip('.')} (this process itself stood still for {still:.1f} s while the test ran)"
        verdict, sentence = self.outcomes.classify(phase, error, skipped)
        if sentence and (not outcome.sentence or SEVERITY[verdict] > SEVERITY[worst(outcome.phases.values())]):
            outcome.sentence = sentence
        outcome.phases[phase] = verdict
        if isinstance(error, HarnessError) and not outcome.evidence:
            outcome.evidence = tuple(error.evidence.splitlines()[-EVIDENCE_LINES:])
        outcome.seconds += seconds
        return verdict, sentence

    def end_test(self, test: str) -> None:
        """Journals the verdict of a planned test, once; without any phase that ended it is `not-run`."""
        outcome = self.outcomes[test]
        if outcome.told:
            return
        outcome.told = True
        if outcome.verdict is Verdict.NOT_RUN:
            outcome.sentence = self._refusal or ("interrupted" if outcome.begun else "the run ended before it")
        self.events.emit(
            VERDICT,
            test=test,
            verdict=outcome.verdict,
            lines=outcome.lines,
            judge=outcome.judge,
            sentence=outcome.sentence,
            seconds=round(outcome.seconds, 6),
        )

    def tear_down_failed(self, error: BaseException) -> None:
        """The bench could not be left in order after the last test, which was interrupted."""
        _, sentence = self.outcomes.classify("teardown", error)
        self.events.emit("run.tear_down_failed", error=sentence)

    def refuse(self, sentence: str) -> None:
        """The run was asked for wrongly, and ends: every test that was not run says so."""
        self._refusal = sentence
        self.events.emit("run.refused", sentence=sentence)

    def lacks(self, feature: str) -> None:
        """A test was skipped for want of a feature of the board."""
        self._lacking.add(feature)
        self.events.emit("bench.lacks", feature=feature)

    def exit_status(self) -> int:
        """pytest's exit status by the verdicts so far; evidence with a hole is never better than infra."""
        status = exit_status(outcome.verdict for outcome in self.outcomes)
        return EXIT_INFRA if self.hole and status != 1 else status

    def finish(self, status: int) -> None:
        """Tests that never started get their verdict, then the lines and the status."""
        for outcome in self.outcomes:
            self.end_test(outcome.test)
        self.events.emit(
            "run.end",
            status=status,
            lines=self.outcomes.by_line(),
            environment=self.environment,
            peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )

    @property
    def hole(self) -> Exception | None:
        """Why the evidence is not whole."""
        return self.journal.failure or self.events.failure

    @property
    def lacking(self) -> list[str]:
        """The features that tests were skipped for want of."""
        return sorted(self._lacking)

    def close(self) -> None:
        """Ends the journal. Nothing more is noted."""
        self._standstill.close()
        self.journal.close()
