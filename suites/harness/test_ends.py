"""However a run ends, nothing of it is left: SIGKILL, SIGTERM, SIGHUP, Ctrl-C, at any phase."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from suites.asked import asked
from suites.harness.session import left, marked, read_until, started

ROUNDS = asked("HARNESS_ROUNDS", 1)
"""`make soak` goes through the moments several times."""

MOMENTS = [
    "starting the board's program",
    "waiting for the host's shell",
    "waiting for SSH",
    "deploying vdevs",
    "booting the guest",
]
"""Lines of progress after which the run is ended."""

SUITE = "suites/bench/test_vm.py"


def run_directory(output: Path) -> Path:
    return (output / "latest").resolve()


@pytest.mark.parametrize("moment", MOMENTS * ROUNDS)
def test_nothing_survives_sigkill(moment: str, tmp_path: Path) -> None:
    """SIGKILL of pytest: no QEMU (and so no qvm), no helper within two seconds; the journal holds the plan."""
    mark = str(tmp_path)
    with started("--board=virtual-x86_64", f"--run-directory={tmp_path}", SUITE, HARNESS_MARK=mark) as process:
        read_until(process, moment)
        assert process.pid in marked(mark)
        process.kill()
        assert left(mark, seconds=2) == set()
    events = [json.loads(line)["event"] for line in (run_directory(tmp_path) / "journal.jsonl").read_text().splitlines()]
    assert events[0] == "run.planned"


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "starting the board's program"),
        (signal.SIGINT, "booting the guest"),
        (signal.SIGTERM, "waiting for SSH"),
        (signal.SIGHUP, "booting the guest"),
    ],
)
def test_an_interrupted_run_switches_off_in_order(number: signal.Signals, moment: str, tmp_path: Path) -> None:
    """Ctrl-C and its relatives end with pytest's own status 2, the board switched off by the run itself, one line for the reason."""
    mark = str(tmp_path)
    with started("--board=virtual-x86_64", f"--run-directory={tmp_path}", SUITE, HARNESS_MARK=mark) as process:
        seen = read_until(process, moment)
        process.send_signal(number)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 2, seen + rest
    assert "switching the board off: done" in rest
    assert "Interrupted: the run was ended by" in rest
    assert "KeyboardInterrupt" not in rest, "pytest told where in the harness the interrupt struck"
    assert left(mark, seconds=2) == set()
    journal = (run_directory(tmp_path) / "journal.jsonl").read_text()
    assert '"bench.close.end"' in journal
    verdicts = {event["fields"]["verdict"] for event in map(json.loads, journal.splitlines()) if event["event"] == "test.verdict"}
    assert verdicts <= {"passed", "not-run"}, "an interrupted test says nothing about a device"


def test_a_second_ctrl_c_does_not_cut_the_leaving_short(tmp_path: Path) -> None:
    """Impatience while the board is switched off changes nothing: it still goes off in order."""
    mark = str(tmp_path)
    with started("--board=virtual-x86_64", f"--run-directory={tmp_path}", SUITE, HARNESS_MARK=mark) as process:
        read_until(process, "booting the guest")
        process.send_signal(signal.SIGINT)
        seen = read_until(process, "switching the board off")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 2, seen + rest
    assert "switching the board off: done" in seen + rest
    assert left(mark, seconds=2) == set()


def test_the_bench_is_free_after_sigkill(tmp_path: Path) -> None:
    """The lease goes with the run: the next one starts at once."""
    mark = str(tmp_path)
    with started("--board=virtual-x86_64", f"--run-directory={tmp_path}", SUITE, HARNESS_MARK=mark) as process:
        read_until(process, "waiting for SSH")
        process.kill()
        assert left(mark, seconds=2) == set()
    with started("--board=virtual-x86_64", f"--run-directory={tmp_path}", "suites/bench/test_host.py") as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
