"""The host's clock as a reference, behind a real shell on this machine, whose time is the host's then."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.bench.reference import host_clock
from harness.boardfile import load
from harness.clock import Deadline
from harness.console import NotSeen
from suites.harness.test_shell import attached


def test_the_host_s_clock_is_read_between_the_call_and_its_return(tmp_path: Path) -> None:
    """Often, and the shell is there again afterwards."""
    with attached("ksh", tmp_path) as (shell, _):
        with host_clock(shell, 5) as clock:
            for _ in range(20):
                before = time.time()
                told = clock.monotonic()
                assert before <= told <= time.time()
        assert shell.run(["echo", "here"], 5).stdout == b"here\n"


def test_a_host_that_does_not_tell_its_time_is_no_clock(tmp_path: Path) -> None:
    """Its `date` has failed: the wait has an end, and the shell is there again."""
    with attached("ksh", tmp_path) as (shell, _):
        shell.console.write(b"date() { false; }\n", Deadline.after(5, "the port"))
        with pytest.raises(NotSeen, match="the host's clock"), host_clock(shell, 0.5) as clock:
            clock.monotonic()
        assert shell.run(["echo", "here"], 5).stdout == b"here\n"


def test_boards_with_a_time_of_their_own_say_so() -> None:
    """A board type that says nothing is on the lab controller's clock."""
    clocks = {name: load(name).reference.clock for name in ("rpi4", "virtual-x86_64", "virtual-x86_64-exact", "virtual-x86_64-soak")}
    assert list(clocks.values()) == ["lab controller", "lab controller", "host", "host"]
