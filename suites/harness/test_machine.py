"""The virtual bench as the harness meets it: a launched program, a supply on a port, ptys, SSH. Every board here is a real QEMU."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from boards.virtual import image
from boards.virtual.machine import accelerator
from harness.boardfile import load

CHECKOUT = image.CHECKOUT
BOOT = load("virtual-x86_64").seconds("boot")
SSH = load("virtual-x86_64").seconds("ssh")
SSH_FAILED = 255
"""The client's own exit status when it could not log in."""
SECOND = 960
"""Bytes that take one second at 9,600 baud."""
GONE = 2.0
"""Seconds after which nothing of a machine may be left."""


class Console:
    """A line's pty, opened as any terminal program would."""

    def __init__(self, url: str) -> None:
        self.fd = os.open(url, os.O_RDWR | os.O_NOCTTY)

    def until(self, pattern: bytes, seconds: float = BOOT) -> bytes:
        seen, deadline = b"", time.monotonic() + seconds
        while not re.search(pattern, seen):
            ready = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]
            assert ready, f"no {pattern!r} in {seconds} s; seen {seen[-400:]!r}"
            seen += os.read(self.fd, 4096)
        return seen

    def run(self, command: str, answer: bytes, seconds: float = 10) -> bytes:
        os.write(self.fd, command.encode() + b"\n")
        return self.until(answer, seconds)


class Machine:
    """A launched bench, driven by nothing but what its JSON line says."""

    def __init__(self, state: Path, *options: str) -> None:
        command = [sys.executable, "-m", "boards.virtual.machine", "--name", state.name, "--state", str(state), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT)
        assert self.process.stdout
        self.endpoints: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.supply = Supply(self.endpoints)
        self.console = Console(self.endpoints["console"]["host"]["url"])

    def qemu(self) -> int:
        """The pid of the board's QEMU; 0 when there is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def boot(self) -> bytes:
        termios.tcflush(self.console.fd, termios.TCIFLUSH)
        self.supply.tell("OUTP CH1,ON")
        return self.console.until(rb"# $")

    def ssh(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs `command`; asks again while the board refuses, which one that boots does."""
        deadline = time.monotonic() + SSH
        while True:
            result = subprocess.run([*self.ssh_command(), *command], capture_output=True, text=True, check=False)
            if result.returncode != SSH_FAILED or time.monotonic() > deadline:
                return result

    def ssh_command(self) -> list[str]:
        """The client as far as the host's name. A host that makes its own keys tells none to check."""
        at = self.endpoints["ssh"]
        known = Path(at["identity"]).with_name("known_hosts")
        known.write_text(f"[{at['host']}]:{at['port']} {at['host_key']}\n" if at["host_key"] else "")
        checking = "yes" if at["host_key"] else "no"
        options = [
            f"UserKnownHostsFile={known}",
            f"StrictHostKeyChecking={checking}",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=2",
        ]
        words = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "none", *words, "-i", at["identity"], "-p", str(at["port"]), f"{at['user']}@{at['host']}"]

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(GONE)


class Supply:
    """A SCPI conversation."""

    def __init__(self, endpoints: dict[str, Any]) -> None:
        _, host, port, _ = endpoints["power"]["resource"].split("::")
        self.file = socket.create_connection((host, int(port))).makefile("rw")

    def ask(self, query: str) -> str:
        self.file.write(query + "\n")
        self.file.flush()
        return self.file.readline().strip()

    def tell(self, command: str) -> None:
        self.file.write(command + "\n")
        assert self.ask("SYST:ERR?") == '0,"No error"'

    def amperes(self, channel: int = 1) -> float:
        return float(self.ask(f":MEAS:CURR? CH{channel}"))


