"""A guest's console over the host: a real pty on one side, a real console on the other, OpenSSH between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import boardfile
from harness.bench.route import GuestRoute, NoRoute, check, route
from harness.boardfile import Board, Ssh
from harness.boardfile.schema import About, GuestConsole, HostProfile, Vm
from harness.clock import Deadline
from harness.console import Console
from harness.events import Events
from harness.host import Host, SshTransport
from harness.ssh import SshConnection
from suites.harness.session import pytest as run_pytest
from suites.harness.test_machine import Machine, wait_for
from suites.harness.test_runs import journal

EVERY_BYTE = bytes(range(256)) * 8


def board(host: str = "127.0.0.1", *, device: str = "/dev/ptyp0", slave: str = "/dev/ttyp0", kind: str = "pty", **ssh: object) -> Board:
    return Board(
        name="bench",
        files=("bench.toml",),
        board=About(description="a host of this test", arch="x86_64", os="qnx-8.0"),
        ssh=Ssh(host=host, **ssh),  # type: ignore[arg-type]
        host=HostProfile(path=("/bin", "/usr/bin")),
        vm=Vm(console_device=device, console=GuestConsole(route=kind, slave=slave)),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("benches") / "route")
    machine.boot()
    yield machine
    machine.end()


@pytest.fixture
def way(host: Machine) -> Iterator[tuple[GuestRoute, SshConnection]]:
    """The way to /dev/ttyp2, and the connection it goes by."""
    with joined(host, slave="/dev/ttyp2") as (made, ssh, _):
        yield made, ssh


@contextmanager
def joined(host: Machine, **keys: str) -> Iterator[tuple[GuestRoute, SshConnection, Host]]:
    """A route, the connection it goes by, and the host over that."""
    at = host.endpoints["ssh"]
    bench = board(**keys, port=at["port"], identity=at["identity"], host_key=at["host_key"])
    ssh, made = SshConnection(bench, Events()), route(bench, Events())
    assert made is not None
    ssh.connect(Deadline.after(20, "the SSH server"))
    yield made, ssh, Host(SshTransport(ssh, bench.host.path, Events()), bench, Events())
    made.close()
    ssh.close()


def on(host: Machine, command: str) -> str:
    return host.ssh(f"export PATH=/bin:/usr/bin\n{command}").stdout


def test_every_byte_goes_both_ways_unchanged(host: Machine, way: tuple[GuestRoute, SshConnection], tmp_path: Path) -> None:
    """A program with the master open stands for qvm: it sends every byte, then gives back what it is sent."""
    made, ssh = way
    deadline = Deadline.after(30, "the bytes")
    on(host, f"echo {EVERY_BYTE.hex()} | xxd -r -p >/tmp/all")
    with Console("guest", made.url, 115200, tmp_path / "guest.log", Events()) as console:
        made.attach(ssh, "")
        on(host, "cat /tmp/all >/dev/ptyp2")
        assert console.log.wait(len(EVERY_BYTE) - 1, deadline.remaining, lambda: False)
        console.write(EVERY_BYTE, deadline)
        returned = on(host, f"head -c {len(EVERY_BYTE)} </dev/ptyp2 | cksum; cksum </tmp/all").splitlines()
        assert console.slice(0) == EVERY_BYTE
    assert returned[0] == returned[1]


def test_nobody_is_left_on_the_host_and_the_console_lives_on(host: Machine, way: tuple[GuestRoute, SshConnection], tmp_path: Path) -> None:
    """The next guest's console is the same one on the lab controller."""
    made, ssh = way
    with Console("guest", made.url, 115200, tmp_path / "guest.log", Events()) as console:
        for number in range(2):
            made.attach(ssh, "")
            on(host, f"echo guest {number} >/dev/ptyp2")
            assert console.cursor(0).expect(f"guest {number}".encode(), Deadline.after(10, "the guest"))
            made.detach()
            assert wait_for(lambda: "cat" not in on(host, "pidin -F %n"), 10), "a program of the route is left on the host"


