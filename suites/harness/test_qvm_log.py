"""Loggers: which severities go where, for the VM and for one vdev. A vdev that logs once at each of the seven says what arrived."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from suites.harness.qvm_board import QvmBoard
from suites.harness.qvm_local import SANITIZER_OPTIONS, Qvm

FATAL, INTERNAL, ERROR, WARN, INFO, DEBUG, VERBOSE = range(7)
DEFAULT = {FATAL, INTERNAL, ERROR, WARN, INFO}
BASE = ("ram 1m", "load text")
SLOG = "/dev/shmem/slogger2/qvm"


def levels(output: str) -> list[int]:
    return [int(level) for level in re.findall(r"\[vdev talkative\] level (\d)\n", output)]


@pytest.mark.parametrize(
    ("options", "stdout", "stderr"),
    [
        ((), set(), DEFAULT),
        (("logger error stderr",), set(), {ERROR}),
        (("logger error,verbose stdout",), {ERROR, VERBOSE}, set()),
        (("logger info stdout", "logger info,debug stderr"), {INFO}, {INFO, DEBUG}),
        (("logger fatal,internal,error,warn,info,debug,verbose none",), set(), set()),
        (("vdev talkative log warning stdout",), {WARN}, DEFAULT - {WARN}),
        (("vdev talkative log warning,info stdout log info none",), {WARN}, DEFAULT - {WARN, INFO}),
        (("logger error stderr", "vdev talkative log debug stdout"), {DEBUG}, {ERROR}),
    ],
    ids=lambda value: "; ".join(value) if isinstance(value, tuple) else "",
)
def test_a_severity_goes_where_its_filter_says(qvm: Qvm, options: tuple[str, ...], stdout: set[int], stderr: set[int]) -> None:
    """Filters are sets; the first logger replaces the default; a vdev's own comes first, and of those the last."""
    vdev = () if "talkative" in " ".join(options) else ("vdev talkative",)
    (qvm.directory / "trial.conf").write_text("\n".join((*BASE, *options, *vdev)))
    environment = {**os.environ, "LD_LIBRARY_PATH": str(qvm.vdevs), "ASAN_OPTIONS": SANITIZER_OPTIONS}
    command = [str(qvm.program), "@trial.conf", "dryrun"]
    done = subprocess.run(command, cwd=qvm.directory, env=environment, capture_output=True, text=True, check=False)
    assert (levels(done.stdout), levels(done.stderr)) == (sorted(stdout), sorted(stderr))


def test_slog_is_the_hosts_log(qvm_board: QvmBoard) -> None:
    """Internal errors go there whatever the loggers say, and once."""
    qvm_board.vdev("talkative", "-DTALKATIVE")
    qvm_board.guest("stop\n")
    qvm_board.host.run(["rm", "-f", SLOG])
    ended = qvm_board.run("logger error,debug slog", "logger internal none", "vdev talkative")
    qvm_board.run("logger internal slog", "vdev talkative")
    records = qvm_board.host.read(SLOG).decode().splitlines()
    assert ended.messages == ""
    assert [re.sub(r"^\w{3} \d\d \d\d:\d\d:\d\d\.\d{3} qvm\.\d+ ", "", record) for record in records] == [
        "internal [vdev talkative] level 1",
        "error [vdev talkative] level 2",
        "debug [vdev talkative] level 5",
        "internal [vdev talkative] level 1",
    ]
