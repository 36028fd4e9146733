"""A full disk on the lab controller is one sentence and nothing about a device: neither a failure, nor a traceback, nor a board left on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from suites.harness.session import Ended, left
from suites.harness.session import pytest as run

INFRA = 10
USE_ERROR = 4


@contextmanager
def disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of that size, at `place`."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small file system")
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def run_on(place: Path, size: str) -> Ended:
    with disk(place, size) as small:
        ended = run("--board=virtual-x86_64", f"--run-directory={small}/runs", "suites/bench/test_vm.py", HARNESS_MARK=str(place))
        assert left(str(place), seconds=2) == set()
    assert "Traceback" not in ended.output
    assert "INTERNALERROR" not in ended.output
    return ended


def test_evidence_that_finds_no_room_is_the_bench_s_fault(tmp_path: Path) -> None:
    ended = run_on(tmp_path / "disk", "28k")
    assert ended.status == INFRA, ended.output
    assert "switching the board off: done" in ended.output
    assert "make room in " in ended.output
    assert " failed" not in ended.output.splitlines()[-1], ended.output


def test_no_room_to_begin_with_is_refused(tmp_path: Path) -> None:
    ended = run_on(tmp_path / "disk", "4k")
    assert ended.status == USE_ERROR, ended.output
    assert "No space left on device; make room in " in ended.output
