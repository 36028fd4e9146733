"""One qvm process on a hypervisor host: dryrun, detached start, readiness, end.

Invariant: a qvm that this module started is asked to end by SIGTERM (the power button), then by SIGQUIT (the power cut), and
never by SIGKILL. Whatever it printed and its exit status stay readable until the deployment is restored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from harness.clock import Deadline
from harness.errors import BenchError, DeviceError, writing
from harness.events import Events
from harness.vdev.deployment import Deployment
from harness.vm import status as exit_status
from harness.vm.host import Process, QvmHost
from harness.vm.lint import check
from harness.vm.model import Configuration
from harness.vm.writer import write

DIAGNOSTIC = re.compile(r"^\[(?P<file>[^\]\n]+):(?P<line>\d+)\] (?P<text>.*)$", re.MULTILINE)
COMPLETE = "dryrun complete"
DISABLED = "QVM disabled"
TAIL = 20
"""Lines of output an error shows."""
LOOK = 2.0
"""Seconds one command on the host sleeps while it waits for readiness; on a busy board its own programs take several times that."""

READY = """\
tries=0
while test $tries -lt $3; do
    test -d "$1" && exit 0
    kill -0 $2 2>/dev/null || exit 1
    sleep 0.1
    tries=$((tries + 1))
done
exit 2
"""
"""$1 the VM's directory, $2 qvm's process, $3 tenths of a second. 0: there, 1: the process is gone, 2: neither yet."""


class HypervisorDisabled(BenchError):
    """The board was booted without hypervisor support, or its processor has none. No VM can run on it."""

    def __init__(self, output: str) -> None:
        super().__init__("the host has no hypervisor support", "boot it with hypervisor support enabled", evidence=tail(output))


class NoQvm(BenchError):
    """The host has no qvm where the board file says, or it cannot be run. No VM can be started on it."""


class SystemBusy(BenchError):
    """A VM of this name is on the host already: an earlier run's, or somebody else's."""


class ConfigurationRefused(DeviceError):
    """qvm refused the VM configuration, or a vdev in it refused an option. qvm's own words are shown."""


class QvmEnded(DeviceError):
    """qvm ended by itself: a vdev crashed it or called `exit()`, or it met what it could not emulate.

    `vdevs` are the types it had loaded: a vdev that calls `_exit()` ends qvm without a word and with a status of its own choice.
    """

    def __init__(self, system: str, status: int, output: str, vdevs: Sequence[str]) -> None:
        does = "allocate" if status == exit_status.KILLED else "call, exit() and _exit() among it"
        super().__init__(
            f"qvm of {system} ended by itself with status {status}: {exit_status.meaning(status)}",
            f"look at its last lines, and at what its vdevs {_listed(vdevs)} {does}",
            evidence=tail(output) or "qvm printed nothing",
        )
        self.status = status


class QvmStuck(DeviceError):
    """qvm does not get ready, or does not end when its power is cut: a vdev blocks it, or loops in one of its callbacks.

    `vdevs` are the types it had loaded: no tool of a host says in whose code a thread of qvm is.
    """

    def __init__(self, what: str, vdevs: Sequence[str], next_step: str, output: str) -> None:
        super().__init__(f"{what}: one of its vdevs {_listed(vdevs)} blocks it", next_step, evidence=tail(output))


class DryrunResult(msgspec.Struct, frozen=True):
    """What `qvm @FILE dryrun` said."""

    status: int
    output: str

    @property
    def diagnostics(self) -> tuple[str, ...]:
        """The `[FILE:LINE] message` lines."""
        return tuple(match[0] for match in DIAGNOSTIC.finditer(self.output))

    @property
    def complete(self) -> bool:
        """Whether it printed its closing words."""
        return COMPLETE in self.output

    @property
    def clean(self) -> bool:
        """Status 0, the closing words, and no diagnostic: each alone was seen to miss a refused configuration."""
        return self.status == exit_status.NORMAL and self.complete and not self.diagnostics


class Ending(msgspec.Struct, frozen=True):
    """How a qvm process ended: its status, and the last signal it needed (`SIGTERM`, `SIGQUIT`, or "")."""

    status: int
    signal: str


