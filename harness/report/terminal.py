"""What a person at the terminal sees of a run: what goes on (`narrator`), and the summary at the end."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from harness.bench import Plan
from harness.events import Event
from harness.evidence import Run
from harness.report.narrator import Narrator
from harness.verdict import Verdict

OPTIONS_SHOWN = 10
"""The journal has all of them."""


class Progress:
    """Tells a run on pytest's terminal, past the capture of what tests print."""

    def __init__(self, config: pytest.Config) -> None:
        """Made while nothing is captured: what a thread says goes to where standard output leads now."""
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        assert reporter is not None
        self._reporter: pytest.TerminalReporter = reporter
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._writer = config.get_terminal_writer()
        self._main = threading.main_thread()
        self._terminal = _own_output()
        self._narrator = Narrator(self._say, self._sign)

    def __call__(self, event: Event) -> None:
        """Tells what is worth a line. Events of other threads are not told: pytest's capture is the main thread's."""
        if threading.current_thread() is not self._main or self._reporter.verbosity < 0:
            return
        if event.name == "run.tear_down_failed":
            self._narrator.say(f"leaving the bench failed: {event.fields['error']}")
        elif event.name == "vdev.hosts_own":
            self._narrator.say(_hosts_own(event.fields))
        elif event.name == "bench.identity":
            self._narrator.say(f"the host says: {event.fields['uname']} (mode: {event.fields['mode']})")
        else:
            self._narrator(event)

    def close(self) -> None:
        """After the last event."""
        self._narrator.close()
        if self._terminal is not None:
            os.close(self._terminal)

    def _say(self, text: str) -> None:
        if self._capture is None:
            self._line(text)
            return
        with self._capture.global_and_fixture_disabled():
            self._line(text)

    def _line(self, text: str) -> None:
        self._reporter.ensure_newline()
        self._reporter.write_line(f"  · {text}", light=True)
        self._reporter.flush()

    def _sign(self, text: str) -> None:
        """In another thread pytest's capture must be left alone."""
        if self._terminal is not None:
            begun, self._reporter.currentfspath = self._reporter.currentfspath, None
            line = self._writer.markup(f"  · {text}", light=True)
            os.write(self._terminal, f"{chr(10) if begun else ''}{line}\n".encode(errors="replace"))


def _own_output() -> int | None:
    """A descriptor of standard output that stays what it is when pytest captures; None where there is none."""
    try:
        return os.dup(sys.stdout.fileno())
    except (OSError, ValueError):
        return None


def header(plan: Plan) -> list[str]:
    """Board, mode and the hash of every vdev under test."""
    board = plan.board
    lines = [f"board: {board.name} ({board.board.description}), mode: {board.mode}"]
    lines += [f"vdev: {vdev.name:<12} sha256 {vdev.sha256[:16]}…  {near(vdev.path)}" for vdev in plan.vdevs]
    lines += [f"vdev: {name:<12} the host's own" for name in plan.hosts_own()]
    if plan.options:
        more = f" and {len(plan.options) - OPTIONS_SHOWN} more" if len(plan.options) > OPTIONS_SHOWN else ""
        lines.append(f"vdev options: {' '.join(str(option) for option in plan.options[:OPTIONS_SHOWN])}{more}")
    return lines


def _hosts_own(vdev: dict[str, str]) -> str:
    """The header's line for a vdev of the host, now that the host has been asked."""
    path = vdev.get("path")
    if not path:
        return f"vdev: {vdev['name']:<12} the host has none in host.library_path"
    digest = next((f"{kind} {vdev[kind][:16]}…" for kind in ("sha256", "sha1") if kind in vdev), "")
    return f"vdev: {vdev['name']:<12} {digest}  {path} of the host"


def summary(reporter: pytest.TerminalReporter, run: Run) -> None:
    """The last screen: every test that did not pass with its specification lines and its sentence, then the lines of each suite by
    how they ended, what the board lacks, and where the evidence is."""
    outcomes = run.outcomes
    reporter.section("verdict", sep="=")
    counts: dict[Verdict, int] = {}
    grouped: dict[tuple[Verdict, str], int] = {}
    answers = unmarked = 0
    for outcome in outcomes:
        verdict = outcome.verdict
        counts[verdict] = counts.get(verdict, 0) + 1
        if verdict in (Verdict.BLOCKED, Verdict.NOT_RUN):
            grouped[verdict, outcome.sentence] = grouped.get((verdict, outcome.sentence), 0) + 1
        elif verdict is Verdict.SKIPPED and outcome.sentence.startswith("recorded:") and reporter.verbosity <= 0:
            answers += 1
        elif verdict is Verdict.SKIPPED and not outcome.lines and reporter.verbosity <= 0:
            unmarked += 1
        elif verdict is not Verdict.PASSED:
            reporter.write_line(f"{verdict.value:<12} {' '.join(outcome.lines) or '-'}  {outcome.test}", bold=True, **_colour(verdict))
            if outcome.sentence:
                reporter.write_line(f"{'':<13}{outcome.sentence}")
            for line in outcome.evidence if verdict is Verdict.INFRA else ():
                reporter.write_line(f"{'':<15}{line}", light=True)
    for (verdict, cause), number in grouped.items():
        reporter.write_line(f"{verdict.value:<12} {number} {'test' if number == 1 else 'tests'}: {cause}", bold=True, yellow=True)
    _totals(reporter, counts, answers, unmarked)
    for (suite, judge), ended in outcomes.counts().items():
        reporter.write_line(f"lines of {suite} by {judge}: {', '.join(f'{count} {word}' for word, count in ended.items())}")
    if run.hole:
        reporter.write_line(f"no evidence from there on: {run.hole}", bold=True, red=True)
    if run.lacking:
        reporter.write_line(f"the board lacks: {', '.join(run.lacking)} (boards/README.md)")
    reporter.write_line(f"evidence: {near(run.directory.path)} (journal.jsonl, allure/, consoles/, vm/, vdevs.json)")


def _totals(reporter: pytest.TerminalReporter, counts: dict[Verdict, int], answers: int, unmarked: int) -> None:
    if answers:
        reporter.write_line(f"{answers} {'answer' if answers == 1 else 'answers'} recorded, nobody judged by them (-v shows them here)")
    if unmarked:
        reporter.write_line(f"{unmarked} skipped {'test' if unmarked == 1 else 'tests'} without a specification line (-v shows them here)")
    reporter.write_line(", ".join(f"{count} {verdict.value}" for verdict, count in sorted(counts.items(), key=lambda pair: pair[0])))


def near(path: Path) -> str:
    """A path as one would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _colour(verdict: Verdict) -> dict[str, bool]:
    return {"red": True} if verdict is Verdict.FAILED else {"yellow": True}
