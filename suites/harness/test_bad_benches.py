"""What can be wrong with a bench in the middle of things: one sentence each, no blame for the device, and nothing changed."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from suites.harness.session import CHECKOUT
from suites.harness.session import pytest as run

BOARD = "--board=virtual-x86_64"

ANEW = """
def test_switched_on_anew(bench):
    bench.power_off()
    bench.power_on()
    bench.host.run(["true"])
"""
"""How the suites below end that lose the host."""

REBOOT = f"""
def test_before(bench):
    pass

def test_during(bench):
    bench.host.run(["sh", "-c", "echo b >/proc/sysrq-trigger"])

def test_after(bench):
    bench.host.run(["true"])

def test_by_console(bench):
    bench.host_by_console.run(["true"])

{ANEW}"""

LOSS = """
def test_during(bench):
    {cause}

def test_after(bench):
    bench.host.run(["true"])

def test_after_that(bench):
    bench.host.run(["true"])
"""

LOSSES = {
    "supply": (
        "from harness import power; power.switch(bench.board, bench.events).off(); bench.host.run(['true'])",
        r"virtual-x86_64: the board's power is off, and this run did not switch it; look at its supply, and who else does",
    ),
    "crash": (
        "bench.host.run(['sh', '-c', 'echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger'])",
        r"virtual-x86_64: the host is gone: no answer on its console, and before that: virtual-x86_64: the SSH connection to .* is gone "
        r"\(.*\); look at what it said last, in consoles/host\.log of the run",
    ),
    "server": (
        "bench.host_by_console.run(['sh', '-c', 'kill -9 $(pidof sshd) 2>/dev/null; slay -f -s KILL sshd'], check=False);"
        "bench.host.run(['true'])",
        r"virtual-x86_64: the SSH connection to .* is gone \(.*\); its console still answers; look at its network and its SSH server",
    ),
}
"""What is done to the board in the middle of a test, and the sentence."""

FULL = """
def test_fill_the_disk(bench):
    scratch = bench.board.host.scratch
    bench.host.run(["mkdir", "-p", scratch])
    bench.host.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", scratch])

def test_deploy(deployment):
    pass

def test_deploy_again(deployment):
    pass

def test_nothing_is_left(bench):
    assert bench.host.run(["ls", "-A", bench.board.host.scratch]).text == ""
"""


def journal(runs: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (runs / "latest" / "journal.jsonl").read_text().splitlines()]


def verdicts(runs: Path) -> dict[str, tuple[str, str]]:
    """Verdict and sentence of each test, by its name."""
    found = [event["fields"] for event in journal(runs) if event["event"] == "test.verdict"]
    return {fields["test"].partition("::")[2]: (fields["verdict"], fields["sentence"]) for fields in found}


def written(directory: Path, text: str) -> str:
    path = directory / "test_it.py"
    path.write_text(text)
    return str(path)


def test_a_host_that_reboots_by_itself_blocks_what_comes_after(tmp_path: Path) -> None:
    """The test in which it happens is *infra*, the rest is *blocked* by that one cause, until the board is switched on anew."""
    ended = run(BOARD, f"--run-directory={tmp_path}/runs", written(tmp_path, REBOOT))
    assert ended.status == 10, ended.output
    cause = (
        "virtual-x86_64: the host rebooted by itself, its banner came again on the console; "
        "look at what it said before, in consoles/host.log of the run"
    )
    assert verdicts(tmp_path / "runs") == {
        "test_before": ("passed", ""),
        "test_during": ("infra", cause),
        "test_after": ("blocked", cause),
        "test_by_console": ("blocked", cause),
        "test_switched_on_anew": ("passed", ""),
    }
    assert f"blocked      2 tests: {cause}" in ended.output


@pytest.mark.parametrize("loss", LOSSES)
def test_a_host_that_is_lost_is_one_cause(loss: str, tmp_path: Path) -> None:
    """It says what the other ways to the host show; what comes after is *blocked* by it until the board is switched on anew."""
    cause, sentence = LOSSES[loss]
    ended = run(BOARD, f"--run-directory={tmp_path}/runs", written(tmp_path, LOSS.format(cause=cause) + ANEW))
    assert ended.status == 10, ended.output
    found = verdicts(tmp_path / "runs")
    said = found["test_during"][1]
    assert re.fullmatch(sentence, said), said
    assert found == {
        "test_during": ("infra", said),
        "test_after": ("blocked", said),
        "test_after_that": ("blocked", said),
        "test_switched_on_anew": ("passed", ""),
    }


PROGRAM = """
import os, signal
from pathlib import Path
from harness.clock import Deadline

def end_the_program():
    children = Path(f"/proc/self/task/{{os.getpid()}}/children").read_text().split()
    [program] = [child for child in children if b"boards.virtual.machine" in Path(f"/proc/{{child}}/cmdline").read_bytes()]
    os.kill(int(program), signal.SIGKILL)

def test_during(bench):
    {during}

def test_after(bench):
    bench.host.run(["true"])

def test_a_line(bench):
    bench.console("ser2").write(b"x" * 100000, Deadline.after(20, "the line to take it"))

def test_switched_on_anew(bench):
    bench.power_off()
