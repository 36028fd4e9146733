"""The virtual host's tools: those of a QNX 8.0 image and no other, and the stand-ins do what is documented of the real ones."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from boards.virtual.image import tools
from harness.boardfile import load
from suites.harness.test_machine import Machine

PATH = load("virtual-x86_64").host.path


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("benches") / "tools")
    machine.boot()
    yield machine
    machine.end()


def said(host: Machine, command: str) -> str:
    """What a command that must succeed printed."""
    result = host.ssh(f"export PATH={':'.join(PATH)}\n{command}")
    assert (result.returncode, result.stderr) == (0, ""), f"{command}: {result.stderr or result.stdout}"
    return result.stdout


def status(host: Machine, command: str) -> int:
    return host.ssh(f"export PATH={':'.join(PATH)}\n{command}").returncode


def test_there_is_what_a_qnx_image_has_and_nothing_more(host: Machine) -> None:
    found = said(host, f"for d in {' '.join(PATH)}; do if test -d $d; then for f in $d/*; do test -x $f && echo ${{f##*/}}; done; fi; done")
    assert set(found.split()) == (tools.QNX - tools.ABSENT.keys()) | tools.ADDED.keys()


def test_every_link_leads_to_a_program_that_knows_the_name(host: Machine) -> None:
    """toybox and busybox refuse a name they were built without; `false` says its status, `yes` never ends."""
    names = " ".join(sorted({*tools.TOYBOX, *tools.BUSYBOX} - {"yes"}))
    unknown = "nknown command|applet not found|not found"
    assert said(host, f"for t in {names}; do timeout 5 $t --help 2>&1 </dev/null | grep -Eq '{unknown}' && echo $t; done; true") == ""


def test_tools_that_debians_toybox_lacks(host: Machine) -> None:
    said(host, "echo abc >/tmp/one; echo abd >/tmp/two")
    assert said(host, "echo '6*7' | bc; expr 6 '*' 7; dd if=/tmp/one bs=1 skip=1 count=1 2>/dev/null").split() == ["42", "42", "b"]
    assert status(host, "diff /tmp/one /tmp/two >/dev/null") == 1
    assert said(host, "gzip -c /tmp/one | gunzip -c; more </tmp/one; hd /tmp/one") == (
        "abc\nabc\n00000000  61 62 63 0a                                       |abc.|\n00000004\n"
    )
    assert "libc.so.6" in said(host, "ldd /bin/ksh")
    assert int(said(host, "getconf PAGESIZE")) == 4096


def test_pidin_shows_processes_and_their_threads(host: Machine) -> None:
    title, *rows = said(host, "pidin").splitlines()
    assert title.split() == ["pid", "tid", "name", "prio", "STATE", "Blocked"]
    assert any(row.split()[2:4] == ["sshd", "10r"] for row in rows)
    assert not any(word in row for row in rows for word in ("kthread", "kworker", "ksoftirq")), "QNX has no process for its kernel's work"


def test_pidin_takes_names_numbers_and_formats(host: Machine) -> None:
    pid, name, *_ = said(host, "sleep 30 & pidin -F '%a %n' -P sleep | tail -1; kill $!").split()
    assert (pid.isdigit(), name) == (True, "sleep")
    asleep = "until pidin -p $! -F '%J' | grep -q REPLY; do true; done"
    told = said(host, f"sleep 31 & {asleep}; pidin -p $! -F '%a|%10n|%b|%J|%A'; echo $!; kill $!").splitlines()
    assert told[1].split("|") == [told[2].rjust(7), "sleep     ", "  1", "REPLY      ", "sleep 31"]
    assert "CPU:X86_64 Release:8.0.0 FreeMem:" in said(host, "pidin info")
    assert status(host, "pidin -P nobody >/dev/null") == 1
    assert status(host, "pidin -F %z") == 1


def test_slay_signals_by_name_and_number_and_says_how_many(host: Machine) -> None:
    assert status(host, "sleep 40 & sleep 40 & slay -f sleep") == 2
    waiting = "trap 'echo usr1; exit' USR1; : >/tmp/set; while :; do sleep 0.1; done"
    assert said(host, f"sh -c {shlex.quote(waiting)} & waitfor /tmp/set 10; slay -sSIGUSR1 $!; echo $?; wait") in ("1\nusr1\n", "usr1\n1\n")
    assert status(host, "slay nobody 2>/dev/null") == 0


def test_waitfor_waits_until_it_is_there(host: Machine) -> None:
    assert said(host, "(sleep 1; : >/tmp/late) & waitfor /tmp/late 20; ls /tmp/late") == "/tmp/late\n"
    late = host.ssh("/usr/bin/waitfor /tmp/never 0")
    assert (late.returncode, late.stderr) == (1, "waitfor: unable to access '/tmp/never'\n")


def test_slog2info_reads_buffers_and_follows(host: Machine) -> None:
    said(host, "echo one >>/dev/shmem/slogger2/qvm; echo other >/dev/shmem/slogger2/else")
    assert said(host, "slog2info -b qvm") == "one\n"
    assert said(host, "slog2info").split() == ["other", "one"]
    assert status(host, "slog2info -b nobody 2>/dev/null") == 1
    answer = "read -r a; echo two >>/dev/shmem/slogger2/qvm; read -r b; echo $a $b; kill $(cat /tmp/reader)"
    assert said(host, f"{{ slog2info -b qvm -w & echo $! >/tmp/reader; }} | {{ {answer}; }}") == "one two\n"


def test_on_sets_priority_limit_and_terminal(host: Machine) -> None:
    assert said(host, "on -p 9 pidin -F %p -P pidin | tail -1").strip() == "9r"
    assert said(host, "on -R 1 echo there") == "there\n"
    assert status(host, "on -L 6:1000000:1000000 cat /etc/profile 2>/dev/null") != 0
    assert status(host, "on -L 6:1000000000:1000000000 sh -c 'exit 3'") == 3
    assert said(host, "on -d sh -c 'echo late >/tmp/detached'; waitfor /tmp/detached 10; cat /tmp/detached").startswith("late")
    assert said(host, "on -t /dev/ttyp3 tty </dev/null & head -c 9 </dev/ptyp3").startswith("/dev/pts/")


def test_use_prints_how_a_program_is_used(host: Machine) -> None:
    for program in ("pidin", "slay", "on", "waitfor", "slog2info", "use", "/sbin/qvm"):
        assert said(host, f"use {program}").startswith(program.rpartition("/")[2])
    assert "usage" in said(host, "use cksum").lower()
    assert status(host, "use nobody 2>/dev/null") == 1


def test_a_pty_pair_carries_both_ways_unchanged(host: Machine) -> None:
    """What a qvm writes to the master is read from the slave, and the reverse; every byte value."""
    said(host, f"echo {bytes(range(256)).hex()} | xxd -r -p >/tmp/all")
    for one, other in (("ptyp0", "ttyp0"), ("ttyp0", "ptyp0")):
        said(host, f"head -c 256 </dev/{other} >/tmp/came & cat /tmp/all >/dev/{one}; wait")
        first, second = said(host, "cksum </tmp/came; cksum </tmp/all").splitlines()
        assert first == second


def test_shutdown_starts_the_host_over(host: Machine) -> None:
    qemu = host.qemu()
    host.console.run("/usr/bin/shutdown", rb"Welcome to QNX(?s:.*)# $", 30)
    assert host.qemu() == qemu
