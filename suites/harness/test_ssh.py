"""The real OpenSSH client against a real server: one connection, no silent second one, and a sentence for each way to fail."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from harness.boardfile import Board, Ssh
from harness.boardfile.schema import About
from harness.clock import Deadline
from harness.command import CommandTimeout, quote
from harness.errors import BenchError, UseError
from harness.events import Event, Events
from harness.ssh import HostKeyChanged, KeyRefused, SshConnection, SshLost, SshUnreachable
from suites.harness.ssh_server import Server, serving


def link(port: int, identity: str, host_key: str, *options: str) -> SshConnection:
    about = About(description="a server of this test", arch="x86_64", os="qnx-8.0")
    ssh = Ssh(host="127.0.0.1", port=port, identity=identity, host_key=host_key, options=options)
    return SshConnection(Board(name="bench", files=("bench.toml",), board=about, ssh=ssh), Events())


@pytest.fixture
def linked() -> Iterator[Callable[..., SshConnection]]:
    """`link`, closed at the end."""
    made: list[SshConnection] = []

    def make(port: int, identity: str, host_key: str, *options: str) -> SshConnection:
        made.append(link(port, identity, host_key, *options))
        return made[-1]

    yield make
    for ssh in made:
        ssh.close()


@contextmanager
def connection(server: Server, *, identity: str | None = None, host_key: str | None = None) -> Iterator[SshConnection]:
    made = link(server.port, identity or server.identity, server.host_key if host_key is None else host_key)
    try:
        yield made
    finally:
        made.close()


def soon(seconds: float = 10) -> Deadline:
    return Deadline.after(seconds, "the SSH server")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def ssh(server: Server) -> Iterator[SshConnection]:
    with connection(server) as connected:
        connected.connect(soon())
        yield connected


def test_commands_share_one_connection(server: Server, ssh: SshConnection) -> None:
    before = server.connections
    for status in (0, 1, 3, 127, 255):
        result = ssh.run_text(quote(["sh", "-c", f"echo out; echo err >&2; exit {status}"]), 10)
        assert (result.status, result.stdout, result.stderr) == (status, b"out\n", b"err\n")
    assert server.connections == before


@pytest.mark.parametrize("argument", ["two words", "it's", 'say "so"', "$HOME `id` \\n", "a;b|c", "*", "", "ünï", "line\nline", "-n"])
def test_arguments_arrive_unchanged(ssh: SshConnection, argument: str) -> None:
    assert ssh.run_text(quote(["printf", "%s|", argument]), 10).stdout == argument.encode() + b"|"


def test_input_and_output_are_bytes(ssh: SshConnection) -> None:
    data = bytes(range(256)) * 1000
    assert ssh.run_text(quote(["cat"]), 20, input=data).stdout == data
    assert ssh.run_text(quote(["cat"]), 10).stdout == b""


def test_files_go_both_ways_in_one_session(ssh: SshConnection, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    names = ["plain", "two words", 'quote"d', "st*r[1]?", "back\\slash", "it's"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode() * 1000)
    ssh.put({tmp_path / name: f"{far}/{name}" for name in names}, 20)
    assert {path.name for path in far.iterdir()} == set(names)
    assert all((far / name).read_bytes() == name.encode() * 1000 for name in names)
    ssh.get({f"{far}/{name}": tmp_path / f"{name}.back" for name in names}, 20)
    assert all((tmp_path / f"{name}.back").read_bytes() == name.encode() * 1000 for name in names)


def test_a_failed_transfer_says_what_failed(ssh: SshConnection, tmp_path: Path) -> None:
    with pytest.raises(UseError, match="is not there"):
        ssh.put({tmp_path / "missing": "/tmp/x"}, 10)
    (tmp_path / "here").write_bytes(b"x")
    with pytest.raises(BenchError, match=r"sftp could not copy: .*; check that the directory is there on the host"):
        ssh.put({tmp_path / "here": f"{tmp_path}/no/such/directory"}, 10)


def test_a_host_without_sftp_is_named(tmp_path: Path) -> None:
    with serving(tmp_path, sftp=False) as server, connection(server) as ssh:
        ssh.connect(soon())
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(BenchError, match="sftp subsystem"):
            ssh.put({tmp_path / "file": f"{tmp_path}/copy"}, 10)


def test_a_command_that_hangs_has_a_deadline(ssh: SshConnection) -> None:
    begin = time.monotonic()
    with pytest.raises(CommandTimeout, match=r"`sleep 30` did not end within 0\.5 s"):
        ssh.run_text(quote(["sleep", "30"]), 0.5)
    assert time.monotonic() - begin < 5
    assert ssh.run_text(quote(["echo", "on"]), 10).stdout == b"on\n"


def test_a_script_that_hangs_is_told_by_its_arguments(ssh: SshConnection) -> None:
    """Its own lines are the harness's, and say nothing to a person."""
    script = "trap '' HUP\nsleep 2; test -e \"$1\"\n"
    with pytest.raises(CommandTimeout, match=r"`export A=1 sh -c … sh '/no file' 20` did not end within 0\.5 s"):
        ssh.run_text("export A=1\n" + quote(["sh", "-c", script, "sh", "/no file", "20"]), 0.5)


