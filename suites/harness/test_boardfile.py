"""Board files: what is read, what is refused and in which words; and boards that are programs."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from harness import boardfile
from harness.boardfile import Board
from harness.errors import HarnessError, UseError
from harness.events import Event, Events

TYPE = """
features = ["line.rx_errors"]
[board]
description = "a board for tests"
arch = "x86_64"
os = "qnx-8.0"
[power]
off_time = 0.5
[timing]
boot = 3
factor = 2.0
[line.ser2]
device = "/dev/ser2"
[claims]
"timer8254.port61" = "yes"
"""

BENCH = """
extends = "pc"
[console.host]
url = "/dev/serial/by-id/one"
[power]
driver = "scpi"
resource = "TCPIP::bench::5555::SOCKET"
[line.ser2]
url = "/dev/serial/by-id/two"
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a board type; the only ones there are."""
    return _directory(tmp_path / "types", "HARNESS_BOARDS", monkeypatch)


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a bench file; the user's own directory is empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return _directory(tmp_path / "benches", "HARNESS_BENCHES", monkeypatch)


def _directory(path: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> Write:
    path.mkdir()
    monkeypatch.setenv(variable, str(path))

    def write(name: str, text: str) -> Path:
        (path / f"{name}.toml").write_text(text)
        return path / f"{name}.toml"

    return write


def refused(name: str) -> str:
    with pytest.raises(UseError) as caught:
        boardfile.load(name)
    return str(caught.value)


def test_a_board_type_is_read_with_defaults(types: Write) -> None:
    types("pc", TYPE)
    board = boardfile.load("pc")
    assert board.board.arch == "x86_64"
    assert board.mode == "hardware"
    assert board.power.off_time == 0.5
    assert board.console.host.baud == 115200
    assert board.has("line.rx_errors")
    assert not board.has("line.modem_in")
    assert board.claim("timer8254.port61") == "yes"
    assert board.claim("ser8250.divisor") == "unknown"


def test_deadlines_are_scaled_by_the_factor(types: Write) -> None:
    types("pc", TYPE)
    assert boardfile.load("pc").seconds("boot") == 6.0


def test_a_bench_file_is_laid_over_its_type(types: Write, benches: Write) -> None:
    types("pc", TYPE)
    benches("left-desk", BENCH)
    board = boardfile.load("left-desk")
    assert board.name == "left-desk"
    assert board.console.host.url == "/dev/serial/by-id/one"
    assert (board.power.driver, board.power.off_time) == ("scpi", 0.5)
    assert (board.line["ser2"].url, board.line["ser2"].device) == ("/dev/serial/by-id/two", "/dev/ser2")
    board.require_bench()


def test_a_bench_file_may_have_its_types_name(types: Write, benches: Write) -> None:
    types("pc", TYPE)
    benches("pc", BENCH)
    assert boardfile.load("pc").console.host.url == "/dev/serial/by-id/one"


def test_the_first_bench_directory_wins(types: Write, benches: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    types("pc", TYPE)
    first = benches("desk", BENCH).parent
    users = tmp_path / "config/harness/benches"
    users.mkdir(parents=True)
    (users / "desk.toml").write_text(BENCH.replace("by-id/one", "by-id/users"))
    (users / "other.toml").write_text(BENCH)
    assert boardfile.load("desk").console.host.url == "/dev/serial/by-id/one"
    assert [(found.name, found.path.parent) for found in boardfile.known_boards() if found.kind == "bench"] == [
        ("desk", first),
        ("other", users),
    ]
    monkeypatch.delenv("HARNESS_BENCHES")
    assert boardfile.load("desk").console.host.url == "/dev/serial/by-id/users"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[power]\ndrvier = 'scpi'", ": power.drvier is unknown; did you mean driver?"),
        ("[powr]", ": powr is unknown; did you mean power?"),
        ("[console.hots]\nurl = 'x'", ": console.hots is unknown; did you mean host?"),
        ("[line.ser3]\nbuad = 9600", ": line.ser3.buad is unknown; did you mean baud?"),
        ("[power]\nchannel = 'one'", ": power.channel must be int, not 'one'"),
        ("[power]\nreset_channel = 0", ": power.reset_channel must be int >= 1, not 0"),
        ("[ssh]\nport = 70000", ": ssh.port must be int <= 65535, not 70000"),
        ("[ssh]\noptions = 'x'", ": ssh.options must be a list, not 'x'"),
        ("[ssh]\noptions = ['x', 1]", ": ssh.options must be a list of str, not ['x', 1]"),
        ("[timing]\nboot = 0", ": timing.boot must be float > 0.0, not 0"),
        ("[timing]\nboot = true", ": timing.boot must be float, not True"),
        ("[board]\narch = 'arm'", ": board.arch must be one of x86_64, aarch64, not 'arm'"),
        ("[claims]\na = 'maybe'", ": claims.a must be one of yes, no, unknown, not 'maybe'"),
        ("[claims]\na.b = 'yes'", ": claims.a must be one of yes, no, unknown, not a table (a name with a dot in it needs quotes)"),
        ("launch = 'program'", ": launch must be a table, not 'program'"),
        ("[launch]\nready = 1\n[board]\ndescription = 'x'\narch = 'x86_64'\nos = 'y'", ": launch.command is missing; add it"),
        ("[launch]\ncommand = []", ": launch.command must be a list of length >= 1, not []"),
        ("", ": board is missing; add it"),
        ("[board]\ndescription = 'x'\nos = 'qnx-8.0'", ": board.arch is missing; add it"),
        ("extends = 'pc'", ": extends has no place in a board type; only a bench file extends one"),
        ("[board]\ndescription = 'x'\narch = 'x86_64' 'y'", ":3: not TOML: "),
        ("[board", ":1: not TOML: "),
        ("[board]\n[board]", ":2: not TOML: "),
    ],
)
def test_a_mistake_is_named_with_file_key_and_next_step(types: Write, text: str, sentence: str) -> None:
    path = types("pc", text)
    said = refused("pc")
    assert said.startswith(f"{path}{sentence}")
    assert "\n" not in said


def test_a_file_of_the_checkout_is_named_from_its_root() -> None:
    assert boardfile.load("rpi4").files == ("boards/rpi4.toml",)


def test_a_file_that_is_no_text_is_refused(types: Write) -> None:
    types("pc", "").write_bytes(b"[board]\ndescription = '\xff'")
    assert "byte 23 is not UTF-8" in refused("pc")


def test_a_mistake_in_a_bench_file_names_the_bench_file(types: Write, benches: Write) -> None:
    types("pc", TYPE)
    path = benches("desk", "extends = 'pc'\n[ssh]\nhots = 'x'")
    assert refused("desk") == f"{path}: ssh.hots is unknown; did you mean host?"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("extends = 'pcc'", ": extends must name a board type, not 'pcc'; did you mean pc?"),
        ("extends = 3", ": extends must name a board type, not 3; known here: pc"),
        ("extends = '../pc'", ": extends must name a board type, not '../pc'"),
        ("", ": extends must name a board type"),
    ],
)
def test_a_bench_file_extends_a_board_type(types: Write, benches: Write, line: str, sentence: str) -> None:
    types("pc", TYPE)
    path = benches("desk", line)
    assert refused("desk").startswith(f"{path}{sentence}")


def test_an_unknown_board_lists_those_there_are(types: Write, benches: Write) -> None:
    types("rpi4", TYPE)
    types("virtual", TYPE)
    benches("desk", BENCH)
    assert refused("rpi5") == "board rpi5 is unknown; known here: desk, rpi4, virtual; did you mean rpi4?"
    assert refused("zzz") == "board zzz is unknown; known here: desk, rpi4, virtual"


@pytest.mark.parametrize("name", ["../pc", "/etc/passwd", "", ".", "pc\n"])
def test_a_name_is_no_path(types: Write, name: str) -> None:
    types("pc", TYPE)
    (types("other", TYPE).parent.parent / "pc.toml").write_text(TYPE)
    assert "is unknown" in refused(name)


@pytest.mark.usefixtures("types", "benches")
def test_without_any_board_file_the_sentence_says_where_they_come_from() -> None:
    assert "$HARNESS_BOARDS" in refused("pc")


def test_a_real_board_type_loads_but_is_no_bench() -> None:
    board = boardfile.load("rpi4")
    with pytest.raises(boardfile.NoBench) as caught:
        board.require_bench()
    said = str(caught.value)
    for word in ('extends = "rpi4"', "[console.host]", "url", "[power]", "driver", "resource", "my-rpi4.toml", "--board=my-rpi4"):
        assert word in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("cut", "missing"),
    [('url = "/dev/serial/by-id/one"', "console.host.url"), ('driver = "scpi"', "power.driver")],
)
def test_a_bench_file_that_says_too_little_is_told_what(types: Write, benches: Write, cut: str, missing: str) -> None:
    types("pc", TYPE)
    path = benches("desk", BENCH.replace(cut, ""))
    with pytest.raises(boardfile.NoBench, match=f"{path}: {missing} is missing"):
        boardfile.load("desk").require_bench()


def test_shipped_board_files_are_right_and_name_no_address() -> None:
    for found in boardfile.known_boards():
        if found.kind == "type":
            board = boardfile.read(found)
            assert (board.console.host.url, board.ssh.host, board.power.resource) == ("", "", "")


def test_the_bench_file_in_the_readme_works(benches: Write) -> None:
    example = re.search(r"```toml\n(.*?)```", (boardfile.checkout() / "boards/README.md").read_text(), re.DOTALL)
    assert example
    benches("left-desk", example[1])
    board = boardfile.load("left-desk")
    board.require_bench()
    assert board.ssh.host == "left-desk.lab"


def test_a_board_survives_being_handed_to_another_process(types: Write, benches: Write) -> None:
    types("pc", TYPE)
    benches("desk", BENCH)
    board = boardfile.load("desk")
    assert msgspec.json.decode(msgspec.json.encode(board), type=Board) == board


# Boards that are programs.

GOOD = """
import json, sys
print("starting", file=sys.stderr, flush=True)
print(json.dumps({"console": {"host": {"url": "/dev/pts/4"}}, "line": {"ser2": {"url": "/dev/pts/5"}},
                  "power": {"driver": "scpi", "resource": "TCPIP::127.0.0.1::40111::SOCKET"}}), flush=True)
