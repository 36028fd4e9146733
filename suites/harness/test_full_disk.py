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


@pytest.mark.parametrize("size", ["28k", "40k", "80k"])
def test_evidence_that_finds_no_room_is_the_bench_s_fault(size: str, tmp_path: Path) -> None:
    """Whatever is written when the room ends: a VM's configuration, a guest's output, the journal."""
    ended = run_on(tmp_path / "disk", size)
    assert ended.status == INFRA, ended.output
    assert "switching the board off: done" in ended.output
    without = [line for line in ended.output.splitlines() if "No space left on device" in line and "; make room " not in line]
    assert not without, ended.output
    assert "No space left on device; make room " in ended.output
    assert " failed" not in ended.output.splitlines()[-1], ended.output


def test_no_room_to_begin_with_is_refused(tmp_path: Path) -> None:
    ended = run_on(tmp_path / "disk", "4k")
    assert ended.status == USE_ERROR, ended.output
    assert "No space left on device; make room in " in ended.output


LITTLE = """
import os
import pytest
from harness.errors import BenchError

def test_before(bench):
    pass

def test_that_fills_the_disk(bench, run):
    with pytest.raises(OSError), open(run.directory.path / "filling", "wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    for _ in range(100):  # the journal's last page takes some more
        run.events.emit("filling", text="x" * 100)
    bench.host.run(["true"])

def test_after(bench):
    pass

def test_after_that(bench):
    pass
"""


def test_a_disk_filled_by_others_blocks_what_comes_after(tmp_path: Path) -> None:
    """No evidence can be written any more: the next test is *infra*, the rest is blocked by it, and the run says since when."""
    test = tmp_path / "test_little.py"
    test.write_text(LITTLE)
    with disk(tmp_path / "disk", "400k") as small:
        ended = run("--board=virtual-x86_64", f"--run-directory={small}/runs", str(test), HARNESS_MARK=str(tmp_path))
        assert left(str(tmp_path), seconds=2) == set()
    assert ended.status == INFRA, ended.output
    assert "INTERNALERROR" not in ended.output
    assert "Traceback" not in ended.output
    assert "switching the board off: done" in ended.output
    assert f"no evidence from there on: {small}/runs/" in ended.output
    assert f"journal.jsonl cannot be written: No space left on device; make room in {small}/runs/" in ended.output
    assert "1 blocked, 1 infra, 2 passed" in ended.output
