"""Benches for people: a bench file to fill in, who holds which bench, a console at the keyboard."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import tomllib
from pathlib import Path

import pexpect
import pytest

from harness import boardfile, lease
from harness.boardfile import checkout, new
from harness.lease import Owner
from suites.harness.session import left, marked
from suites.harness.test_cli import harness

BENCH = 'extends = "rpi4"\n[console.host]\nurl = "{url}"\n[power]\ndriver = "scpi"\nresource = "TCPIP::x::1::SOCKET"\n'


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty configuration directory."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    return {**kept, "XDG_CONFIG_HOME": str(tmp_path / "config"), "NO_COLOR": "1"}


def user_benches(home: dict[str, str]) -> Path:
    path = Path(home["XDG_CONFIG_HOME"]) / "harness" / "benches"
    path.mkdir(parents=True, exist_ok=True)
    return path


def listed(home: dict[str, str]) -> dict[str, str]:
    """`harness bench list`, line by name."""
    ended = harness(home, "bench", "list")
    assert (ended.returncode, ended.stderr) == (0, "")
    return {line.split()[0]: line for line in ended.stdout.splitlines()}


def test_a_new_bench_file_is_written_where_it_is_found(home: dict[str, str]) -> None:
    """It can be listed at once, says what is missing, and is not overwritten."""
    ended = harness(home, "bench", "new", "rpi4", "desk")
    assert (ended.returncode, ended.stderr) == (0, "")
    path = user_benches(home) / "desk.toml"
    assert str(path) in ended.stdout
    assert "`pytest --board=desk suites/bench`" in ended.stdout
    assert "console.host.url is missing" in listed(home)["desk"]
    written = path.read_bytes()
    again = harness(home, "bench", "new", "rpi4", "desk")
    assert (again.returncode, again.stderr) == (2, f"harness: {path} is there already; choose another name, or edit that file\n")
    assert path.read_bytes() == written


@pytest.mark.parametrize("type_name", [found.name for found in boardfile.known_boards() if found.kind == "type"])
def test_a_new_bench_file_is_right_when_its_comments_are_taken_away(
    type_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every key it offers is one the schema knows, and with all of them the bench can be reached."""
    monkeypatch.setenv("HARNESS_BENCHES", str(tmp_path))
    text = new.text(boardfile.load(type_name), "desk", ["/dev/serial/by-id/usb-maker_1"])
    tomllib.loads(text)
    (tmp_path / "desk.toml").write_text(re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE))
    board = boardfile.load("desk")
    board.require_bench()
    assert board.console.host.url == "/dev/serial/by-id/usb-maker_1"
    assert (board.ssh.host, board.identity.answer, board.line["ser2"].device) == ("ADDRESS", "MAC ADDRESS", "/dev/ser2")


def test_serial_adapters_are_offered_by_names_that_stay(tmp_path: Path) -> None:
    (tmp_path / "usb-maker_2-port0").symlink_to("/dev/null")
    (tmp_path / "usb-maker_1-port0").symlink_to("/dev/null")
    assert new.serial_ports(tmp_path) == [f"{tmp_path}/usb-maker_1-port0", f"{tmp_path}/usb-maker_2-port0"]
    assert new.serial_ports(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rpi44"], "rpi44 is no board type; did you mean rpi4?"),
        (["virtual-x86_64"], "virtual-x86_64 is a board made of software and needs no bench file; run `pytest --board=virtual-x86_64`"),
        (["rpi4", "../desk"], "'../desk' is no name of a bench; use letters, digits, dots, hyphens and underscores"),
    ],
)
def test_a_bench_file_that_makes_no_sense_is_refused(arguments: list[str], sentence: str, home: dict[str, str]) -> None:
    ended = harness(home, "bench", "new", *arguments)
    assert (ended.returncode, ended.stderr, ended.stdout) == (2, f"harness: {sentence}\n", "")
    assert list(Path(home["XDG_CONFIG_HOME"]).rglob("*.toml")) == []


