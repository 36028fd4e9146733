"""What a run costs, as ratios to a bare boot of the same QEMU machine and kernel, all measured in one go.

The bare boot is the board with an initrd that holds a shell and nothing else. These machines are noisy: a figure is the median of
its repetitions, the repetitions of all figures take turns, and only ratios have limits.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec
import pytest

from harness import boardfile, power
from harness.bench import Bench, LinuxGuests, Plan
from harness.boardfile import Board
from harness.clock import Deadline
from harness.console import Console
from harness.events import Event, Events
from harness.evidence import read
from harness.vdev import Deployment

REPETITIONS = 3
BOOTS = 5
PROMPT = re.compile(rb"(?:^|\n)\S*[#$] \Z")
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def figures() -> Iterator[dict[str, float]]:
    """Named ratios; printed at the end as the benchmark's table."""
    table: dict[str, float] = {}
    yield table
    print("\n\nratio to a bare boot of the same machine and kernel" if table else "")
    for name, value in table.items():
        print(f"  {name:<44} {value:8.3f}")


@contextmanager
def switched(board: Board, directory: Path) -> Iterator[tuple[power.PowerSwitch, Console]]:
    """A launched board with its console open and its power off."""
    events = Events()
    with boardfile.launch(board, events=events) as launched:
        console = Console("host", launched.board.console.host.url, 115200, directory / "console.log", events)
        try:
            yield power.switch(launched.board, events), console
        finally:
            console.close()


def seconds_to_prompt(switch: power.PowerSwitch, console: Console) -> float:
    """From the power switch to the first prompt on the console."""
    cursor = console.cursor()
    begin = time.monotonic()
    switch.on()
    cursor.expect(PROMPT, Deadline.after(60, "a prompt"))
    seconds = time.monotonic() - begin
    switch.off()
    return seconds


@pytest.fixture(scope="module")
def boots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Median seconds from power to prompt, bare and with the host's image, taking turns."""
    board = boardfile.load("virtual-x86_64")
    assert board.launch is not None
    measured: dict[str, list[float]] = {"bare": [], "image": []}
    for repetition in range(BOOTS):
        for kind, seconds in measured.items():
            directory = tmp_path_factory.mktemp(f"{kind}-{repetition}")
            words = [*board.launch.command, "--state", str(directory / "state"), *(["--bare"] if kind == "bare" else [])]
            variant = msgspec.structs.replace(board, launch=msgspec.structs.replace(board.launch, command=tuple(words)))
            with switched(variant, directory) as (switch, console):
                seconds.append(seconds_to_prompt(switch, console))
    return {kind: median(seconds) for kind, seconds in measured.items()}


def test_power_on_to_host_shell(boots: dict[str, float], figures: dict[str, float]) -> None:
    """The host's image costs little over the kernel it runs on."""
    figures["power-on to host shell (at most 1.3)"] = ratio = boots["image"] / boots["bare"]
    figures["  a bare boot, in seconds"] = boots["bare"]
    assert ratio <= 1.3


def test_deployment_and_guest(boots: dict[str, float], figures: dict[str, float], tmp_path: Path) -> None:
    """Deploying the vdevs is a fraction of a boot; what a guest takes is shown."""
    ended: dict[str, list[float]] = {}

    def note(event: Event) -> None:
        phase, _, edge = event.name.rpartition(".")
        if edge == "end" and "error" not in event.fields and "seconds" in event.fields:
            ended.setdefault(phase, []).append(event.fields["seconds"])

    plan = Plan.read("virtual-x86_64", None, [])
    events = Events()
    events.listen(note)
    with Bench(plan.board, events, tmp_path, "make benchmark").opened() as bench:
        for _ in range(REPETITIONS):
            Deployment.install(bench.host, bench.board, plan.vdevs, run=bench.nonce, events=events).restore()
        deployment = Deployment.install(bench.host, bench.board, plan.vdevs, run=bench.nonce, events=events)
        guests = LinuxGuests(bench, deployment, (), tmp_path)
        for _ in range(REPETITIONS):
            guests.boot()
            guests.stop()
        deployment.restore()
    figures["vdev deployment (at most 0.3)"] = deployed = median(ended["vdev.deploy"]) / boots["bare"]
    figures["guest start to shell"] = median(ended["guest.boot"]) / boots["bare"]
    assert deployed <= 0.3


def test_whole_run(boots: dict[str, float], figures: dict[str, float], tmp_path: Path) -> None:
    """The device suites as a user runs them, and pytest's own memory meanwhile."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "--board=virtual-x86_64", f"--run-directory={tmp_path}"]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
    figures["whole run"] = (time.monotonic() - begin) / boots["bare"]
    events = list(read(tmp_path / "latest" / "journal.jsonl"))
    figures["longest start of a VM (at most 3)"] = longest = (
        max(event.fields["seconds"] for event in events if event.name == "qvm.start.end") / boots["bare"]
    )
    assert longest <= 3
    end = next(event for event in events if event.name == "run.end")
    figures["pytest's own memory, MB (at most 200)"] = peak = end.fields["peak_memory"] / 1e6
    assert peak <= 200


def test_plugin_cost(figures: dict[str, float], tmp_path: Path) -> None:
    """What pytest pays for the installed plugin where there is nothing to collect: the least of several, taking turns.

    Not `pytest --version`: that loads no plugins (pytest 9).
    """

    def timed(*options: str) -> float:
        begin = time.monotonic()
        command = [sys.executable, "-m", "pytest", *options, "--collect-only"]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTEST_ADDOPTS": ""})
        assert ended.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, ended.stdout + ended.stderr
        assert ("plugins: harness-" in ended.stdout) == (not options), "the two sides do not differ by the plugin"
        return time.monotonic() - begin

    turns = [(timed(), timed("-p", "no:harness.plugin")) for _ in range(7)]
    figures["plugin's cost to a bare pytest, s (at most 0.15)"] = cost = min(a for a, _ in turns) - min(b for _, b in turns)
    assert cost <= 0.15
