"""What a person sees while a board keeps everybody waiting: never more than two seconds of nothing."""

from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path

import pexpect
import pytest

from harness.clock import SYSTEM, Deadline
from harness.events import Events
from harness.report.narrator import QUIET_SECONDS, SPOKEN, Narrator
from suites.harness import session

BEAT = 0.1


class Heard:
    """What was said, by whom, and when."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._more = threading.Condition()

    def hear(self, text: str) -> None:
        with self._more:
            self.lines.append((threading.current_thread().name, text))
            self._more.notify_all()

    def wait(self, count: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: len(self.lines) >= count, 10), self.lines


def told(heard: Heard) -> tuple[Events, Narrator]:
    events, narrator = Events(), Narrator(heard.hear, heard.hear, BEAT)
    events.listen(narrator)
    return events, narrator


def test_a_phase_that_goes_on_says_so() -> None:
    """By a thread, while who began it waits; the inner of two phases is the one that is waited for."""
    heard = Heard()
    events, narrator = told(heard)
    with events.step("bench.boot"):
        heard.wait(3)
        with events.step("bench.ssh"):
            heard.wait(5)
        heard.wait(7)
    narrator.close()
    me, boot, ssh = threading.current_thread().name, SPOKEN["bench.boot"], SPOKEN["bench.ssh"]
    lines = [(who, re.sub(r"[\d.]+ s", "N s", text)) for who, text in heard.lines]
    assert lines[0] == (me, f"{boot} …")
    assert lines[1] == ("signs of life", f"{boot}: N s so far")
    assert [line for line in lines if line[0] == me][1:] == [
        (me, f"{ssh} …"),
        (me, f"{ssh}: done after N s"),
        (me, f"{boot}: done after N s"),
    ]
    inner = lines[lines.index((me, f"{ssh} …")) : lines.index((me, f"{ssh}: done after N s"))]
    assert set(inner[1:]) == {("signs of life", f"{ssh}: N s so far")}


def test_progress_that_came_too_soon_is_the_next_sign_of_life() -> None:
    """Twice within a beat would be chatter; nothing for two beats would be silence."""
    heard = Heard()
    events, narrator = told(heard)
    with events.step("guest.store"):
        events.emit("progress", text="a tenth")
        events.emit("progress", text="a fifth")
        heard.wait(3)
    narrator.close()
    assert [text for _, text in heard.lines][:2] == [f"{SPOKEN['guest.store']} …", "a fifth"]


def test_a_long_test_is_told_and_nothing_after_it() -> None:
    heard = Heard()
    events, narrator = told(heard)
    events.emit("test.running", test="suites/x/test_y.py::test_z[1]")
    heard.wait(2)
    events.emit("test.verdict", test="suites/x/test_y.py::test_z[1]")
    count, end = len(heard.lines), Deadline.after(4 * BEAT, "a sign of life of nothing")
    while not end.expired:
        os.sched_yield()
    narrator.close()
    assert heard.lines[0][1].startswith("test_z[1]: ")
    assert len(heard.lines) == count


def test_signs_of_life_that_nobody_can_see_end() -> None:
    """The terminal is gone; who waits goes on waiting."""
    told_to: list[str] = []

    def gone(text: str) -> None:
        told_to.append(text)
        raise BrokenPipeError

    narrator = Narrator(lambda _: None, gone, BEAT)
    events = Events()
    events.listen(narrator)
    with events.step("launch"):
        narrator._thread.join(10)
        assert not narrator._thread.is_alive()
    narrator.close()
    assert len(told_to) == 1


SLOW = """
[board]
description = "a board that takes its time"
arch = "x86_64"
os = "qnx-8.0"
[launch]
command = ["sh", "-c", "read line"]
ready = {seconds}
[host]
objects = "linux"
"""


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_a_run_is_never_silent_for_long(terminal: bool, tmp_path: Path) -> None:
    """Past pytest's capture, on a terminal and into a pipe: while a session's fixture waits for a board that says nothing."""
    (tmp_path / "slow.toml").write_text(SLOW.format(seconds=1.2 * QUIET_SECONDS))
    arguments = [
        "-m",
        "pytest",
        "--board=slow",
        "--vdevs=build/virtual/vdevs",
        f"--run-directory={tmp_path}",
        "suites/bench/test_deploy.py",
    ]
    environment = {**os.environ, "HARNESS_BOARDS": str(tmp_path), "HARNESS_BENCHES": str(tmp_path / "none")}
    run = [sys.executable, *arguments] if terminal else ["sh", "-c", '"$@" 2>&1 | cat', "sh", sys.executable, *arguments]
    # the environment's type is narrower in pexpect's annotations than what it takes
    child = pexpect.spawn(run[0], run[1:], cwd=str(session.CHECKOUT), env=environment, timeout=60, encoding="utf-8", dimensions=(24, 200))
    child.expect_exact("starting the board's program …")
    said = SYSTEM.monotonic()
    child.expect(r"· starting the board's program: 2 s so far\S*\r\n")
    assert SYSTEM.monotonic() - said < 1.2 * QUIET_SECONDS
    child.expect_exact("starting the board's program: failed after")
    child.expect(pexpect.EOF)
    child.close()