def test_a_cable_needs_no_route() -> None:
    assert route(board(kind="serial"), Events()) is None


def test_what_a_process_reads_and_writes_is_carried_unchanged(host: Machine, tmp_path: Path) -> None:
    """A program that gives back what it is sent stands for qvm. It outlives the route, and what it says meanwhile waits for the next."""
    deadline = Deadline.after(30, "the bytes")
    with (
        joined(host, kind="stdout", device="-", slave="") as (made, ssh, there),
        Console("guest", made.url, 115200, tmp_path / "guest.log", Events()) as console,
    ):
        process = there.start(["cat"], "/data", "vm", fifos=True)
        made.attach(ssh, process.base)
        console.write(EVERY_BYTE, deadline)
        assert console.log.wait(len(EVERY_BYTE) - 1, deadline.remaining, lambda: False)
        assert console.slice(0) == EVERY_BYTE
        made.detach()
        assert wait_for(lambda: on(host, "pidin -F %n").split().count("cat") == 1, 10), "a program of the route is left on the host"
        assert process.poll() is None
        on(host, "echo while you were away >/data/vm.in")
        made.attach(ssh, process.base)
        assert console.cursor(0).expect(b"while you were away", deadline)
        made.detach()
        process.signal("TERM")
        assert process.wait(deadline) == 128 + 15
        assert wait_for(lambda: on(host, "ls /data").split() == ["lost+found", "vm.err", "vm.out", "vm.status"], 10)


def test_a_guest_on_the_input_and_output_of_qvm(tmp_path: Path) -> None:
    """A whole run on a board whose file says so; what qvm itself says is apart from what the guest says."""
    (tmp_path / "own.toml").write_text('extends = "virtual-x86_64"\nvm.console_device = "-"\nvm.console.route = "stdout"\n')
    suite = "suites/bench/test_vm.py::test_the_power_button_shuts_the_guest_down"
    ended = run_pytest("--board=own", f"--run-directory={tmp_path}", suite, HARNESS_BENCHES=str(tmp_path))
    assert ended.status == 0, ended.output
    routes = [event["fields"]["route"] for event in journal(tmp_path) if event["event"] == "guest.console"]
    assert routes == ["stdout"], "the guest's console did not come by its own route"
    left = tmp_path / "latest"
    assert b"guest ready" in (left / "consoles" / "guest.log").read_bytes()
    said = [path.read_bytes() for path in (left / "vm").glob("*.out")]
    assert said == [b""]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"slave": ""}, "name its ends: vm.console_device and vm.console.slave"),
        ({"device": ""}, "name its ends: vm.console_device and vm.console.slave"),
        ({"host": ""}, 'bench.toml: vm.console.route = "pty" goes by SSH, and ssh.host is missing; add it'),
        ({"kind": "stdout", "device": ">-"}, 'and vm.console_device is ">-"; set that to "-"'),
        ({"kind": "stdout", "device": "-", "host": ""}, 'bench.toml: vm.console.route = "stdout" goes by SSH'),
    ],
)
def test_what_is_missing_is_named(keys: dict[str, str], sentence: str) -> None:
    with pytest.raises(NoRoute, match=re.escape(sentence)):
        route(board(**keys), Events())


def test_without_ssh_the_way_is_refused() -> None:
    with pytest.raises(NoRoute, match="and --no-ssh forbids that; run without it"):
        route(board(), Events(), ssh=False)


def test_the_cable_in_the_readme_needs_no_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (boardfile.checkout() / "boards" / "README.md").read_text()
    [example] = re.findall(r"```toml\n(extends = \"virtual-x86_64-unkind\".*?)```", readme, re.DOTALL)
    (tmp_path / "cable.toml").write_text(example)
    monkeypatch.setenv("HARNESS_BENCHES", str(tmp_path))
    cable = boardfile.load("cable")
    check(cable, ssh=False)
    assert cable.vm.console_device == "/dev/ser3"
    with pytest.raises(NoRoute):
        check(boardfile.load("virtual-x86_64-unkind"), ssh=False)
