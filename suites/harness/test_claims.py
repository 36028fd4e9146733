"""Features and claims of a board file: what they make of a test. Each run switches a board of software on."""

from __future__ import annotations

import json
import re
from pathlib import Path

from harness.boardfile import load
from harness.boardfile.load import known_boards
from harness.boardfile.sense import CLAIMS
from suites.harness.session import CHECKOUT
from suites.harness.session import pytest as run

SUITE = '''
import pytest
from fixtures.marks import claimed, needs

@claimed("dev.yes")
def test_yes_and_right(bench):
    """Right is right."""

@claimed("dev.yes")
def test_yes_and_wrong(bench):
    assert 1 == 2, "not as claimed"

@claimed("dev.no")
def test_no(bench):
    raise AssertionError("must not run")

@claimed("dev.unknown")
def test_unknown_and_right(bench):
    """It has the register."""

@claimed("dev.nobody_wrote_it_down")
def test_unknown_and_wrong(bench):
    """It has the register."""
    assert 1 == 2, "read 0xff"

@claimed("dev.unknown")
def test_unknown_on_a_broken_bench(bench):
    from harness.errors import BenchError
    raise BenchError("the cable is out", "plug it in")

@needs("dev.there")
def test_has_the_feature(bench):
    pass

@needs("dev.there", "dev.missing")
def test_lacks_a_feature(bench):
    raise AssertionError("must not run")

def test_an_answer(bench, recorded):
    recorded("what does it say", "one\\ntwo")
'''

EXPECTED = {
    "test_yes_and_right": ("passed", ""),
    "test_yes_and_wrong": ("failed", "not as claimed"),
    "test_no": ("skipped", "does not apply: {board} claims dev.no = no"),
    "test_unknown_and_right": ("skipped", "recorded: yes: It has the register."),
    "test_unknown_and_wrong": ("skipped", "recorded: no: It has the register. read 0xff"),
    "test_unknown_on_a_broken_bench": ("infra", "the cable is out; plug it in"),
    "test_has_the_feature": ("passed", ""),
    "test_lacks_a_feature": ("skipped", "claims has no dev.missing: `features` of {board} does not name it"),
    "test_an_answer": ("skipped", "recorded: one / two"),
}


def journal(runs: Path) -> list[dict[str, dict[str, str]]]:
    lines = (runs / "latest" / "journal.jsonl").read_text().splitlines()
    return [{event["event"]: event["fields"]} for event in map(json.loads, lines)]


def board(directory: Path, claims: str, feature: str = "dev.there") -> Path:
    """The board made of software with another feature and other claims."""
    text = (CHECKOUT / "boards" / "virtual-x86_64.toml").read_text().partition("[claims]")[0]
    path = directory / "claims.toml"
    path.write_text(f'features = ["{feature}"]\n{text}\n[claims]\n{claims}')
    return path


def test_what_becomes_of_a_test_by_feature_and_claim(tmp_path: Path) -> None:
    """`no` and a missing feature skip, `unknown` records what was found and never fails, a broken bench is still *infra*."""
    path = board(tmp_path, '"dev.yes" = "yes"\n"dev.no" = "no"\n"dev.unknown" = "unknown"\n')
    (tmp_path / "test_dev.py").write_text(SUITE)
    ended = run("--board=claims", f"--run-directory={tmp_path}/runs", str(tmp_path / "test_dev.py"), HARNESS_BOARDS=str(tmp_path))
    assert ended.status == 1, ended.output
    found = {}
    for verdict in (event["test.verdict"] for event in journal(tmp_path / "runs") if "test.verdict" in event):
        found[verdict["test"].partition("::")[2]] = (verdict["verdict"], verdict["sentence"])
    wanted = {test: (verdict, sentence.format(board=path)) for test, (verdict, sentence) in EXPECTED.items()}
    assert {test: (verdict, sentence.partition("\n")[0]) for test, (verdict, sentence) in found.items()} == wanted
    answers = {event["recorded"]["question"]: event["recorded"]["answer"] for event in journal(tmp_path / "runs") if "recorded" in event}
    assert answers["what does it say"] == "one\ntwo"
    assert answers["dev.nobody_wrote_it_down"] == "no: It has the register. read 0xff"


def test_a_divisor_is_recorded_where_nobody_claims_it(tmp_path: Path) -> None:
    """The suite of a claim that `make run` judges, on a board that leaves it open."""
    board(tmp_path, '"timer8254.port61" = "yes"\n')
    suite = "suites/ser8250/test_divisor.py::test_the_hosts_port_takes_the_guests_rate"
    ended = run("--board=claims", f"--run-directory={tmp_path}/runs", suite, HARNESS_BOARDS=str(tmp_path))
    found = [event["test.verdict"] for event in journal(tmp_path / "runs") if "test.verdict" in event]
    assert [(verdict["verdict"], verdict["sentence"][:15]) for verdict in found] == [("skipped", "recorded: yes: ")], ended.output


def test_a_board_that_claims_fast_exits_is_measured(tmp_path: Path) -> None:
    """Where the board file says that accesses are quick enough to calibrate with, and they are not, the figure decides: *inconclusive*."""
    board(tmp_path, '"timer8254.port61" = "yes"\n', feature="cpu.fast_exits")
    suite = "suites/timer8254/test_calibration.py"
    ended = run("--board=claims", f"--run-directory={tmp_path}/runs", suite, HARNESS_BOARDS=str(tmp_path))
    assert ended.status == 11, ended.output
    found = [event["test.verdict"] for event in journal(tmp_path / "runs") if "test.verdict" in event]
    assert [verdict["verdict"] for verdict in found] == ["inconclusive", "inconclusive"]
    figures = [re.match(r"an access to a register takes ([\d.]+) µs, too long", verdict["sentence"]) for verdict in found]
    assert all(figure and float(figure[1]) > 10 for figure in figures), found


BY_A_LINE = {"ser8250.rx_errors"}
"""Claims that take a bench which can send wrong characters; the tests that carry them record the answer."""


def test_every_claim_of_a_board_type_is_judged_and_asked_for() -> None:
    """A claim that no test carries decides nothing, and one that the doubts suite does not ask by name hardly anybody can decide."""
    claims = {name for found in known_boards() if found.kind == "type" for name in load(found.name).claims}
    suites = {path: path.read_text() for path in (CHECKOUT / "suites").glob("[!h]*/test_*.py")}
    judged = {name for text in suites.values() for name in re.findall(r'claimed\("([\w.]+)"\)', text)}
    asked = set(re.findall(r'recorded\("(\w+\.\w+): ', suites[CHECKOUT / "suites" / "bench" / "test_doubts.py"]))
    assert set(CLAIMS) == claims == judged == asked | BY_A_LINE