sys.stdin.read()
open(sys.argv[1], "w").write("ended")
"""


@pytest.fixture
def program(types: Write, tmp_path: Path) -> Iterator[Callable[..., Board]]:
    """Makes a board whose program is the given Python text; it gets the path of a file as its argument."""

    def make(text: str, ready: float = 10.0) -> Board:
        (tmp_path / "program.py").write_text(text)
        command = f'["{{python}}", "{tmp_path}/program.py", "{tmp_path}/{{name}}.ended"]'
        types("soft", f"{TYPE}\n[launch]\ncommand = {command}\nready = {ready / 2}\n")
        return boardfile.load("soft")

    yield make


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


def test_a_real_board_needs_no_launch(types: Write) -> None:
    types("pc", TYPE)
    board = boardfile.load("pc")
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


def test_a_missing_program_is_a_use_error(types: Write) -> None:
    path = types("soft", TYPE + "[launch]\ncommand = ['no-such-program']\n")
    error = failure(boardfile.load("soft"))
    assert isinstance(error, UseError)
    assert str(error).startswith(f"{path}: launch.command cannot be started: no-such-program: No such file or directory; ")


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
        [sys.executable, "-c",
         "import os, signal, sys, msgspec\n"
         "from harness import boardfile\n"
         "board = msgspec.json.decode(sys.stdin.read(), type=boardfile.Board)\n"
         "with boardfile.launch(board) as launched:\n"
         "    print(launched.pid, flush=True)\n"
         "    os.kill(os.getpid(), signal.SIGKILL)\n"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=boardfile.checkout(),
    )
    output, _ = runner.communicate(msgspec.json.encode(board))
    assert runner.returncode == -signal.SIGKILL
    with suppress(ProcessLookupError):
        ended = os.pidfd_open(int(output))
        assert select.select([ended], [], [], 2)[0], "the board outlived its run"
        os.close(ended)
    assert (tmp_path / "soft.ended").read_text() == "ended"