def test_a_dead_master_is_an_error_and_no_new_connection(server: Server, ssh: SshConnection) -> None:
    before = server.connections
    threading.Timer(0.3, server.hang_up).start()
    with pytest.raises(SshLost, match=r"connection to .* is gone"):
        ssh.run_text(quote(["sleep", "5"]), 10)
    with pytest.raises(SshLost):
        ssh.run_text(quote(["true"]), 10)
    assert server.connections == before
    ssh.connect(soon())
    assert ssh.run_text(quote(["echo", "again"]), 10).stdout == b"again\n"


def test_a_socket_left_by_a_killed_master_is_no_way_in(server: Server, ssh: SshConnection) -> None:
    """SIGKILL leaves the control socket; a plain `ssh -o ControlPath` would connect anew without a word."""
    before = server.connections
    assert ssh._master
    ssh._master.kill()
    with pytest.raises(SshLost):
        ssh.run_text(quote(["true"]), 10)
    assert server.connections == before


def test_a_refused_key_names_the_identity(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    begin = time.monotonic()
    with connection(server, identity=str(other)) as ssh, pytest.raises(KeyRefused) as caught:
        ssh.connect(soon(30))
    assert time.monotonic() - begin < 10, "waiting does not mend a refused key"
    assert str(other) in str(caught.value)
    assert "ssh.identity" in str(caught.value)


def test_a_changed_host_key_names_the_pin(server: Server, tmp_path: Path) -> None:
    wrong = tmp_path / "host"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(wrong)], check=True)
    pin = " ".join(wrong.with_suffix(".pub").read_text().split()[:2])
    with connection(server, host_key=pin) as ssh, pytest.raises(HostKeyChanged, match=r"ssh\.host_key"):
        ssh.connect(soon(30))


def test_keys_that_live_for_one_boot_are_kept_for_one_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered, neither of nor for the connections of other boards at this address."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    with serving(tmp_path) as server:
        for _ in range(2):
            board = link(server.port, server.identity, "")
            board.settings = msgspec.structs.replace(board.settings, keys="per boot")
            try:
                board.connect(soon())
                assert board.run_text("true", 10).status == 0
            finally:
                board.close()
            server.stop()
            server.new_host_key()
            server.start()
    assert not list((tmp_path / "configuration").rglob("*.known_hosts"))


def test_without_a_pin_the_first_key_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "my configuration"))
    with serving(tmp_path) as server:
        with connection(server, host_key="") as ssh:
            ssh.connect(soon())
        server.stop()
        server.new_host_key()
        server.start()
        with connection(server, host_key="") as ssh, pytest.raises(HostKeyChanged, match="known_hosts"):
            ssh.connect(soon())


