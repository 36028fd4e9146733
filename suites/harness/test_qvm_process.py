"""The qvm process as the harness drives it, on this machine: a stand-in program behaves as the documentation says qvm does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from harness.clock import Deadline
from harness.command import Result
from harness.errors import BenchError, DeviceError
from harness.events import Event, Events
from harness.vdev import Deployment
from harness.vm import (
    ConfigurationFault,
    ConfigurationRefused,
    HypervisorDisabled,
    NoQvm,
    Qvm,
    QvmEnded,
    QvmStuck,
    SystemBusy,
    linux_configuration,
    parse,
)
from suites.harness.local_host import LocalTransport, board, host

BEGIN = """\
#!/bin/sh
systems={systems}
text=$(cat "${{1#@}}") || exit 65
"""
RUN = """\
mkdir -p $systems/guest-1
trap 'rmdir $systems/guest-1' EXIT
echo running with $LD_LIBRARY_PATH
"""
IDLE = "while :; do sleep 0.02; done\n"


class Bench:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.transport = LocalTransport()
        self.systems = directory / "qvm"
        self.seen: list[Event] = []
        self.events = Events()
        self.events.listen(self.seen.append)
        self.host = host(directory, self.transport, self.events)
        self.program = directory / "sbin-qvm"
        self.deployment = Deployment.install(self.host, board(directory), [], run="1", events=self.events)

    @property
    def pid(self) -> int:
        """Of the last process that was started."""
        return int([event.fields["pid"] for event in self.seen if event.name == "host.start"][-1])

    def await_end(self) -> None:
        """Until the last process that was started is gone."""
        deadline = within(5)
        while Path(f"/proc/{self.pid}").exists():
            assert not deadline.expired

    def qvm(self, script: str) -> Qvm:
        self.program.write_text(BEGIN.format(systems=self.systems) + script)
        self.program.chmod(0o755)
        return Qvm(
            self.host,
            linux_configuration("guest-1", "/vmlinuz", "/initrd", "/dev/ser3"),
            self.deployment,
            program=str(self.program),
            evidence=self.directory / "vm",
            events=self.events,
            systems=str(self.systems),
        )


def within(seconds: float) -> Deadline:
    return Deadline.after(seconds, "qvm")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_clean_dryrun(bench: Bench) -> None:
    """Status 0 and the closing words, with the configuration that the evidence holds."""
    qvm = bench.qvm('test "$2" = dryrun && echo "Exiting: dryrun complete"\n')
    assert qvm.dryrun(within(5)).clean
    assert parse(qvm.local.read_text()).configuration == qvm.configuration
    assert Path(qvm.path).read_bytes() == qvm.local.read_bytes()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param('echo "Exiting: dryrun complete"; exit 64\n', id="status"),
        pytest.param("exit 0\n", id="no-closing-words"),
        pytest.param('echo "[/f:14] Unable to open" >&2; echo "Exiting: dryrun complete"\n', id="diagnostic"),
    ],
)
def test_each_sign_of_a_refusal_makes_a_dryrun_unclean(bench: Bench, script: str) -> None:
    """Looking for words alone, or for the status alone, was seen to miss one."""
    assert not bench.qvm(script).dryrun(within(5)).clean


def test_the_diagnostics_of_a_dryrun_are_qvms_own_lines(bench: Bench) -> None:
    result = bench.qvm('printf "[/f:14] Unable to open\\r\\nother\\n[/f:20] again\\n" >&2; exit 64\n').dryrun(within(5))
    assert result.diagnostics == ("[/f:14] Unable to open", "[/f:20] again")


def test_a_vm_is_ready_when_its_directory_is_there(bench: Bench) -> None:
    """Not before; with the private directory first in the library path."""
    qvm = bench.qvm("sleep 0.3\n" + RUN + IDLE)
    qvm.start(within(5))
    assert Path(qvm.directory).is_dir()
    assert qvm.running
    qvm.check_alive()
    qvm.stop(within(5))
    assert f"running with {bench.deployment.directory}:/lib:/lib/dll" in qvm.output()


def test_the_power_button_ends_a_guest(bench: Bench) -> None:
    qvm = bench.qvm(RUN + "trap 'exit 0' TERM\n" + IDLE)
    qvm.start(within(5))
    ending = qvm.stop(within(5))
    assert (ending.status, ending.signal, qvm.running, qvm.status) == (0, "SIGTERM", False, 0)
    assert qvm.stop(within(5)) == ending


def test_a_deaf_guest_has_its_power_cut(bench: Bench) -> None:
    """SIGQUIT comes only after the deadline of SIGTERM, and ends with the documented status."""
    qvm = bench.qvm(RUN + "trap '' TERM; trap 'exit 3' QUIT\n" + IDLE)
    qvm.start(within(5))
    ending = qvm.stop(within(0.3), within(5))
    assert (ending.status, ending.signal) == (3, "SIGQUIT")
    assert bench.transport.signals == ["TERM", "QUIT"]


def test_a_power_cut_comes_without_warning(bench: Bench) -> None:
    qvm = bench.qvm(RUN + "trap 'exit 3' QUIT\n" + IDLE)
    qvm.start(within(5))
    ending = qvm.cut(within(5))
    assert (ending.status, ending.signal) == (3, "SIGQUIT")
    assert bench.transport.signals == ["QUIT"]
    assert qvm.stop(within(5)) == ending


def test_a_stuck_qvm_is_never_killed(bench: Bench) -> None:
    """What is left is the board's power switch."""
    qvm = bench.qvm(RUN + "trap '' TERM QUIT\n" + IDLE)
    qvm.start(within(5))
    try:
        with pytest.raises(QvmStuck, match="does not end on SIGQUIT: one of its vdevs 8259, ioapic, ser8250, timer8254 blocks it; switch"):
            qvm.stop(within(0.2), within(0.2))
        assert bench.transport.signals == ["TERM", "QUIT"]
        assert qvm.running
    finally:
        os.kill(bench.pid, signal.SIGKILL)