class Qvm:
    """A qvm process instance for one configuration, its files in the deployment's private directory."""

    def __init__(
        self,
        host: QvmHost,
        configuration: Configuration,
        deployment: Deployment,
        *,
        program: str,
        evidence: Path,
        events: Events,
        systems: str = "/dev/qvm",
        ready: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Checks and writes the configuration: to `evidence` (a directory of the run) now, to the host when it is first needed.

        `systems` is the directory in which a qvm shows its VM as long as it lives; `ready` is called each time a VM is there,
        with what the files of its process on the host are named after (`HostProcess.base`).
        Raises `ConfigurationFault` or `Unwritable`.
        """
        check(configuration)
        self.host = host
        self.configuration = configuration
        self._types = [vdev.type for vdev in configuration.vdevs]
        self.deployment = deployment
        self.program = program
        self.events = events
        self.system = configuration.system
        self.local = evidence / f"{self.system}.qvmconf"
        with writing(evidence):
            evidence.mkdir(parents=True, exist_ok=True)
            self.local.write_text(write(configuration))
        self.path = f"{deployment.directory}/{self.system}.qvmconf"
        self.directory = f"{systems}/{self.system}"
        self._ready = ready
        self._on_host = False
        self._process: Process | None = None
        self._ended: Ending | None = None

    def dryrun(self, deadline: Deadline) -> DryrunResult:
        """Configures the VM on the host, opening its host devices, without running the guest.

        What it says is the result. Raises `HypervisorDisabled`, `NoQvm`, and `QvmStuck` when it does not end by the deadline.
        """
        process = self._launch(f"{self.system}.dryrun", "dryrun")
        status = process.wait(deadline)
        if status is None:
            self._end(process, Deadline.after(deadline.seconds, "qvm to end", deadline.clock))
            raise self._stuck(f"the dryrun of {self.system} did not end", deadline, _text(process))
        self._check_runnable(status, process)
        result = DryrunResult(status, _text(process))
        self.events.emit("qvm.dryrun", system=self.system, status=status, clean=result.clean, output=result.output)
        if DISABLED in result.output:
            raise HypervisorDisabled(result.output)
        return result

    def start(self, deadline: Deadline) -> None:
        """Starts qvm detached and waits until its VM is there.

        Raises `SystemBusy`, `ConfigurationRefused`, `HypervisorDisabled`, `NoQvm`, `QvmEnded` or `QvmStuck`.
        """
        if self.host.exists(self.directory):
            raise SystemBusy(
                f"a VM named {self.system} is on the host already ({self.directory})", "end its qvm, or switch the board off and on"
            )
        with self.events.step("qvm.start", system=self.system, configuration=str(self.local)):
            self._ended = None
            self._process = self._launch(self.system, fifos=self.configuration.reads_own_input)
            self._await_ready(self._process, deadline)

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._poll() is None

    @property
    def status(self) -> int | None:
        """The exit status, None while it runs or when it was never started."""
        return None if self._process is None else self._poll()

    def output(self) -> str:
        """What qvm printed so far, standard output, then standard error; of a long text the begin and the end."""
        return "" if self._process is None else _text(self._process)

    def check_alive(self) -> None:
        """Raises `QvmEnded` when qvm ended by itself."""
        status = self.status
        if status is not None and self._ended is None:
            raise self._ended_by_itself(status, self.output())

    def signal(self, name: str) -> None:
        """Sends a signal to qvm: USR1 logs the state of every vdev, USR2 dumps the guest."""
        if self._process is not None:
            self._process.signal(name)

    def wait(self, deadline: Deadline) -> int | None:
        """The exit status once the guest has ended the VM, None when it did not by the deadline."""
        if self._process is None:
            return None
        status = self._process.wait(deadline)
        if status is not None and self._ended is None:
            self._ended = Ending(status, "")
            self._report_end()
        return status

    def stop(self, deadline: Deadline, power_cut: Deadline | None = None) -> Ending:
        """Presses the power button, and cuts the power of a guest that is still there at the deadline. May be called again.

        `power_cut` is by when the second must have worked, by default as long again. Raises `QvmStuck`; then only switching
        the board off helps.
        """
        if self._process is None:
            return Ending(exit_status.NORMAL, "")
        if self._ended is None:
            self._ended = self._end(self._process, deadline, power_cut)
            self._report_end()
        return self._ended

    def cut(self, deadline: Deadline) -> Ending:
        """Cuts the guest's power (SIGQUIT) without asking. Raises `QvmStuck`."""
        if self._process is None:
            return Ending(exit_status.NORMAL, "")
        if self._ended is None:
            self._ended = self._cut(self._process, deadline)
            self._report_end()
        return self._ended

    def _launch(self, name: str, *options: str, fifos: bool = False) -> Process:
        if not self._on_host:
            self.host.put({self.local: self.path})
            self._on_host = True
        argv = [self.program, f"@{self.path}", *options]
        environment = {"LD_LIBRARY_PATH": self.deployment.library_path}
        return self.host.start(argv, self.deployment.directory, name, environment, fifos=fifos)

    def _await_ready(self, process: Process, deadline: Deadline) -> None:
        while not deadline.expired:
            tenths = max(1, int(10 * min(LOOK, deadline.remaining)))
            # On a board of one processor a VM that starts may leave little time for this command.
            argv = ["sh", "-c", READY, "sh", self.directory, str(process.pid), str(tenths)]
            look = self.host.run(argv, check=False, timeout=LOOK + deadline.seconds).status
            status = process.poll()
            if look == 0 and status is None:
                self.events.emit("qvm.ready", system=self.system, pid=process.pid)
                self._ready(process.base)
                return
            if status is None and look == 1:
                status = process.wait(deadline)
            if status is not None:
                self._check_runnable(status, process)
                raise self._refusal(status, _text(process))
        output = _text(process)
        self.stop(Deadline.after(deadline.seconds, "qvm to end", deadline.clock))
        raise self._stuck(f"qvm of {self.system} did not make {self.directory}", deadline, output)

    def _stuck(self, what: str, deadline: Deadline, output: str) -> QvmStuck:
        return QvmStuck(f"{what} within {deadline.seconds:g} s", self._types, "look which, by leaving them out one by one", output)

    def _check_runnable(self, status: int, process: Process) -> None:
        """The shell's own statuses for a program it could not start are none of qvm's."""
        if status in exit_status.NOT_STARTED:
            raise NoQvm(
                f"{self.program} could not be started on the host (the shell's status {status})",
                "correct host.qvm in the board file, or put qvm there",
                evidence=tail(_text(process)),
            )

    def _refusal(self, status: int, output: str) -> BenchError | DeviceError:
        self._ended = Ending(status, "")
        self._report_end()
        if DISABLED in output:
            return HypervisorDisabled(output)
        if status in exit_status.CONFIGURATION_FAILED:
            return ConfigurationRefused(
                f"qvm refused the configuration of {self.system} with status {status}: {exit_status.meaning(status)}",
                f"correct what it names ({self.local})",
                evidence=tail(output) or "qvm printed nothing",
            )
        return self._ended_by_itself(status, output)

    def _ended_by_itself(self, status: int, output: str) -> QvmEnded:
        return QvmEnded(self.system, status, output, self._types)

    def _end(self, process: Process, deadline: Deadline, power_cut: Deadline | None = None) -> Ending:
        """SIGTERM, then SIGQUIT; each only to a process that is still there."""
        status = process.poll()
        if status is not None:
            return Ending(status, "")
        process.signal("TERM")
        status = process.wait(deadline)
        if status is not None:
            return Ending(status, "SIGTERM")
        return self._cut(process, power_cut or Deadline.after(deadline.seconds, "qvm to end when its power is cut", deadline.clock))

    def _cut(self, process: Process, deadline: Deadline) -> Ending:
        status = process.poll()
        if status is not None:
            return Ending(status, "")
        process.signal("QUIT")
        status = process.wait(deadline)
        if status is not None:
            return Ending(status, "SIGQUIT")
        raise QvmStuck(
            f"qvm of {self.system} (pid {process.pid}) does not end on SIGQUIT",
            self._types,
            "switch the board off and on; SIGKILL is no way out on QNX",
            _text(process),
        )

    def _poll(self) -> int | None:
        assert self._process is not None
        return self._ended.status if self._ended else self._process.poll()

    def _report_end(self) -> None:
        if self._ended is not None:
            status = self._ended.status
            meaning = exit_status.meaning(status)
            self.events.emit("qvm.end", system=self.system, status=status, signal=self._ended.signal, meaning=meaning)
            self._keep_output()

    def _keep_output(self) -> None:
        """What it printed goes beside its configuration; what cannot be had, the host being gone or too busy, is told."""
        if self._process is not None:
            for suffix, read in ((".out", self._process.stdout), (".err", self._process.stderr)):
                try:
                    with writing(self.local.parent):
                        self.local.with_suffix(suffix).write_bytes(read())
                except BenchError as reason:
                    self.events.emit("qvm.output_lost", system=self.system, file=f"{self.system}{suffix}", reason=str(reason))


def _listed(vdevs: Sequence[str]) -> str:
    return ", ".join(sorted(set(vdevs))) or "(none is named)"


def tail(text: str) -> str:
    """The last lines of some output."""
    return "\n".join(text.splitlines()[-TAIL:])


def _text(process: Process) -> str:
    return (process.stdout() + process.stderr()).decode("utf-8", "replace").replace("\r\n", "\n")
