"""How the phases of tests become verdicts, and verdicts an exit status."""

from __future__ import annotations

import errno

import pytest

from harness.errors import BenchError, DeviceError, Inconclusive
from harness.evidence import Outcome, Outcomes
from harness.verdict import Verdict, exit_status, worst


def outcomes(*tests: str) -> Outcomes:
    made = Outcomes()
    made.plan(Outcome(test, ("PIT-001",), "drivers") for test in tests)
    return made


@pytest.mark.parametrize(
    ("phase", "error", "verdict"),
    [
        ("call", None, Verdict.PASSED),
        ("call", AssertionError("wrong"), Verdict.FAILED),
        ("call", ValueError("what the device said makes no number"), Verdict.FAILED),
        ("call", DeviceError("qvm ended"), Verdict.FAILED),
        ("call", BenchError("console silent"), Verdict.INFRA),
        ("call", Inconclusive("too slow"), Verdict.INCONCLUSIVE),
        ("setup", BenchError("no power"), Verdict.INFRA),
        ("setup", DeviceError("guest does not boot"), Verdict.FAILED),
        ("setup", KeyError("a mistake in a fixture says nothing of the device"), Verdict.INFRA),
        ("teardown", KeyError("the same"), Verdict.INFRA),
        ("teardown", ExceptionGroup("two fixtures", [BenchError("no power"), DeviceError("qvm is stuck")]), Verdict.FAILED),
        ("call", OSError(errno.ENOSPC, "No space left on device"), Verdict.INFRA),
        ("call", OSError(errno.ENXIO, "what a device may do"), Verdict.FAILED),
    ],
)
def test_what_ended_a_phase_decides(phase: str, error: BaseException | None, verdict: Verdict) -> None:
    assert outcomes("a").classify(phase, error)[0] is verdict


@pytest.mark.parametrize("phase", ["setup", "call", "teardown"])
def test_a_full_disk_is_a_sentence_with_a_next_step(phase: str) -> None:
    """A write's error does not know its file."""
    of_open, of_write = OSError(errno.ENOSPC, "No space left on device", "/dev/full"), OSError(errno.ENOSPC, "No space left on device")
    said = "/dev/full cannot be written: No space left on device; make room in /dev and try again"
    assert outcomes("a").classify(phase, of_open) == (Verdict.INFRA, said)
    said = "No space left on device; make room on the disks of the lab controller"
    assert outcomes("a").classify(phase, of_write) == (Verdict.INFRA, said)


def test_the_same_cause_met_again_blocks() -> None:
    """pytest raises the exception that a fixture raised once more for every test that asks for it."""
    made, cause = outcomes("a", "b"), BenchError("console silent", "check the cable")
    assert made.classify("setup", cause)[0] is Verdict.INFRA
    assert made.classify("setup", cause) == (Verdict.BLOCKED, "console silent; check the cable")
    assert made.classify("setup", BenchError("console silent"))[0] is Verdict.INFRA


def test_a_measurement_that_decides_nothing_blocks_nobody() -> None:
    made, cause = outcomes("a", "b"), Inconclusive("too slow", "measure again")
    assert made.classify("setup", cause) == (Verdict.INCONCLUSIVE, "too slow; measure again")
    assert made.classify("setup", cause) == (Verdict.INCONCLUSIVE, "too slow; measure again")


def test_a_known_cause_among_others_blocks() -> None:
    """Several fixtures that end after the host was lost all tell of it."""
    made, cause = outcomes("a", "b"), BenchError("the host is gone")
    made.classify("call", cause)
    assert made.classify("teardown", ExceptionGroup("two fixtures", [cause, cause])) == (Verdict.BLOCKED, "the host is gone")


def test_a_test_has_the_worst_verdict_of_its_phases() -> None:
    made = outcomes("a", "b")
    made["a"].phases |= {"setup": Verdict.PASSED, "call": Verdict.FAILED, "teardown": Verdict.INFRA}
    made["b"].phases |= {"setup": Verdict.PASSED, "call": Verdict.PASSED}
    assert [outcome.verdict for outcome in made] == [Verdict.FAILED, Verdict.PASSED]
    assert made.by_line() == {"PIT-001": {"drivers": Verdict.FAILED}}


def test_lines_are_counted_by_suite_and_judge() -> None:
    """A line has one ending, the worst of its tests; one whose tests broke or never began was not tried."""
    made = Outcomes()
    for number, (lines, verdict) in enumerate(
        [
            (("PIT-001", "PIT-002"), Verdict.PASSED),
            (("PIT-002",), Verdict.FAILED),
            (("PIT-003",), Verdict.BLOCKED),
            (("PIT-004",), Verdict.SKIPPED),
        ]
    ):
        made.plan([Outcome(f"suites/timer8254/test_linux.py::test_{number}", lines, "drivers", {"call": verdict})])
    made.plan([Outcome("suites/ser8250/test_linux.py::test", ("UART-004",), "registers")])
    assert made.counts() == {
        ("ser8250", "registers"): {"not tried": 1},
        ("timer8254", "drivers"): {"passed": 1, "failed": 1, "skipped": 1, "not tried": 1},
    }


def test_an_interrupted_test_did_not_pass() -> None:
    """Its set-up did, and its tear-down may have."""
    made = outcomes("a")
    made["a"].phases |= {"setup": Verdict.PASSED, "teardown": Verdict.PASSED}
    assert made["a"].verdict is Verdict.NOT_RUN


def test_a_planned_test_that_never_began_is_not_run() -> None:
    assert [outcome.verdict for outcome in outcomes("a")] == [Verdict.NOT_RUN]
    assert worst([]) is Verdict.NOT_RUN


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ({Verdict.PASSED, Verdict.SKIPPED}, 0),
        ({Verdict.PASSED, Verdict.FAILED, Verdict.INFRA}, 1),
        ({Verdict.PASSED, Verdict.BLOCKED}, 10),
        ({Verdict.INFRA, Verdict.INCONCLUSIVE}, 10),
        ({Verdict.PASSED, Verdict.INCONCLUSIVE}, 11),
        ({Verdict.PASSED, Verdict.NOT_RUN}, 11),
    ],
)
def test_exit_status(verdicts: set[Verdict], status: int) -> None:
    assert exit_status(verdicts) == status
