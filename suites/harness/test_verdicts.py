"""Every planned test gets exactly one verdict, however its run ends. These runs end before they touch the board they are on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suites.harness.session import Ended
from suites.harness.session import pytest as run

BEGIN = """
import pytest
from harness.errors import BenchError, DeviceError, UseError

def test_one(bench): pass
def test_two(bench): pass

def fail(error): raise error

@pytest.fixture(scope="session", autouse=True)
def before_the_bench(request):
"""


def verdicts(directory: Path, body: str) -> tuple[Ended, list[tuple[str, str, str]]]:
    """A run of two tests with that body of a fixture, and what its journal says: test, verdict, sentence."""
    (directory / "test_two.py").write_text(BEGIN + "\n".join(f"    {line}" for line in body.splitlines()) + "\n")
    ended = run(f"--run-directory={directory / 'runs'}", "-p", "no:cacheprovider", str(directory / "test_two.py"))
    events = map(json.loads, (directory / "runs/latest/journal.jsonl").read_text().splitlines())
    judged = [event["fields"] for event in events if event["event"] == "test.verdict"]
    return ended, [(one["test"].rpartition("::")[2], one["verdict"], one["sentence"]) for one in judged]


@pytest.mark.parametrize("end", ["raise KeyboardInterrupt", "pytest.exit('enough')"])
def test_a_test_that_is_interrupted_in_its_set_up_has_one_verdict(end: str, tmp_path: Path) -> None:
    ended, found = verdicts(tmp_path, end)
    assert ended.status == pytest.ExitCode.INTERRUPTED
    assert found == [("test_one", "not-run", "interrupted"), ("test_two", "not-run", "the run ended before it")]


def test_a_tear_down_that_fails_after_an_interrupt_is_a_sentence(tmp_path: Path) -> None:
    ended, found = verdicts(tmp_path, 'request.addfinalizer(lambda: fail(BenchError("console silent")))\npytest.exit("enough")')
    assert ended.status == pytest.ExitCode.INTERRUPTED
    assert len(found) == 2, "one verdict each"
    assert "Traceback" not in ended.output
    assert "leaving the bench failed: console silent" in ended.output


def test_what_fails_in_the_tear_down_of_a_skipped_test_has_the_word(tmp_path: Path) -> None:
    """Two fixtures fail there, and pytest raises a group."""
    body = """\
request.addfinalizer(lambda: fail(BenchError("console silent")))
request.addfinalizer(lambda: fail(DeviceError("qvm does not end")))
pytest.skip("no RTC")
"""
    ended, found = verdicts(tmp_path, body)
    assert ended.status == pytest.ExitCode.TESTS_FAILED
    assert found == [("test_one", "skipped", "no RTC"), ("test_two", "failed", "qvm does not end")]
