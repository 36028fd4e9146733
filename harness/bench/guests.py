"""Linux guests on a bench, one at a time: they share the board's line for the guest's console.

A guest that runs already with the wanted command line is handed out again; booting one is what a run spends most of its time on.
The invariant: no guest outlives `stop`, and nothing of it stays on the host but the images in the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.bench.bench import Bench
from harness.bench.plan import VdevOption
from harness.boardfile import Phase
from harness.clock import Deadline
from harness.guest import linux
from harness.guest.linux import LinuxGuest
from harness.guest.store import GuestStore
from harness.vdev import Deployment
from harness.vm import Configuration, DryrunResult, Ending, Qvm, add_option, linux_configuration, with_base_options
from harness.vm.status import CONFIGURATION_FAILED, NORMAL

QUIET = ("loglevel=4",)
"""A full kernel log at 115200 bit/s is most of a boot's time; the log itself keeps everything (`LinuxGuest.kernel_log`)."""


class LinuxGuests:
    """Boots stock Linux on the vdevs under test: ttyS0 is the console, ttyS1 is bridged to the board's first free line."""

    def __init__(self, bench: Bench, deployment: Deployment, options: Sequence[VdevOption], evidence: Path) -> None:
        self._bench = bench
        self._deployment = deployment
        self._options = options
        self._evidence = evidence
        self._images: dict[Path, str] | None = None
        self._vm: Qvm | None = None
        self._guest: LinuxGuest | None = None
        self._arguments: tuple[str, ...] = ()
        self._boot = 0
        """The boot of the host in which the guest was started."""
        self._count = 0

    def configuration(self, arguments: Sequence[str] = ()) -> Configuration:
        """The documented Linux VM with `arguments` on the guest's command line and the run's own vdev options."""
        board = self._bench.board
        images = linux.build(report=lambda text: self._bench.events.emit("progress", text=text))
        if self._images is None:
            self._images = GuestStore(self._bench.host, board.host.store, self._bench.events).keep(images.files)
        self._count += 1
        configuration = linux_configuration(
            f"linux-{self._bench.nonce}-{self._count}",
            kernel=self._images[images.kernel],
            initrd=self._images[images.initrd],
            console=board.vm.console_device,
            second_port=next((line.device for line in board.line.values() if line.device), None),
            cmdline=(*QUIET, *arguments),
        )
        for option in self._options:
            configuration = add_option(configuration, option.vdev, option.option, option.value)
        return with_base_options(configuration, board.vm.base_options)

    def dryrun(self) -> DryrunResult:
        """`qvm @FILE dryrun` on the host. The guest that may be running has its devices open, so it is shut down first."""
        self.stop()
        return self._qvm(()).dryrun(self._deadline("qvm_start", "the end of qvm's dryrun"))

    def refusal(self) -> str:
        """Why qvm refuses the configuration, in its own words; empty when it does not."""
        result = self.dryrun()
        return " ".join(result.output.split("\n")).strip() if result.status in CONFIGURATION_FAILED else ""

    def boot(self, arguments: Sequence[str] = ()) -> LinuxGuest:
        """A guest with its shell, booted with these words on its command line, or the one that runs with them already."""
        vm = self._present_vm()
        if vm is not None and vm.running and self._guest is not None and self._arguments == tuple(arguments):
            return self._guest
        self.stop()
        vm = self._vm = self._qvm(arguments)
        self._boot = self._bench.boots
        guest = LinuxGuest(self._bench.console("guest"), vm, self._bench.events, self._bench.board.seconds("guest_command"))
        board = self._bench.board
        guest.boot(board.seconds("qvm_start"), board.seconds("guest_boot"), board.seconds("shell"))
        self._guest, self._arguments = guest, tuple(arguments)
        return guest

    def stop(self) -> Ending:
        """Presses the power button (SIGTERM), then, if the guest does not answer, cuts its power. Harmless without a guest."""
        vm, self._vm, self._guest = self._present_vm(), None, None
        if vm is None:
            return Ending(NORMAL, "")
        with self._bench.events.step("guest.shutdown", system=vm.system):
            return vm.stop(self._deadline("guest_shutdown", "the guest to shut down"))

    def cut(self) -> Ending:
        """Cuts the guest's power (SIGQUIT). Harmless without a guest."""
        vm, self._vm, self._guest = self._present_vm(), None, None
        return Ending(NORMAL, "") if vm is None else vm.cut(self._deadline("qvm_start", "the end of qvm"))

    def present(self) -> bool:
        """Whether the host shows any VM under /dev/qvm."""
        return bool(self._bench.host.run(["ls", "/dev/qvm"], check=False).stdout.strip())

    def _present_vm(self) -> Qvm | None:
        """The VM that was started last, unless the host has been switched off since."""
        return self._vm if self._boot == self._bench.boots else None

    def _qvm(self, arguments: Sequence[str]) -> Qvm:
        bench = self._bench
        configuration = self.configuration(arguments)
        return Qvm(bench.host, configuration, self._deployment, program=bench.board.host.qvm, evidence=self._evidence, events=bench.events)

    def _deadline(self, phase: Phase, awaited: str) -> Deadline:
        return Deadline.after(self._bench.board.seconds(phase), awaited)
