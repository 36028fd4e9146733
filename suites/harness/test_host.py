"""The hypervisor host over both of its ways, each with a real ksh behind it: a console shell on a pty and an SSH server."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.boardfile import Board, Ssh, Timing, board_directory
from harness.boardfile.schema import About, HostProfile
from harness.clock import Deadline
from harness.command import CommandFailed, CommandTimeout
from harness.console import KSH, Console, Shell
from harness.errors import BenchError, UseError
from harness.events import Event, Events
from harness.host import ConsoleTransport, Host, ProcessLost, SshTransport
from harness.ssh import SshConnection
from harness.vdev import Deployment, collect
from suites.harness import local_host
from suites.harness.local_host import link_tools
from suites.harness.relay import shell
from suites.harness.ssh_server import serving
from suites.harness.test_vdev_files import DEPLOYING

PATH = (tempfile.mkdtemp(prefix="harness-test-sh-"), "/usr/bin", "/bin", "/usr/sbin", "/sbin")
"""As on a QNX host, `sh` is its ksh."""


@pytest.fixture(scope="module", autouse=True)
def ksh_as_sh() -> Iterator[None]:
    link = Path(PATH[0]) / "sh"
    link.symlink_to("/bin/mksh")
    yield
    shutil.rmtree(PATH[0])


def board(**ssh: object) -> Board:
    about = About(description="this machine", arch="x86_64", os="qnx-8.0")
    profile = HostProfile(path=PATH, library_path=("/proc/boot", "/lib with blank"))
    table = Ssh(**ssh)  # type: ignore[arg-type]
    return Board(name="bench", files=("bench.toml",), board=about, host=profile, ssh=table, timing=Timing(command=10))


@pytest.fixture(scope="module")
def by_ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        reached = board(host="127.0.0.1", port=server.port, identity=server.identity, host_key=server.host_key)
        connection = SshConnection(reached, Events())
        connection.connect(Deadline.after(10, "the server"))
        yield Host(SshTransport(connection, PATH, Events()), reached, Events())
        connection.close()


@pytest.fixture(scope="module")
def by_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    log = tmp_path_factory.mktemp("console") / "host.log"
    with shell(["mksh", "-i"]) as relay, Console("host", relay.url, 115200, log, Events()) as console:
        sh = Shell.attach(console, KSH, Deadline.after(20, "a shell"))
        yield Host(ConsoleTransport(sh, str(log.parent / "store"), Events()), board(), Events())
        sh.detach(Deadline.after(5, "the shell to be left"))


@pytest.fixture(params=["by_ssh", "by_console"])
def host(request: pytest.FixtureRequest) -> Host:
    found: Host = request.getfixturevalue(request.param)
    return found


def signals(pid: int, kind: str) -> set[int]:
    """The signals a process ignores (`SigIgn`) or catches (`SigCgt`)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = int(next(line for line in lines if line.startswith(kind)).split()[1], 16)
    return {number for number in range(1, 32) if mask >> (number - 1) & 1}


def ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_results_are_the_command_s(host: Host) -> None:
    result = host.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (result.status, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert host.run(["printf", "%s|", "it's", "a b", "$HOME", ""]).stdout == b"it's|a b|$HOME||"
    assert host.run(["cat"], input=b"in\0put").stdout == b"in\0put"


def test_a_failed_command_says_what_it_said(host: Host) -> None:
    with pytest.raises(CommandFailed, match=r"bench, host: `ls /no/such` ended with status 2") as caught:
        host.run(["ls", "/no/such"])
    assert "No such file" in caught.value.evidence
    assert caught.value.result.status == 2
    with pytest.raises(CommandFailed, match=r"^bench, host: `sh -c … sh last` ended with status 3; it said nothing; run it by hand$"):
        host.run(["sh", "-c", "a=1\n" * 50 + "exit 3", "sh", "last"])


def test_the_environment_is_the_board_file_s(host: Host) -> None:
    """Given with each command, so that neither a profile nor a server's setting matters; one call's addition ends with it."""
    show = ["sh", "-c", 'echo "$PATH|$LD_LIBRARY_PATH|$EXTRA"']
    assert host.run(show).text == f"{':'.join(PATH)}|/proc/boot:/lib with blank|\n"
    assert host.run(show, environment={"LD_LIBRARY_PATH": "/x y", "EXTRA": "it's"}).text == f"{':'.join(PATH)}|/x y|it's\n"
    assert host.run(show).text == f"{':'.join(PATH)}|/proc/boot:/lib with blank|\n"


def test_a_command_has_a_deadline(host: Host) -> None:
    with pytest.raises(CommandTimeout):
        host.run(["sleep", "20"], timeout=0.5)
    assert host.run(["echo", "on"]).text == "on\n"


def test_files_digests_and_listings(host: Host, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "two words").write_bytes(b"22")
    paths = [str(tmp_path / "one"), str(tmp_path / "two words")]
    assert host.digest(paths) == {path: hashlib.sha1(Path(path).read_bytes(), usedforsecurity=False).hexdigest() for path in paths}
    assert host.digest([]) == {}
    assert host.exists(paths[0])
    assert not host.exists(f"{tmp_path}/none")
    assert host.read(paths[1]) == b"22"
    before = host.listing([str(tmp_path), f"{tmp_path}/none"])
    assert before == host.listing([str(tmp_path)])
    (tmp_path / "one").write_bytes(b"x")
    assert host.listing([str(tmp_path)]) != before
    with pytest.raises(CommandFailed):
        host.digest([paths[0], f"{tmp_path}/none"])


@pytest.mark.parametrize(("sftp", "scp", "way"), [(True, True, "sftp"), (False, True, "scp -O"), (False, False, "cat over ssh")])
def test_files_go_the_first_way_the_host_offers(sftp: bool, scp: bool, way: str, tmp_path: Path) -> None:
    """Told in the journal, with why the better ones were left; names and bytes arrive unchanged on each.

    The server's own PATH leads to scp or to nothing at all.
    """
    seen: list[Event] = []
    events = Events()
    events.listen(seen.append)
    path = tmp_path / "bin"
    path.mkdir()
    if scp:
        (path / "scp").symlink_to(shutil.which("scp") or "scp")
    name, content = 'it\'s "far" $HOME', bytes(range(256)) * 300
    (tmp_path / "near").write_bytes(content)
    with serving(tmp_path, sftp=sftp, path=str(path)) as server:
        reached = board(host="127.0.0.1", port=server.port, identity=server.identity, host_key=server.host_key)
        connection = SshConnection(reached, Events())
        connection.connect(Deadline.after(10, "the server"))
        host = Host(SshTransport(connection, PATH, events), reached, events)
        host.put({tmp_path / "near": f"{tmp_path}/{name}"})
        host.get({f"{tmp_path}/{name}": tmp_path / "back"})
        with pytest.raises(BenchError, match=r"could not copy|ended with status"):
            host.put({tmp_path / "near": f"{tmp_path}/no/such/directory"})
        connection.close()
    assert (tmp_path / name).read_bytes() == content
    assert (tmp_path / "back").read_bytes() == content
    assert [event.fields.get("way") for event in seen if event.name in ("host.put.end", "host.get.end")] == [way, way, None]
    refused = [event.fields["way"] for event in seen if event.name == "host.way_refused"]
    assert refused == ["sftp", "scp -O"][: ["sftp", "scp -O", "cat over ssh"].index(way)]


@pytest.mark.parametrize(
    ("lacks", "way"),
    [((), "tar over ssh"), (("tar",), "sftp"), (("tar", "sftp"), "scp -O"), (("tar", "sftp", "scp", "base64"), "cat over ssh")],
    ids=lambda value: value if isinstance(value, str) else " ".join(value) or "nothing",
)
def test_vdevs_go_the_first_way_the_host_offers(lacks: tuple[str, ...], way: str, tmp_path: Path) -> None:
    """Told in the journal, with why the better ones were left; each arrives whole on each, and the host is left as found."""
    seen: list[Event] = []
    events = Events()
    events.listen(seen.append)
    tools = [tool for tool in ("tar", "scp", "base64", *DEPLOYING) if tool not in lacks]
    files = collect(board_directory().parent / "build" / "virtual" / "vdevs")
    (tmp_path / "dll").mkdir()
    with serving(tmp_path, sftp="sftp" not in lacks, path=str(link_tools(tmp_path, *tools))) as server:
        ssh = Ssh(host="127.0.0.1", port=server.port, identity=server.identity, host_key=server.host_key)
        reached = msgspec.structs.replace(local_host.board(tmp_path), ssh=ssh)
        connection = SshConnection(reached, Events())
        connection.connect(Deadline.after(10, "the server"))
        host = local_host.host(tmp_path, SshTransport(connection, reached.host.path, events), events)
        deployment = Deployment.install(host, reached, files, run="1", events=events)
        arrived = {file.name: Path(deployment.path(file.name)).read_bytes() for file in files}
        deployment.restore()
        connection.close()
    assert arrived == {file.name: file.path.read_bytes() for file in files}
    assert not (tmp_path / "data").exists()
    assert [event.fields["way"] for event in seen if event.name == "vdev.deploy.end"] == [way]
    refused = [event.fields["way"] for event in seen if event.name == "host.way_refused"]
    ways = ["tar over ssh", "sftp", "scp -O", "cat over ssh"]
    assert refused == ways[: ways.index(way)]


def test_files_are_copied_both_ways(host: Host, tmp_path: Path) -> None:
    """Whatever is in them and in their names, large, small or empty."""
    contents = {"large": bytes(range(256)) * 40 + os.urandom(5000), "two words": b"\0\r\n\x03\x11 it's", "nothing": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    host.put({tmp_path / name: f"{tmp_path}/far {name}" for name in contents})
    assert {name: (tmp_path / f"far {name}").read_bytes() for name in contents} == contents
    host.get({f"{tmp_path}/far {name}": tmp_path / f"{name}.back" for name in contents})
    assert {name: (tmp_path / f"{name}.back").read_bytes() for name in contents} == contents
    with pytest.raises(UseError, match="none is not there"):
        host.put({tmp_path / "none": "/tmp/x"})


@pytest.mark.parametrize("status", [0, 3, 64, 96])
def test_a_detached_process_leaves_output_and_status(host: Host, tmp_path: Path, status: int) -> None:
    process = host.start(["sh", "-c", f"echo out; echo err >&2; pwd; exit {status}"], str(tmp_path), "job.1", {"EXTRA": "x"})
    assert process.wait(Deadline.after(10, "its end")) == status
    assert process.poll() == status
    assert (process.stdout(), process.stderr()) == (f"out\n{tmp_path}\n".encode(), b"err\n")
    assert (tmp_path / "job.1.status").read_text() == f"{status}\n"


def test_a_detached_process_is_started_at_once_and_by_its_own_number(host: Host, tmp_path: Path) -> None:
    """`start` returns while it runs, and its number is that of the program, not of a shell around it."""
    begin = time.monotonic()
    process = host.start(["sleep", "30"], str(tmp_path), "job")
    assert time.monotonic() - begin < 5
    assert process.poll() is None
    assert process.wait(Deadline.after(0.3, "its end")) is None
    assert Path(f"/proc/{process.pid}/cmdline").read_bytes() == b"sleep\x0030\0"
    process.signal("TERM")
    assert process.wait(Deadline.after(10, "its end")) == 128 + signal.SIGTERM


def test_a_detached_process_takes_every_signal_but_a_hang_up(host: Host, tmp_path: Path) -> None:
    """A shell lets what it starts in the background ignore SIGINT and SIGQUIT; to qvm, SIGQUIT is the power cut."""
    process = host.start(["sleep", "30"], str(tmp_path), "job")
    assert signals(process.pid, "SigIgn") == {signal.SIGHUP}
    process.signal("QUIT")
    assert process.wait(Deadline.after(10, "its end")) == 128 + signal.SIGQUIT


def test_nothing_is_killed_and_nothing_that_ended_is_signalled(host: Host, tmp_path: Path) -> None:
    process = host.start(["sleep", "30"], str(tmp_path), "job")
    for name in ("KILL", "SIGKILL", "kill", "9"):
        with pytest.raises(ValueError, match="SIGKILL"):
            process.signal(name)
    process.signal("SIGTERM")
    assert process.wait(Deadline.after(10, "its end")) == 128 + signal.SIGTERM
    process.signal("TERM")  # its number may be somebody else's by now


def test_a_detached_process_on_fifos(host: Host, tmp_path: Path) -> None:
    """It sees an end of its input as little as a closed output, whoever comes and goes at the far ends; with it they go."""
    process = host.start(["cat"], str(tmp_path), "job", fifos=True)
    near, far = tmp_path / "job.in", tmp_path / "job.fifo"
    for number in range(2):
        near.write_bytes(b"%d" % number)
        with far.open("rb", buffering=0) as output:
            assert output.read(1) == b"%d" % number
    near.write_bytes(b"nobody reads this")
    assert process.poll() is None
    process.signal("TERM")
    assert process.wait(Deadline.after(10, "its end")) == 128 + signal.SIGTERM
    assert (process.stdout(), process.stderr()) == (b"", b"")
    deadline = Deadline.after(10, "the FIFOs to go")
    while near.exists() or far.exists():
        assert not deadline.expired
        os.sched_yield()


def test_a_program_that_is_not_there_ends_with_127(host: Host, tmp_path: Path) -> None:
    process = host.start(["/no/such/program"], str(tmp_path), "job")
    assert process.wait(Deadline.after(10, "its end")) == 127
    assert process.stderr()


def test_a_directory_that_is_not_there_is_refused(host: Host, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed):
        host.start(["true"], f"{tmp_path}/none", "job")


def test_an_old_status_is_not_taken_for_the_new_one(host: Host, tmp_path: Path) -> None:
    host.start(["false"], str(tmp_path), "job").wait(Deadline.after(10, "its end"))
    process = host.start(["sleep", "30"], str(tmp_path), "job")
    assert process.poll() is None
    process.signal("TERM")
    process.wait(Deadline.after(10, "its end"))


def test_a_status_that_nobody_wrote_is_an_error(host: Host, tmp_path: Path) -> None:
    """Somebody killed the shell that waits, then the process."""
    process = host.start(["sleep", "30"], str(tmp_path), "job")
    parent = int(Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(parent, signal.SIGKILL)
    os.kill(process.pid, signal.SIGTERM)
    with pytest.raises(ProcessLost, match=f"process {process.pid} on the host is gone"):
        process.wait(Deadline.after(10, "its end"))


def test_a_detached_process_outlives_its_connection(tmp_path: Path) -> None:
    """The SSH connection ends, and the console's shell with its tty; the process goes on and its status is kept."""
    with serving(tmp_path) as server:
        reached = board(host="127.0.0.1", port=server.port, identity=server.identity, host_key=server.host_key)
        connection = SshConnection(reached, Events())
        connection.connect(Deadline.after(10, "the server"))
        first = Host(SshTransport(connection, PATH, Events()), reached, Events()).start(
            ["sh", "-c", "sleep 1; exit 5"], str(tmp_path), "first"
        )
        connection.close()
    with shell(["mksh", "-i"]) as relay, Console("host", relay.url, 115200, tmp_path / "log", Events()) as console:
        transport = ConsoleTransport(Shell.attach(console, KSH, Deadline.after(20, "a shell")), str(tmp_path), Events())
        second = Host(transport, board(), Events()).start(["sh", "-c", "sleep 1; exit 6"], str(tmp_path), "second")
    assert not ended(second.pid)
    deadline = Deadline.after(10, "both statuses")
    while not (tmp_path / "first.status").exists() or not (tmp_path / "second.status").exists() or not ended(second.pid):
        assert not deadline.expired
        time.sleep(0.05)  # the processes are nobody's children here
    assert ended(first.pid)
    assert (tmp_path / "first.status").read_text() == "5\n"
    assert (tmp_path / "second.status").read_text() == "6\n"


def test_a_tool_that_prints_no_digest_is_named(by_console: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").write_bytes(b"1")
    monkeypatch.setattr(by_console, "_digest", "echo")
    with pytest.raises(BenchError, match=r"echo printed no digest for .*host\.digest"):
        by_console.digest([str(tmp_path / "one")])