def wait_for(true: Callable[[], object], seconds: float = GONE) -> bool:
    """Whether it becomes true in time; for things outside that offer nothing to wait on."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benches") / "first"


@pytest.fixture(scope="module")
def machine(state: Path) -> Iterator[Machine]:
    """A machine whose board is booted; a test that switches it off leaves it booted again."""
    started = Machine(state)
    started.boot()
    yield started
    started.end()


def test_the_console_is_a_root_shell_on_a_host_that_says_it_is_virtual(machine: Machine) -> None:
    assert b"QNX localhost 8.0.0 virtual-board x86pc" in machine.console.run("uname -a", rb"x86_64\r\n# $")
    assert b"uid=0(root)" in machine.console.run("id", rb"uid.*\n# $")


def test_ssh_answers_with_the_hypervisor_ready(machine: Machine) -> None:
    result = machine.ssh("ls /dev/kvm /data /dev/ser1 /dev/ser2 /dev/ser3 /dev/ser4")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_host_has_no_tool_that_qnx_has_not(machine: Machine) -> None:
    """`cat` answers for the tools that are there, so that this cannot pass on an empty PATH."""
    result = machine.ssh("cd /bin && for t in cat sha256sum ps pkill insmod nc setsid busybox rsync; do whence $t; done")
    assert result.stdout.split() == ["/bin/cat"]


def test_the_board_cannot_reach_the_lab_controller(machine: Machine) -> None:
    """The supply listens on this machine; QEMU's gateway address would lead to it. The board's own sshd shows that `nc` works."""
    port = machine.endpoints["power"]["resource"].split("::")[2]
    own = machine.ssh("/usr/bin/toybox nc -w 2 127.0.0.1 22 </dev/null")
    assert own.stdout.startswith("SSH-2.0")
    outside = machine.ssh(f"echo '*IDN?' | /usr/bin/toybox nc -w 2 10.0.2.2 {port}")
    assert outside.returncode != 0
    assert outside.stdout == ""


def test_a_line_takes_the_time_its_speed_says(machine: Machine) -> None:
    """960 bytes at 9,600 baud are one second, from the board's UART to the lab controller."""
    line = Console(machine.endpoints["line"]["ser2"]["url"])
    settings = termios.tcgetattr(line.fd)
    settings[4] = settings[5] = termios.B9600
    termios.tcsetattr(line.fd, termios.TCSANOW, settings)
    os.write(machine.console.fd, b"stty raw </dev/ser2; yes 0123456789abcde | head -c %d >/dev/ser2\n" % (SECOND + 1))
    os.read(line.fd, 1)
    count, begin = 0, time.monotonic()
    while count < SECOND:
        assert select.select([line.fd], [], [], 5)[0], f"only {count} bytes arrived"
        count += len(os.read(line.fd, 4096))
    assert 0.98 < time.monotonic() - begin < 2  # a busy lab controller makes it longer, nothing makes it shorter
    machine.console.until(rb"# $")


def test_a_power_cut_keeps_data_and_ptys_and_nothing_else(machine: Machine) -> None:
    machine.console.run("echo kept-$((6*7)) >/data/note; echo lost >/tmp/note; sync; echo done-$((1+1))", b"done-2")
    qemu = machine.qemu()
    machine.supply.tell("OUTP CH1,OFF")
    assert not running(qemu)
    assert (machine.supply.ask("OUTP? CH1"), machine.supply.amperes()) == ("OFF", 0.0)
    assert b"Welcome to QNX 8.0.0 on x86pc !" in machine.boot()
    assert b"kept-42" in machine.console.run("cat /data/note; ls /tmp/note", rb"inaccessible|No such")


def test_a_pulse_on_the_reset_relay_starts_the_board_over_without_a_power_cut(machine: Machine) -> None:
    qemu = machine.qemu()
    machine.supply.tell("OUTP CH2,ON")
    machine.supply.tell("OUTP CH2,OFF")
    machine.console.until(rb"Welcome to QNX(?s:.*)# $")
    assert machine.qemu() == qemu
    assert machine.ssh("true").returncode == 0