def test_nobody_there_is_told_with_the_last_reason(server: Server, linked: Callable[..., SshConnection]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    ssh = linked(port, server.identity, server.host_key)
    with pytest.raises(SshUnreachable, match=r"within 0\.7 s .*Connection refused"):
        ssh.connect(soon(0.7))


def test_a_server_that_accepts_and_says_nothing_is_given_up(server: Server, linked: Callable[..., SshConnection]) -> None:
    """As a forwarded port does while the board behind it boots."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        ssh = linked(mute.getsockname()[1], server.identity, server.host_key)
        begin = time.monotonic()
        with pytest.raises(SshUnreachable):
            ssh.connect(soon(1))
        assert time.monotonic() - begin < 5


def test_wait_outlasts_a_boot(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.stop()
        threading.Timer(0.8, server.start).start()
        with connection(server) as ssh:
            ssh.connect(soon())
            assert ssh.run_text(quote(["echo", "up"]), 10).stdout == b"up\n"


def test_a_long_temporary_directory_is_no_obstacle(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unix socket's path has 108 bytes at most."""
    deep = tmp_path / ("long" * 20)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with connection(server) as ssh:
        ssh.connect(soon())
        assert ssh.run_text("echo in", 10).stdout == b"in\n"


def test_a_temporary_directory_with_blanks_and_tokens(server: Server, short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ssh's options a blank is the end of a value and `%p` the port."""
    odd = short_path / "my %p 100%"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    with connection(server) as ssh:
        ssh.connect(soon())
        (odd / "file").write_bytes(b"x")
        ssh.put({odd / "file": f"{odd}/copy"}, 10)
        ssh.scp(str(odd / "file"), ssh.remote(f"{odd}/again"), 10)
        assert ssh.run_text("echo in", 10).stdout == b"in\n"
        assert any(path.name == "master" for path in odd.rglob("*")), "the control socket lies elsewhere"


def test_an_identity_in_a_path_with_blanks(server: Server, tmp_path: Path) -> None:
    identity = tmp_path / "my key 100%"
    identity.write_bytes(Path(server.identity).read_bytes())
    identity.chmod(0o600)
    with connection(server, identity=str(identity)) as ssh:
        ssh.connect(soon())


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What an `ssh` first on the PATH takes for the user's own configuration; ssh itself finds that by the user, not by any variable."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/config "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "config"


def test_what_the_user_does_for_sessions_of_his_own_is_no_obstacle(server: Server, users: Path) -> None:
    users.write_text("Host *\nRequestTTY force\nRemoteCommand exit 3\nForwardX11 yes\nForwardAgent yes\n")
    with connection(server) as ssh:
        ssh.connect(soon())
        result = ssh.run_text("echo out; echo err >&2", 10)
    assert (result.status, result.stdout, result.stderr) == (0, b"out\n", b"err\n")


def test_whether_the_users_configuration_counts(server: Server, users: Path, linked: Callable[..., SshConnection]) -> None:
    """On a real bench it does: the way there may be in it. A board that is a program on this machine is reached without."""
    users.write_text("Host 127.0.0.1\nProxyJump localhost:1\n")
    ssh = linked(server.port, server.identity, server.host_key)
    with pytest.raises(SshUnreachable) as caught:
        ssh.connect(soon(1))
    assert re.search(r"\(.* refused, .*\); check the network, ssh\.host", str(caught.value).splitlines()[0]), str(caught.value)
    ssh.settings = msgspec.structs.replace(ssh.settings, config="none")
    ssh.connect(soon())
    assert ssh.run_text("echo in", 10).stdout == b"in\n"


def test_a_refusing_port_is_not_hammered(server: Server, linked: Callable[..., SshConnection]) -> None:
    """A board that boots refuses for seconds; each try is a process."""
    seen: list[Event] = []
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    ssh = linked(port, server.identity, server.host_key)
    ssh._events.listen(seen.append)
    with pytest.raises(SshUnreachable):
        ssh.connect(soon(2))
    assert 2 <= len([event for event in seen if event.name == "ssh.refused"]) <= 15


def test_a_bad_option_is_a_use_error(server: Server, linked: Callable[..., SshConnection]) -> None:
    ssh = linked(server.port, server.identity, server.host_key, "NoSuchOption=1")
    with pytest.raises(UseError, match=r"ssh\.options"):
        ssh.connect(soon())


CHILD = """
import sys, time
from harness.clock import Deadline
from suites.harness.test_ssh import link
ssh = link(int(sys.argv[1]), sys.argv[2], sys.argv[3])
ssh.connect(Deadline.after(10, "the server"))
print(ssh._master.pid, flush=True)
time.sleep(60)
"""


def test_the_master_dies_with_a_killed_harness(server: Server) -> None:
    argv = [sys.executable, "-c", CHILD, str(server.port), server.identity, server.host_key]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert child.stdout
    master = int(child.stdout.readline())
    end = os.pidfd_open(master)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    import select

    assert select.select([end], [], [], 2)[0], "the master connection outlived the harness"
    os.close(end)


def test_a_command_over_the_master_is_cheap(ssh: SshConnection) -> None:
    """About 20 ms on a quiet machine; the median of many forgives a busy one."""
    times = []
    for _ in range(11):
        begin = time.monotonic()
        ssh.run_text(quote(["true"]), 10)
        times.append(time.monotonic() - begin)
    assert sorted(times)[5] < 0.15, times


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        yield Path(made)


def test_what_killed_runs_left_is_removed_and_nothing_else(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory of a control socket names its process: one that is gone has its directory removed by the next connection."""
    monkeypatch.setattr(tempfile, "tempdir", str(short_path))
    gone = subprocess.Popen(["true"])
    gone.wait()
    for name in (f"harness-ssh-{gone.pid}-dead", f"harness-ssh-{os.getppid()}-alive", "harness-ssh-theirs", f"harness-{gone.pid}"):
        (short_path / name).mkdir()
        (short_path / name / "master").touch()
    made = link(22, "", "")
    left = {path.name for path in short_path.iterdir()}
    made.close()
    assert f"harness-ssh-{gone.pid}-dead" not in left
    assert {f"harness-ssh-{os.getppid()}-alive", "harness-ssh-theirs", f"harness-{gone.pid}"} < left
    assert any(name.startswith(f"harness-ssh-{os.getpid()}-") for name in left)
    assert not list(short_path.glob(f"harness-ssh-{os.getpid()}-*"))
