"""Questions to a shell that is not known yet: right or none on a bad line, and nothing is changed on the other side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.clock import Deadline
from harness.command import CommandTimeout
from harness.console import KSH, Console, NoShell, Questions, Shell, ShellNoise
from harness.events import Events
from suites.harness.relay import Relay, shell

PATH = os.get_exec_path()
SETTINGS = ["sh", "-c", 'stty -a </dev/tty; echo "$TERM"; echo "$1"', "sh", "an argument\nof two lines"]


@contextmanager
def asked(directory: Path, seconds: float = 20.0, **line: float) -> Iterator[tuple[Questions, Shell, Relay]]:
    with shell(["mksh", "-i"], **line) as relay, Console("host", relay.url, 115200, directory / "host.log", Events()) as console:
        met = Shell.meet(console, KSH, Deadline.after(30, "a shell"))
        yield Questions(met, PATH, seconds), met, relay


def test_status_and_output_arrive(tmp_path: Path) -> None:
    with asked(tmp_path) as (questions, _, _):
        assert questions.run(["echo", "it's $HOME"]).stdout == b"it's $HOME\n"
        assert questions.run(["sh", "-c", "echo said; echo wrong >&2; exit 3"]).stdout == b"said\nwrong\n"
        assert questions.run(["sh", "-c", "exit 3"]).status == 3


def test_nothing_is_changed_by_a_question(tmp_path: Path) -> None:
    """Neither the tty's settings nor the shell's: prompt, line editor, functions, a file. `set_up` comes after it, and works."""
    with asked(tmp_path) as (questions, met, _):
        before = questions.run(SETTINGS)
        assert b" echo" in before.stdout
        assert b"an argument\nof two lines\n" in before.stdout
        assert questions.run(SETTINGS) == before
        assert b"_h" not in met.console.slice(0)
        assert met.console.slice(0).endswith(b"# ")
        assert not list(Path("/tmp").glob(f"{Path(met.base).name}.*"))
        met.set_up(Deadline.after(20, "the shell"))
        assert list(Path("/tmp").glob(f"{Path(met.base).name}.*"))
        met.detach(Deadline.after(5, "the shell"))


def test_an_answer_on_a_bad_line_is_right_or_there_is_none(tmp_path: Path) -> None:
    wanted, right = b"".join(b"%d\n" % number for number in range(1, 40)), 0
    with asked(tmp_path) as (questions, _, relay):
        relay.noise = relay.drop = 0.001
        for _ in range(12):
            try:
                assert questions.run(["seq", "1", "39"]).stdout == wanted
                right += 1
            except (ShellNoise, NoShell):
                continue
        assert relay.inserted + relay.dropped > 0
    assert right >= 8


def test_what_does_not_answer_in_time_is_named(tmp_path: Path) -> None:
    with asked(tmp_path, seconds=1.0) as (questions, _, _), pytest.raises(CommandTimeout, match=r"`sleep 20` was not seen within 1 s"):
        questions.run(["sleep", "20"])