def test_a_board_that_ends_by_itself_leaves_the_output_on_and_draws_nothing(machine: Machine) -> None:
    assert machine.supply.amperes() > 0
    os.kill(machine.qemu(), signal.SIGKILL)
    assert wait_for(lambda: machine.supply.amperes() == 0)
    assert machine.supply.ask("OUTP? CH1") == "ON"
    machine.supply.tell("OUTP CH1,OFF")
    machine.boot()


def test_a_second_machine_runs_beside_the_first_but_not_on_its_state(machine: Machine, state: Path) -> None:
    second = Machine(state.with_name("second"))
    try:
        second.boot()
        assert second.ssh("hostname").returncode == 0
        assert b"still-42" in machine.console.run("echo still-$((6*7))", b"still-42")
    finally:
        second.end()
    command = [sys.executable, "-m", "boards.virtual.machine", "--name", "x", "--state", str(state)]
    third = subprocess.run(command, cwd=CHECKOUT, stdin=subprocess.PIPE, capture_output=True, text=True, check=False)
    assert (third.returncode, third.stdout) == (3, "")
    assert "another machine runs on" in third.stderr


PARENT = """
import subprocess, sys
command = [sys.executable, "-m", "boards.virtual.machine", "--name", "orphan", "--state", sys.argv[1]]
child = subprocess.Popen(command, stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.parametrize("victim", ["machine", "its parent"])
def test_nothing_is_left_when_it_is_killed(victim: str, tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert parent.stdout
    machine, supply = int(parent.stdout.readline()), Supply(json.loads(parent.stdout.readline()))
    supply.tell("OUTP CH1,ON")
    qemu = int(Path(f"/proc/{machine}/task/{machine}/children").read_text())
    assert running(qemu)
    os.kill(machine if victim == "machine" else parent.pid, signal.SIGKILL)
    parent.wait()
    assert wait_for(lambda: not running(qemu) and not running(machine))


def test_no_qemu_is_one_sentence_before_anything_is_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "boards.virtual.machine", "--name", "x", "--state", str(tmp_path / "x")]
    result = subprocess.run(command, cwd=CHECKOUT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == "boards.virtual.machine: qemu-system-x86_64 is not installed; run `make setup`, which installs it\n"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        ("x", "/dev/null", "standard input is neither a terminal nor a pipe, and its end takes the board down; start it with one"),
        ("x", "", "standard input is neither a terminal nor a pipe, and its end takes the board down; start it with one"),
        ("../x", "|", "'../x' is no name of a bench; use letters, digits, dots, hyphens and underscores for --name"),
    ],
)
def test_how_it_cannot_be_started_is_one_sentence(name: str, source: str, sentence: str) -> None:
    script = {"": 'exec "$@" <&-', "|": ': | "$@"'}.get(source, f'exec "$@" <{source}')
    before = sorted((CHECKOUT / "build").rglob("x"))
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "boards.virtual.machine", "--name", name]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"boards.virtual.machine: {sentence}\n")
    assert sorted((CHECKOUT / "build").rglob("x")) == before


def test_a_bare_machine_boots_to_nothing_but_a_prompt(state: Path) -> None:
    """The reference the benchmark compares with."""
    machine = Machine(state.with_name("bare"), "--bare")
    try:
        assert b"QNX" not in machine.boot()
    finally:
        machine.end()


@pytest.mark.parametrize(
    ("flags", "nested", "expected"),
    [("fpu svm npt", "1", True), ("fpu svm npt", "0", False), ("fpu hypervisor", "1", False), ("fpu svm_lock", "Y", False)],
)
def test_kvm_is_not_even_tried_without_nesting(tmp_path: Path, flags: str, nested: str, expected: bool) -> None:
    cpu_info, parameter, device = tmp_path / "cpuinfo", tmp_path / "nested", tmp_path / "kvm"
    cpu_info.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    parameter.write_text(nested + "\n")
    device.touch()
    assert accelerator.claimed(cpu_info, parameter, device) is expected