def test_a_refused_configuration_shows_qvms_own_text(bench: Bench) -> None:
    qvm = bench.qvm('echo "[$1:14] no such option" >&2; exit 65\n')
    with pytest.raises(ConfigurationRefused, match="status 65: fatal configuration error") as refusal:
        qvm.start(within(5))
    assert ":14] no such option" in refusal.value.evidence
    assert isinstance(refusal.value, DeviceError)


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("exit 6", "unexpected vdev error"),
        ("exit 96", "fatal error after"),
        ("kill -SEGV $$", "signal 11"),
        ("kill -KILL $$", "killed by the host .* memory; look .* allocate"),
    ],
)
def test_a_qvm_that_ends_by_itself_before_it_is_ready(bench: Bench, status: str, meaning: str) -> None:
    """A vdev crashed it or called exit(): failed, with its last lines, and at once."""
    qvm = bench.qvm(f"echo last words\n{status}\n")
    deadline = within(30)
    with pytest.raises(QvmEnded, match=meaning) as ended:
        qvm.start(deadline)
    assert ended.value.evidence == "last words"
    assert deadline.remaining > 27


def test_the_directory_of_a_dead_qvm_is_no_readiness(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash may leave /dev/qvm/SYSTEM behind; here it always happens before the harness looks."""
    run_text = bench.transport.run_text

    def after_the_crash(script: str, timeout: float, input: bytes | None = None) -> Result:
        if "test -d" in script:
            bench.await_end()
        return run_text(script, timeout, input)

    monkeypatch.setattr(bench.transport, "run_text", after_the_crash)
    with pytest.raises(QvmEnded, match="unexpected vdev error"):
        bench.qvm("mkdir -p $systems/guest-1; exit 6\n").start(within(5))


@pytest.mark.parametrize("action", ["start", "dryrun"])
def test_a_qvm_that_is_not_there_is_the_benchs_fault(bench: Bench, action: str) -> None:
    """The shell's 127 is no status of qvm, and nothing a vdev did."""
    qvm = bench.qvm("")
    bench.program.unlink()
    with pytest.raises(NoQvm, match=r"sbin-qvm could not be started on the host .* 127\); correct host\.qvm") as failure:
        getattr(qvm, action)(within(5))
    assert isinstance(failure.value, BenchError)


def test_what_qvm_said_is_kept_beside_its_configuration(bench: Bench) -> None:
    qvm = bench.qvm(RUN + "trap 'exit 0' TERM; echo warned >&2\n" + IDLE)
    qvm.start(within(5))
    qvm.stop(within(5))
    assert qvm.local.with_suffix(".out").read_text().startswith("running with ")
    assert qvm.local.with_suffix(".err").read_text() == "warned\n"


def test_of_a_flood_of_output_the_begin_and_the_end_are_kept(bench: Bench) -> None:
    """A vdev may print without an end; the lab controller's memory has one."""
    size = 8_000_000
    flood = f"echo first >&2; head -c {size} /dev/zero | tr '\\0' x >&2; echo; echo last >&2\n"
    qvm = bench.qvm(flood + RUN + "trap 'exit 0' TERM\n" + IDLE)
    qvm.start(within(10))
    qvm.stop(within(5))
    kept = qvm.local.with_suffix(".err").read_bytes()
    total, limit = size + len("first\nlast\n"), (1 << 16) + (1 << 20)
    assert kept.startswith(b"first\nxxx")
    assert kept.endswith(b"xxxlast\n")
    assert f"x\n[{total - limit} of {total} bytes are left out here by the harness]\nx".encode() in kept
    assert len(kept) < limit + 100
    [cut] = [event.fields for event in bench.seen if event.name == "host.output_cut"]
    assert (cut["file"].rpartition("/")[2], cut["bytes"], cut["kept"]) == ("guest-1.err", total, limit)


def test_output_that_is_lost_is_told(bench: Bench) -> None:
    """One of the two may still be had."""
    qvm = bench.qvm(RUN + "trap 'exit 0' TERM; echo warned >&2\n" + IDLE)
    qvm.start(within(5))
    Path(bench.deployment.directory, "guest-1.out").unlink()
    qvm.stop(within(5))
    assert qvm.local.with_suffix(".err").read_text() == "warned\n"
    [lost] = [event.fields for event in bench.seen if event.name == "qvm.output_lost"]
    assert lost["file"] == "guest-1.out"
    assert "guest-1.out" in lost["reason"]


def test_a_qvm_that_ends_by_itself_later(bench: Bench) -> None:
    qvm = bench.qvm(RUN + "echo vdev trouble; test -e $systems/go && exit 6\nwhile ! test -e $systems/go; do sleep 0.02; done\nexit 6\n")
    qvm.start(within(5))
    (bench.systems / "go").touch()
    bench.await_end()
    with pytest.raises(QvmEnded, match="unexpected vdev error") as ended:
        qvm.check_alive()
    assert "vdev trouble" in ended.value.evidence


def test_a_vdev_that_leaves_without_a_word_is_told_by_what_was_loaded(bench: Bench) -> None:
    """`_exit(0)`: qvm's status is that of a guest that shut down, and nobody said why."""
    qvm = bench.qvm("mkdir -p $systems/guest-1; rmdir $systems/guest-1; exit 0\n")
    with pytest.raises(QvmEnded, match=r"with status 0: .* its vdevs 8259, ioapic, ser8250, timer8254 call, exit") as ended:
        qvm.start(within(5))
    assert ended.value.evidence == "qvm printed nothing"


def test_a_guest_that_switches_itself_off_is_no_trouble(bench: Bench) -> None:
    qvm = bench.qvm(RUN + "while ! test -e $systems/go; do sleep 0.02; done\n")
    qvm.start(within(5))
    assert qvm.wait(within(0.1)) is None
    (bench.systems / "go").touch()
    assert qvm.wait(within(5)) == 0
    qvm.check_alive()
    assert (qvm.stop(within(5)).signal, bench.transport.signals) == ("", [])


def test_a_vm_of_the_same_name_is_not_touched(bench: Bench) -> None:
    (bench.systems / "guest-1").mkdir(parents=True)
    with pytest.raises(SystemBusy):
        bench.qvm(RUN + IDLE).start(within(5))
    assert not [event for event in bench.seen if event.name == "host.start"]


@pytest.mark.parametrize("action", ["dryrun", "start"])
def test_a_board_without_hypervisor_is_the_benchs_fault(bench: Bench, action: str) -> None:
    qvm = bench.qvm("echo 'QVM disabled: hypervisor support not available' >&2; exit 64\n")
    with pytest.raises(HypervisorDisabled) as trouble:
        getattr(qvm, action)(within(5))
    assert isinstance(trouble.value, BenchError)


@pytest.mark.parametrize("action", ["dryrun", "start"])
def test_a_vdev_that_blocks_qvm_is_no_hang(bench: Bench, action: str) -> None:
    """It is told to end, and the error names the vdevs it had and shows what it printed."""
    qvm = bench.qvm("echo configuring; trap 'exit 0' TERM\n" + IDLE)
    with pytest.raises(QvmStuck, match=r"within 0\.4 s: one of its vdevs 8259, ioapic, ser8250, timer8254 blocks it; look which") as stuck:
        getattr(qvm, action)(within(0.4))
    assert stuck.value.evidence == "configuring"
    bench.await_end()


def test_what_cannot_work_never_reaches_the_host(bench: Bench) -> None:
    trips = bench.transport.trips
    with pytest.raises(ConfigurationFault):
        Qvm(
            bench.host,
            parse("system a").configuration,
            bench.deployment,
            program="/sbin/qvm",
            evidence=bench.directory / "vm",
            events=bench.events,
        )
    assert bench.transport.trips == trips


def test_the_events_tell_the_life_of_a_vm(bench: Bench) -> None:
    qvm = bench.qvm(RUN + "trap 'exit 0' TERM\n" + IDLE)
    qvm.start(within(5))
    qvm.stop(within(5))
    assert [event.name for event in bench.seen if event.name.startswith("qvm.")] == [
        "qvm.start.begin",
        "qvm.ready",
        "qvm.start.end",
        "qvm.end",
    ]
