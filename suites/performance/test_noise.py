"""A command over a console that others talk on: how often its result is right, refused, or wrong without a word.

The same shell, line and command for both sides: ten lines of output, status 3, a kernel line before a byte towards us and a loss of a
byte towards the board with the chances of each cell. The line is good until the shell is set up. Beside ours runs labgrid's own shell
driver, in an environment of its own: `build/labgrid-venv`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clock import Deadline
from harness.console import KSH, Console, Shell
from harness.errors import HarnessError
from harness.events import Events
from suites.harness.relay import shell

CELLS = [(0.0, 0.0), (0.0005, 0.0), (0.002, 0.0), (0.005, 0.0), (0.0, 0.0005), (0.0, 0.002), (0.002, 0.0005)]
"""Noise and loss, chance per byte."""
LEAST = {(0.002, 0.0): 99, (0.005, 0.0): 95}
RUNS = 100
LABGRID = "labgrid==26.0.1"
LABGRID_RUNS = 36
LABGRID_SECONDS = 2.0
VENV = Path(__file__).resolve().parents[2] / "build" / "labgrid-venv"
LINES = [f"line {number} of ten, with a few words" for number in range(10)]
COMMAND = 'i=0; while [ $i -lt 10 ]; do echo "line $i of ten, with a few words"; i=$((i+1)); done; exit 3'


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Printed at the end."""
    rows: list[str] = []
    yield rows
    print(f"\n\ncommand over a noisy console: of {RUNS} runs (labgrid: of {LABGRID_RUNS})")
    print("  noise   loss      ours: ok wrong refused   labgrid: ok wrong refused")
    print("\n".join(rows))


@pytest.mark.parametrize(("noise", "drop"), CELLS)
def test_no_result_is_wrong(noise: float, drop: float, table: list[str], tmp_path: Path) -> None:
    right, wrong, refused = ours(noise, drop, tmp_path)
    beside = labgrid(noise, drop)
    table.append(f"  {noise:<7} {drop:<9} {right:8} {wrong:5} {refused:7}   {beside}")
    assert wrong == 0
    assert right >= LEAST.get((noise, drop), 0)


def ours(noise: float, drop: float, directory: Path) -> tuple[int, int, int]:
    """Right, wrong and refused."""
    counts = {"right": 0, "wrong": 0, "refused": 0}
    expected = "".join(f"{line}\n" for line in LINES)
    with shell(["mksh", "-i"]) as relay, Console("host", relay.url, 115200, directory / "host.log", Events()) as console:
        sh = Shell.attach(console, KSH, Deadline.after(30, "a shell"))
        relay.noise, relay.drop = noise, drop
        for _ in range(RUNS):
            try:
                result = sh.run_text(COMMAND, 30)
            except HarnessError:
                counts["refused"] += 1
            else:
                counts["right" if (result.status, result.text) == (3, expected) else "wrong"] += 1
        relay.noise = relay.drop = 0.0
        sh.detach(Deadline.after(20, "the shell to be left"))
    return counts["right"], counts["wrong"], counts["refused"]


def labgrid(noise: float, drop: float) -> str:
    """The same numbers for labgrid's driver, or why there are none."""
    if reason := _absent():
        return reason
    with shell(["dash", "-i"]) as relay:
        program = Path(__file__).with_name("labgrid_runs.py")
        command = [str(VENV / "bin" / "python"), str(program), relay.url, str(LABGRID_RUNS), str(LABGRID_SECONDS), f"({COMMAND})"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdin
            assert process.stdout
            if process.stdout.readline() != "ready\n":
                return "labgrid found no shell"
            relay.noise, relay.drop = noise, drop
            process.stdin.write("go\n")
            process.stdin.flush()
            outcomes = json.loads(process.stdout.readline())
    refused = sum(isinstance(outcome, str) for outcome in outcomes)
    right = outcomes.count([3, LINES])
    return f"{right:11} {len(outcomes) - right - refused:5} {refused:7}"


def _absent() -> str:
    """Installs labgrid unless it is there; why it could not be."""
    if (VENV / "bin" / "labgrid-client").exists():
        return ""
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", LABGRID]
    ended = subprocess.run(pip, capture_output=True, text=True)
    return "" if ended.returncode == 0 else f"{LABGRID} could not be installed: {(ended.stderr.strip().splitlines() or ['?'])[-1][:60]}"
