"""Boards that are programs: they come up, they end with their run however it ends, and what goes wrong is said."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from harness import boardfile
from harness.boardfile import Board
from harness.errors import HarnessError, UseError
from harness.events import Event, Events

TYPE = """
[board]
description = "a board for tests"
arch = "x86_64"
os = "qnx-8.0"
[line.ser2]
device = "/dev/ser2"
"""

GOOD = """
import json, sys
print("starting", file=sys.stderr, flush=True)
print(json.dumps({"console": {"host": {"url": "/dev/pts/4"}}, "line": {"ser2": {"url": "/dev/pts/5"}},
                  "power": {"driver": "scpi", "resource": "TCPIP::127.0.0.1::40111::SOCKET"}}), flush=True)
sys.stdin.read()
open(sys.argv[1], "w").write("ended")
"""


@pytest.fixture
def board_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Board]:
    """A board type with the given tables besides the usual ones; `HARNESS_BOARDS` has no other."""
    monkeypatch.setenv("HARNESS_BOARDS", str(tmp_path))
    monkeypatch.setenv("HARNESS_BENCHES", str(tmp_path / "none"))

    def make(tables: str) -> Board:
        (tmp_path / "soft.toml").write_text(TYPE + tables)
        return boardfile.load("soft")

    return make


@pytest.fixture
def program(board_of: Callable[[str], Board], tmp_path: Path) -> Callable[..., Board]:
    """Makes a board whose program is the given Python text; it gets the path of a file as its argument."""

    def make(text: str, ready: float = 10.0) -> Board:
        (tmp_path / "program.py").write_text(text)
        command = f'["{{python}}", "{tmp_path}/program.py", "{tmp_path}/{{name}}.ended"]'
        return board_of(f"[launch]\ncommand = {command}\nready = {ready}\n")

    return make


def test_a_launched_board_has_its_end_points_and_ends_with_its_input(program: Callable[..., Board], tmp_path: Path) -> None:
    events, seen = Events(), list[Event]()
    events.listen(seen.append)
    board = program(GOOD)
    assert board.mode == "virtual"
    board.require_bench()
    with boardfile.launch(board, events=events, log=tmp_path / "log") as launched:
        assert launched.board.console.host.url == "/dev/pts/4"
        assert (launched.board.line["ser2"].url, launched.board.line["ser2"].device) == ("/dev/pts/5", "/dev/ser2")
        assert launched.pid
        launched.check()
    assert (tmp_path / "soft.ended").read_text() == "ended"
    assert (tmp_path / "log").read_text() == "starting\n"
    assert [event.name for event in seen] == ["launch.begin", "launch.end", "launch.stop.begin", "launch.stop.end"]
    assert seen[-1].fields["ended_by"] == "end of input"
    launched.stop()


def test_a_real_board_needs_no_launch(board_of: Callable[[str], Board]) -> None:
    board = board_of("")
    with boardfile.launch(board) as launched:
        assert launched.board is board
        assert launched.pid is None
        launched.check()


def failure(board: Board) -> HarnessError:
    with pytest.raises(HarnessError) as caught, boardfile.launch(board):
        pass
    return caught.value


def test_a_program_that_dies_is_quoted(program: Callable[..., Board]) -> None:
    error = failure(program("import sys; sys.exit('no room for the disk')"))
    assert isinstance(error, boardfile.LaunchFailed)
    assert "ended with status 1" in str(error)
    assert error.evidence == "no room for the disk"


def test_a_program_that_dies_is_noticed_also_when_its_child_keeps_the_pipe(program: Callable[..., Board]) -> None:
    error = failure(program("import subprocess, sys; subprocess.Popen(['cat']); sys.exit('gone')"))
    assert "ended with status 1" in str(error)


def test_a_program_killed_by_a_signal_says_which(program: Callable[..., Board]) -> None:
    assert "was ended by Segmentation fault" in str(failure(program("import os; os.kill(os.getpid(), 11)")))


def test_a_program_that_cannot_run_here_is_a_use_error_in_its_own_words(program: Callable[..., Board]) -> None:
    error = failure(program("import sys; print('looking\\nQEMU is missing; run `make setup`', file=sys.stderr); sys.exit(3)"))
    assert isinstance(error, UseError)
    assert str(error) == "QEMU is missing; run `make setup`"


def test_a_silent_program_runs_out_of_time(program: Callable[..., Board]) -> None:
    board = program("import sys; print('waiting for a disk', file=sys.stderr, flush=True); sys.stdin.read()", ready=0.6)
    began = time.monotonic()
    error = failure(board)
    assert "printed no line of end points within 0.6 s" in str(error)
    assert "waiting for a disk" in error.evidence
    assert time.monotonic() - began < 4


def test_a_program_that_closes_its_output_does_not_hang_the_run(program: Callable[..., Board]) -> None:
    assert "closed its standard output" in str(failure(program("import os, sys; os.close(1); sys.stdin.read()")))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ready!", "not a JSON object: 'ready!'"),
        ("[1]", "not a JSON object: '[1]'"),
        ('{"consol": {}}', "consol is unknown; did you mean console?"),
        ('{"ssh": {"port": "22"}}', "ssh.port must be int, not '22'"),
    ],
)
def test_a_wrong_line_of_end_points_is_shown(program: Callable[..., Board], line: str, said: str) -> None:
    error = failure(program(f"import sys; print({line!r}, flush=True); sys.stdin.read()"))
    assert isinstance(error, boardfile.LaunchFailed)
    assert said in str(error)


def test_a_missing_program_is_a_use_error(board_of: Callable[[str], Board], tmp_path: Path) -> None:
    error = failure(board_of("[launch]\ncommand = ['no-such-program']\n"))
    assert isinstance(error, UseError)
    assert str(error).startswith(f"{tmp_path}/soft.toml: launch.command cannot be started: no-such-program: No such file or directory; ")


def test_a_program_that_dies_later_is_noticed(program: Callable[..., Board]) -> None:
    with boardfile.launch(program(GOOD)) as launched:
        assert launched.pid
        os.kill(launched.pid, signal.SIGTERM)
        os.waitid(os.P_PID, launched.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(boardfile.LaunchFailed, match="was ended by Terminated"):
            launched.check()


def test_a_deaf_program_is_told_and_then_made_to_end(program: Callable[..., Board], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.boardfile.program.STOP_SECONDS", 0.3)
    events, seen = Events(), list[Event]()
    events.listen(seen.append)
    deaf = "import signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('{}', flush=True)\nwhile True: signal.pause()"
    with boardfile.launch(program(deaf), events=events):
        pass
    assert seen[-1].fields["ended_by"] == "SIGKILL"


def test_another_child_does_not_keep_a_board_alive(program: Callable[..., Board]) -> None:
    events, seen = Events(), list[Event]()
    events.listen(seen.append)
    with boardfile.launch(program(GOOD), events=events):
        bystander = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False)
    assert seen[-1].fields["ended_by"] == "end of input"
    bystander.communicate()


def test_a_board_ends_when_its_run_is_killed(program: Callable[..., Board], tmp_path: Path) -> None:
    board = program(GOOD)
    runner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, signal, sys, msgspec\n"
            "from harness import boardfile\n"
            "board = msgspec.json.decode(sys.stdin.read(), type=boardfile.Board)\n"
            "with boardfile.launch(board) as launched:\n"
            "    print(launched.pid, flush=True)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=boardfile.checkout(),
    )
    output, _ = runner.communicate(msgspec.json.encode(board))
    assert runner.returncode == -signal.SIGKILL
    with suppress(ProcessLookupError):
        ended = os.pidfd_open(int(output))
        assert select.select([ended], [], [], 2)[0], "the board outlived its run"
        os.close(ended)
    assert (tmp_path / "soft.ended").read_text() == "ended"
