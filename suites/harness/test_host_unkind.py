"""A virtual host with everything unkind switched on really is so, and one without is not; the harness gets along with both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from boards.virtual.machine import unkind
from suites.harness.session import pytest as run_pytest
from suites.harness.test_machine import CHECKOUT, Machine
from suites.harness.test_runs import journal

LINE = 256
"""Bytes of a line that an unkind console takes, its end included."""


@pytest.fixture(scope="module", params=[unkind.ALL, ""], ids=["unkind", "kind"])
def kind(request: pytest.FixtureRequest) -> bool:
    return not request.param


@pytest.fixture(scope="module")
def host(kind: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Two machines that differ in nothing else."""
    machine = Machine(tmp_path_factory.mktemp("benches") / "host", "--unkind", "" if kind else unkind.ALL)
    machine.boot()
    yield machine
    machine.end()


def test_the_consoles_longest_line(host: Machine, kind: bool) -> None:
    """What is typed beyond it is lost; the line's end still ends it. The shell answers with the length of what it was given."""
    command = "X=%s; echo len-${#X}-"
    fits = LINE - 1 - len(command % "")
    assert f"len-{fits}-".encode() in host.console.run(command % ("a" * fits), rb"len-\d+-\r\n# $")
    host.console.run(": " + "b" * 400 + "; echo beyond-$((6*7))", rb"beyond-42\r\n# $" if kind else rb"b\r\n# $")
    assert b"still-42" in host.console.run("echo still-$((6*7))", rb"still-42\r\n# $")


def test_an_interrupt_gets_through(host: Machine) -> None:
    """The program that says it is up is the one that is interrupted, so the signal cannot come before it."""
    host.console.run("sh -c 'echo up-$((6*7)); exec sleep 100'", rb"up-42\r\n")
    os.write(host.console.fd, b"\x03")
    host.console.until(rb"\^C\r*\n?# $")
    host.console.run("echo back-$((6*7))", rb"back-42\r\n# $")


def test_directories_in_memory(host: Machine, kind: bool) -> None:
    """`mkdir` by whatever program; files are made there, and directories elsewhere, on any host."""
    for command in ("mkdir /tmp/d", "mktemp -d /var/log/XXXXXX", "/usr/lib/busybox mkdir /dev/shmem/e"):
        assert (host.ssh(f"export PATH=/bin:/usr/bin; {command}").returncode == 0) == kind, command
    assert host.ssh("/bin/mkdir -p /data/d/e && /bin/mv /data/d/e /data/e && echo x >/tmp/x && /bin/rm -r /data/d /data/e").returncode == 0


def test_the_environment_of_a_command(host: Machine, kind: bool) -> None:
    path = host.ssh('echo "$PATH"; echo "$LD_LIBRARY_PATH"').stdout.split("\n")
    assert (bool(path[0]), path[1]) == (kind, "")


def test_the_sftp_subsystem(host: Machine, kind: bool) -> None:
    ended = subprocess.run([*host.ssh_command(), "-s", "sftp"], input=b"", capture_output=True, check=False)
    assert (b"subsystem request failed" not in ended.stderr) == kind


def test_the_date(host: Machine, kind: bool) -> None:
    assert (host.ssh("/bin/date +%Y").stdout.strip() != "1970") == kind


def test_the_directory_of_vdevs(host: Machine, kind: bool) -> None:
    assert (host.ssh("echo x >/lib/dll/new").returncode == 0) == kind


def test_stty(host: Machine, kind: bool) -> None:
    assert (host.ssh("test -x /bin/stty").returncode == 0) == kind


def test_host_keys_over_a_power_cut(host: Machine, kind: bool) -> None:
    """This one is last: it boots the host anew."""
    public = "/bin/cat /etc/ssh/ssh_host_ed25519_key.pub"
    before = host.ssh(public).stdout if not kind else host.endpoints["ssh"]["host_key"]
    host.supply.tell("OUTP CH1,OFF")
    host.boot()
    if kind:
        assert host.ssh("true").returncode == 0  # the client checks the key
    else:
        assert host.endpoints["ssh"]["host_key"] == ""
        assert before.startswith("ssh-ed25519 ")
        assert host.ssh(public).stdout not in ("", before)


SSHD = "/usr/lib/busybox grep -qs '{}' /proc/[0-9]*/cmdline"
SHOWN = {
    "date": 'test "$(date +%Y)" = 1970',
    "dll": "! echo x >/lib/dll/new",
    "environment": SSHD.format("[S]etEnv=PATH="),
    "mkdir": "! mkdir /tmp/new",
    "sftp": f"! {SSHD.format('[S]ubsystem=sftp')}",
    "stty": "! test -x /bin/stty",
}
"""What succeeds on a console where a host is unkind in just this; the tests above ask for the effect, over SSH."""


def shown(host: Machine) -> set[str]:
    """The names of what the host is unkind in, as far as its console knows them, and its bench the keys."""
    host.console.run(f"until {SSHD.format('[s]bin/sshd')}; do :; done; echo is-up-$?-", rb"is-up-0-\r\n# $")
    names = {name for name, command in SHOWN.items() if b"is-0-" in host.console.run(f"{command}; echo is-$?-", rb"is-\d-\r\n# $")}
    beyond = host.console.run(": " + "b" * 400 + "; echo beyond-$((6*7))", rb"(beyond-42|b)\r\n# $")
    return names | {name for name, seen in (("lines", b"beyond-42" not in beyond), ("keys", not host.endpoints["ssh"]["host_key"])) if seen}


@pytest.mark.parametrize("name", unkind.UNKIND)
def test_each_alone_is_nothing_else(name: str, tmp_path: Path) -> None:
    """A switch that does more than it says, or only together with another, would hide in the test of all of them."""
    machine = Machine(tmp_path / "host", "--unkind", name)
    try:
        machine.boot()
        assert shown(machine) == {name}
    finally:
        machine.end()


def test_a_name_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "boards.virtual.machine", "--name", "x", "--state", str(tmp_path / "x"), "--unkind", "sftp,cold"]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr.startswith("boards.virtual.machine: --unkind=sftp,cold: cold is unknown; there are date, dll, ")
    assert len(ended.stderr.splitlines()) == 1


def test_the_bench_suite_is_green_on_the_unkind_board(tmp_path: Path) -> None:
    """What judges the bench; the questions about it that judge nobody would double the time."""
    arguments = [f"--run-directory={tmp_path}", "suites/bench", "--ignore=suites/bench/test_doubts.py"]
    ended = run_pytest("--board=virtual-x86_64-unkind", *arguments)
    assert ended.status == 0, ended.output
    events = journal(tmp_path)
    assert any(event["event"] == "guest.console" for event in events), "the guest's console did not come by its own route"
    assert {event["fields"]["way"] for event in events if event["event"] == "host.put.end"} == {"cat over ssh"}