def test_the_list_says_who_holds_a_bench_and_what_seems_to_be_missing(home: dict[str, str]) -> None:
    """A free one whose port is there, one without its adapter, one whose SSH does not answer, and one in use."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = closed.getsockname()[1]
    (user_benches(home) / "fine.toml").write_text(BENCH.format(url="/dev/null"))
    (user_benches(home) / "loose.toml").write_text(BENCH.format(url="/dev/serial/by-id/none"))
    (user_benches(home) / "mute.toml").write_text(BENCH.format(url="/dev/null") + f'[ssh]\nhost = "127.0.0.1"\nport = {dead}\n')
    (user_benches(home) / "typo.toml").write_text('extends = "rpi4"\n[powr]\n')
    name = f"taken-{os.getpid()}"
    (user_benches(home) / f"{name}.toml").write_text(BENCH.format(url="/dev/null"))
    with lease.take(name, "pytest --board=taken"):
        lines = listed(home)
    assert lines["fine"].split()[:3] == ["fine", "rpi4", "free"]
    assert lines["fine"].endswith("seems to be there")
    assert "console.host: /dev/serial/by-id/none is not there" in lines["loose"]
    assert f"ssh: no answer from 127.0.0.1 port {dead}" in lines["mute"]
    assert lines["typo"].endswith("powr is unknown")
    assert f"(pid {os.getpid()}, `pytest --board=taken`) since" in lines[name]
    lease.lock_file(name).unlink()


def test_looking_at_a_lease_keeps_nobody_out(tmp_path: Path) -> None:
    """Who holds it is told without taking it, and one who only looks does not count as a holder."""
    assert lease.holder("pc", tmp_path) == "nobody"
    with lease.take("pc", "pytest", directory=tmp_path):
        found = lease.holder("pc", tmp_path)
        assert isinstance(found, Owner)
        assert found.pid == os.getpid()
    assert lease.holder("pc", tmp_path) == "nobody"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["console", "virtual-x86_64"], "there is no terminal to hand the console to; run it at a terminal; "),
        (["bench", "check", "rpi4"], "rpi4 is a board type, and nothing says where such a board stands; write a bench file with `harness "),
    ],
)
def test_a_bench_that_cannot_be_had_is_a_sentence(arguments: list[str], sentence: str, home: dict[str, str]) -> None:
    ended = harness(home, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"harness: {sentence}")


def test_check_meets_the_host_and_says_who_it_is(home: dict[str, str]) -> None:
    ended = harness(home, "bench", "check", "virtual-x86_64")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == (
        "virtual-x86_64: QNX localhost 8.0.0 virtual-board x86pc x86_64 (mode: virtual), reached by its console and SSH\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_check_that_is_ended_switches_off_in_order(number: signal.Signals, home: dict[str, str], tmp_path: Path) -> None:
    """By the command itself, and not by the guardian behind it; who waits is told meanwhile."""
    command = [sys.executable, "-c", "from harness.cli import main; main()", "bench", "check", "virtual-x86_64"]
    check = pexpect.spawn(command[0], command[1:], cwd=str(checkout()), env={**home, "HARNESS_MARK": str(tmp_path)}, timeout=60)
    check.expect_exact("waiting for the host's shell")
    check.kill(number)
    check.expect("switching the board off: done after")
    check.expect(pexpect.EOF)
    check.close()
    assert check.exitstatus == 128 + number
    assert left(str(tmp_path), seconds=5) == set()


def test_a_console_at_the_keyboard(home: dict[str, str], tmp_path: Path) -> None:
    """The board is switched on, what is typed reaches its shell, Ctrl-] ends it, the log is kept, and nothing goes on running."""
    mark = str(tmp_path)
    command = [sys.executable, "-c", "from harness.cli import main; main()", "console", "virtual-x86_64"]
    # the environment's type is narrower in pexpect's annotations than what it takes
    terminal = pexpect.spawn(command[0], command[1:], cwd=str(checkout()), env={**home, "HARNESS_MARK": mark}, timeout=60)
    terminal.expect_exact("Welcome to QNX 8.0.0")
    terminal.expect_exact("# ")
    terminal.send("echo $((6 * 7)) on $(uname -v)\r")
    terminal.expect_exact("42 on virtual-board")
    assert len(marked(mark)) > 1
    terminal.send("\x1d")
    terminal.expect(r"what was said is in (\S+host\.log)")
    log = Path(terminal.match[1].decode())
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert b"42 on virtual-board" in log.read_bytes()
    assert left(mark, seconds=5) == set()