"""


@pytest.mark.parametrize(
    "during",
    [
        "end_the_program(); bench.host.run(['true'])",
        "cursor = bench.console('ser2').cursor(); end_the_program(); cursor.expect(b'never', Deadline.after(100, 'a word'))",
    ],
    ids=["host", "line"],
)
def test_a_launched_program_that_ends_is_one_cause(during: str, tmp_path: Path) -> None:
    """It is known at once, whatever was being waited for, and nothing brings the board back."""
    begin = time.monotonic()
    ended = run(BOARD, f"--run-directory={tmp_path}/runs", written(tmp_path, PROGRAM.format(during=during)))
    assert ended.status == 10, ended.output
    found = verdicts(tmp_path / "runs")
    said = found["test_during"][1]
    assert re.fullmatch(r"the program behind virtual-x86_64 \(`.*`\) was ended by Killed; see what it said last, .*", said), said
    assert found == {
        "test_during": ("infra", said),
        "test_after": ("blocked", said),
        "test_a_line": ("blocked", said),
        "test_switched_on_anew": ("blocked", said),
    }
    assert time.monotonic() - begin < 30, ended.output


STOPPED = """
import os, subprocess

def test_stopped(bench):
    subprocess.Popen(["sh", "-c", f"sleep 1; kill -STOP {os.getpid()}; sleep 4; kill -CONT {os.getpid()}"])
    bench.host.run(["sleep", "3"], timeout=4)

def test_going_on(bench):
    bench.host.run(["sleep", "3"], timeout=1)
"""


def test_a_run_that_was_stopped_itself_says_so(tmp_path: Path) -> None:
    """As by Ctrl-Z: what ran out of time meanwhile is not the host's doing. Where it was not, nothing of it is said."""
    ended = run(BOARD, f"--run-directory={tmp_path}/runs", written(tmp_path, STOPPED))
    assert ended.status == 10, ended.output
    found = verdicts(tmp_path / "runs")
    sentence = r".*sleep 3` did not end within 4 s \(this process itself stood still for [34]\.\d s while the test ran\); raise .*"
    assert re.fullmatch(sentence, found["test_stopped"][1]), found
    assert "stood still" not in found["test_going_on"][1]
    assert {verdict for verdict, _ in found.values()} == {"infra"}


def test_a_full_disk_on_the_host_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    ended = run(BOARD, f"--run-directory={tmp_path}/runs", written(tmp_path, FULL))
    assert ended.status == 10, ended.output
    found = verdicts(tmp_path / "runs")
    assert {test: verdict for test, (verdict, _) in found.items()} == {
        "test_fill_the_disk": "passed",
        "test_deploy": "infra",
        "test_deploy_again": "blocked",
        "test_nothing_is_left": "passed",
    }
    sentence = found["test_deploy"][1]
    assert "check the free space of /data/harness on the host (df) and run again" in sentence
    assert "\n" not in sentence


HOLDER = """
import sys, serial
port = serial.serial_for_url(sys.argv[1], exclusive=True)
print("open", flush=True)
sys.stdin.read()
"""


def test_a_port_in_use_is_told_with_its_holder_and_nothing_is_switched(tmp_path: Path) -> None:
    """Somebody works with the board by hand: his port is named, and his board keeps its power."""
    console, device = pty.openpty()
    port = os.ttyname(device)
    with socket.create_server(("127.0.0.1", 0)) as supply:
        supply.settimeout(0.2)
        (tmp_path / "desk.toml").write_text(
            f'extends = "rpi4"\n[console.host]\nurl = "{port}"\n[power]\ndriver = "scpi"\n'
            f'resource = "TCPIP::127.0.0.1::{supply.getsockname()[1]}::SOCKET"\n'
        )
        command = [sys.executable, "-c", HOLDER, port]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT) as holder:
            assert holder.stdout and holder.stdout.readline() == b"open\n"
            os.close(device)
            suite = "suites/bench/test_host.py::test_console_and_ssh_reach_the_same_host"
            ended = run("--board=desk", f"--run-directory={tmp_path}/runs", suite, HARNESS_BENCHES=str(tmp_path))
            assert holder.stdin
            holder.stdin.close()
        assert ended.status == 10, ended.output
        [(verdict, sentence)] = verdicts(tmp_path / "runs").values()
        assert verdict == "infra"
        assert sentence.startswith(f"console host: {port} is in use by `{sys.executable} -c import sys, serial port = ")
        assert sentence.endswith(f"(pid {holder.pid}); end that program, or ask its owner")
        with pytest.raises(TimeoutError):
            supply.accept()
    os.close(console)


def test_a_board_the_linux_guest_is_not_made_for_skips_what_boots_it(tmp_path: Path) -> None:
    text = (CHECKOUT / "boards" / "virtual-x86_64.toml").read_text()
    text = text.replace('arch = "x86_64"', 'arch = "aarch64"').replace('directory = "build/virtual/vdevs"', 'directory = ""')
    (tmp_path / "arm.toml").write_text(text)
    ended = run("--board=arm", f"--run-directory={tmp_path}/runs", "suites/bench/test_vm.py", HARNESS_BOARDS=str(tmp_path))
    assert ended.status == 0, ended.output
    reason = "the stock Linux guest is made for x86_64; arm is aarch64"
    assert set(verdicts(tmp_path / "runs").values()) == {("skipped", reason)}
