"""Leases: one run a bench, whoever asks; free the moment its last holder is gone, however it went."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from harness import lease
from harness.boardfile import checkout
from harness.errors import UseError

TAKER = """
import os
import sys
from pathlib import Path
from harness import lease
if len(sys.argv) > 2:
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
held = lease.take("pc", "pytest --board=pc", directory=Path(sys.argv[1]))
print(held.owner.pid, flush=True)
sys.stdin.read()
"""


def taker(directory: Path) -> subprocess.Popen[str]:
    """A process of its own that holds the bench until its input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", TAKER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=checkout(), text=True
    )
    assert process.stdout and process.stdout.readline() == f"{process.pid}\n"
    return process


def test_a_second_run_is_told_who_holds_the_bench_since_when(tmp_path: Path) -> None:
    first = taker(tmp_path)
    with pytest.raises(lease.BenchInUse) as caught:
        lease.take("pc", "pytest", directory=tmp_path)
    owner = caught.value.owner
    assert owner is not None
    since = time.strftime("%H:%M:%S", time.localtime(owner.since))
    assert str(caught.value) == (
        f"bench pc is in use by {owner.who} (pid {first.pid}, `pytest --board=pc`) since {since}; wait, or end that run"
    )
    assert abs(owner.since - time.time()) < 10
    first.communicate()
    lease.take("pc", "pytest", directory=tmp_path).release()


def test_another_bench_is_free(tmp_path: Path) -> None:
    with lease.take("pc", "one", directory=tmp_path), lease.take("pc2", "two", directory=tmp_path):
        pass


def test_also_within_one_process_a_bench_is_taken_once(tmp_path: Path) -> None:
    with lease.take("pc", "one", directory=tmp_path), pytest.raises(lease.BenchInUse, match="`one`"):
        lease.take("pc", "two", directory=tmp_path)


def test_a_killed_run_leaves_the_bench_free(tmp_path: Path) -> None:
    first = taker(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert b"pytest --board=pc" in (tmp_path / "pc.lock").read_bytes()
    with lease.take("pc", "next", directory=tmp_path) as held:
        assert held.owner.purpose == "next"


def test_a_longer_record_of_a_former_owner_leaves_nothing_behind(tmp_path: Path) -> None:
    lease.take("pc", "x" * 500, directory=tmp_path).release()
    with lease.take("pc", "short", directory=tmp_path), pytest.raises(lease.BenchInUse, match="`short`"):
        lease.take("pc", "two", directory=tmp_path)


def test_release_can_be_repeated(tmp_path: Path) -> None:
    held = lease.take("pc", "one", directory=tmp_path)
    held.release()
    other = os.open(os.devnull, os.O_RDONLY)
    held.release()
    os.fstat(other)
    os.close(other)


def test_a_guardian_keeps_the_bench_until_it_ends(tmp_path: Path) -> None:
    """A child that was handed the lock holds it after our release, and the sentence says what the bench is waiting for."""
    runner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys\n"
            "from pathlib import Path\n"
            "from harness import lease\n"
            "held = lease.take('pc', 'pytest', directory=Path(sys.argv[1]))\n"
            "subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], pass_fds=(held.fileno(),))\n"
            "held.release()\n",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        cwd=checkout(),
    )
    assert runner.wait() == 0
    with pytest.raises(lease.BenchInUse, match=f"pid {runner.pid}.*that run has ended.*try again") as caught:
        lease.take("pc", "next", directory=tmp_path)
    assert caught.value.owner is not None
    assert caught.value.owner.ended
    assert runner.stdin
    runner.stdin.close()
    freed = os.open(tmp_path / "pc.lock", os.O_RDWR)
    fcntl.flock(freed, fcntl.LOCK_EX)  # waits for the guardian; it ends by itself
    os.close(freed)
    lease.take("pc", "next", directory=tmp_path).release()


def test_a_child_that_was_handed_nothing_does_not_keep_the_bench(tmp_path: Path) -> None:
    with lease.take("pc", "one", directory=tmp_path):
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
        assert child.stdout and child.stdout.readline()
    lease.take("pc", "two", directory=tmp_path).release()
    child.communicate()


def test_a_record_that_is_not_there_yet_does_not_confuse(tmp_path: Path) -> None:
    with lease.take("pc", "one", directory=tmp_path):
        (tmp_path / "pc.lock").write_text('{"who": "ro')
        with pytest.raises(lease.BenchInUse, match="in use by a run that has not said whose it is; wait") as caught:
            lease.take("pc", "two", directory=tmp_path)
    assert caught.value.owner is None


def test_yesterdays_owner_is_shown_with_the_date() -> None:
    assert str(lease.Owner("ann", "lab", 7, 0.0, "pytest")).endswith(time.strftime("since %Y-%m-%d %H:%M:%S", time.localtime(0)))


def test_the_lock_can_be_taken_by_every_user(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        lease.take("pc", "one", directory=tmp_path).release()
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "pc.lock").stat().st_mode) == 0o666


def test_everybody_on_a_machine_agrees_on_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    here = lease.lock_file("pc")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1234")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("TMPDIR", "/home/somebody/tmp")
    assert lease.lock_file("pc") == here
    assert here.parent.stat().st_mode & 0o1777 == 0o1777
    assert lease.lock_file("pc2") != here


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become two users")
def test_one_user_keeps_another_out() -> None:
    """In a directory like /run/lock, of a file that the first one made, the second one may still ask for the lock."""
    with TemporaryDirectory() as shared:
        Path(shared).chmod(0o1777)
        first, second = (
            subprocess.Popen(
                [sys.executable, "-c", TAKER, shared, user],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=checkout(),
                text=True,
            )
            for user in ("1234", "1235")
        )
        said = [process.stdout.readline() for process in (first, second) if process.stdout]
        errors = [process.communicate()[1] for process in (first, second)]
        names = [entry.name for entry in Path(shared).iterdir()]
    assert sorted(map(bool, said)) == [False, True], errors
    assert sum("bench pc is in use by" in error for error in errors) == 1, errors
    assert names == ["pc.lock"]


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UseError, match=r"the lock file .*pc\.lock cannot be opened: .*; mend"):
        lease.take("pc", "one", directory=tmp_path / "file")
    (tmp_path / "pc.lock").symlink_to("/etc/passwd")
    with pytest.raises(UseError, match="cannot be opened"):
        lease.take("pc", "one", directory=tmp_path)
